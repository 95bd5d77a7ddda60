package editorial

import (
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/s2"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// spool holds what an import will write until every row of it was looked at: the
// source may be of any size, and nothing is written before. It is a packed file
// of this node's own, which is read as often as it is needed.
type spool struct {
	s    *store.Store
	file *store.Temp
	z    *s2.Writer
	out  *cbor.Encoder
	size int // bytes since room was looked for

	whole bool // nothing more is put
}

// spooled is a document that goes in, and its public part.
type spooled struct {
	_         struct{} `cbor:",toarray"`
	Key       feed.Key
	Document  []byte // nil when it stands as it was
	Published identity.Hash
	Updated   feed.Day
	Print     identity.Hash // fingerprint of the document
	Body      []byte
}

func newSpool(s *store.Store) (*spool, error) {
	file, err := s.Temp()
	if err != nil {
		return nil, err
	}
	// It is read again at once: speed counts for more than size.
	z := s2.NewWriter(file, s2.WriterConcurrency(1), s2.WriterBlockSize(256<<10))
	return &spool{s: s, file: file, z: z, out: cbor.NewEncoder(z)}, nil
}

// spoolRoom is how many bytes are spooled, before they are packed, until the free
// space is looked at again.
const spoolRoom = 16 << 20

func (p *spool) put(x spooled) error {
	if p.size += len(x.Document) + len(x.Body); p.size > spoolRoom {
		p.size = 0
		if err := p.s.Room(); err != nil {
			return err
		}
	}
	if err := p.out.Encode(x); err != nil {
		return fmt.Errorf("keep a row for a moment: %w", err)
	}
	return nil
}

// each reads all that was put, in order, until f is false.
func (p *spool) each(f func(spooled) bool) error {
	if !p.whole {
		if err := p.z.Close(); err != nil {
			return fmt.Errorf("keep rows for a moment: %w", err)
		}
		p.whole = true
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	z := s2.NewReader(p.file, s2.ReaderMaxBlockSize(256<<10))
	in := cbor.NewDecoder(z)
	for {
		var x spooled
		if err := in.Decode(&x); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what an import keeps for a moment: %w", err)
		}
		if !f(x) {
			return nil
		}
	}
}

func (p *spool) close() { _ = p.file.Close() }
