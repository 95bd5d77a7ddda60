package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// firstLine begins what is inside the compression. The number is the version of
// everything after it.
const firstLine = "waymark bundle 1\n"

// kind is what a part is.
type kind byte

// The parts, in the order in which they stand: the manifest, heads of the
// registry, its entries, evidence and rulings, then for each feed its name, its
// heads and its changes, and the trailer.
const (
	partManifest kind = 1
	partRegistry kind = 2
	partEntries  kind = 3
	partItems    kind = 4
	partFeed     kind = 5
	partHeads    kind = 6
	partChanges  kind = 7
	partTrailer  kind = 8
)

// limit is how long the body of a part may be; 0 for a kind that is not known.
func (k kind) limit() uint32 {
	switch {
	case k == partManifest:
		return maxManifest
	case k == partFeed || k == partTrailer:
		return feed.MaxHead
	case k > partManifest && k < partTrailer:
		return maxPart
	}
	return 0
}

// entries is the body of a part with entries of the registry.
type entries struct {
	From    uint64   `cbor:"1,keyasint"`
	Entries [][]byte `cbor:"2,keyasint"`
}

// named is the body of the part that begins a feed.
type named struct {
	Origin identity.OriginID `cbor:"1,keyasint"`
}

// record is a change and what it puts.
type record struct {
	_      struct{} `cbor:",toarray"`
	Change feed.Change
	Record []byte
}

// trailer is what the maker signs: an envelope of type bundle over it ends the
// file.
type trailer struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Bytes      uint64                `cbor:"3,keyasint"` // of everything before this part, unpacked
	Hash       identity.Hash         `cbor:"4,keyasint"` // their SHA-256
}

// writer writes parts into one zstd frame.
type writer struct {
	z    *zstd.Encoder
	hash hash.Hash
	n    uint64
}

func newWriter(w io.Writer) (*writer, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(window), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("write a bundle: %w", err)
	}
	out := &writer{z: z, hash: sha256.New()}
	return out, out.write([]byte(firstLine))
}

func (w *writer) write(b []byte) error {
	w.hash.Write(b)
	w.n += uint64(len(b))
	if _, err := w.z.Write(b); err != nil {
		return fmt.Errorf("write a bundle: %w", err)
	}
	return nil
}

// part writes a value as one part.
func (w *writer) part(k kind, v any) error {
	body, err := identity.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a bundle: %w", err)
	}
	return w.raw(k, body)
}

func (w *writer) raw(k kind, body []byte) error {
	if uint64(len(body)) > uint64(k.limit()) {
		return fmt.Errorf("write a bundle: part %d: %w: %d bytes, at most %d", k, ErrTooLarge, len(body), k.limit())
	}
	var head [5]byte
	head[0] = byte(k)
	binary.BigEndian.PutUint32(head[1:], uint32(len(body)))
	if err := w.write(head[:]); err != nil {
		return err
	}
	return w.write(body)
}

// end signs what was written and closes the frame.
func (w *writer) end(f identity.FederationID, key *identity.Key) error {
	t := trailer{Version: Version, Federation: f, Bytes: w.n}
	w.hash.Sum(t.Hash[:0])
	body, err := identity.Marshal(t)
	if err != nil {
		return fmt.Errorf("write a bundle: %w", err)
	}
	if err := w.raw(partTrailer, identity.Sign(identity.TypeBundle, f, body, key).Encode()); err != nil {
		return err
	}
	if err := w.z.Close(); err != nil {
		return fmt.Errorf("write a bundle: %w", err)
	}
	return nil
}

// counter counts what is read of the file, and keeps the disk's own errors apart
// from those of the format.
type counter struct {
	r     io.Reader
	n     int64
	err   error
	moved func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	if c.moved != nil {
		c.moved(c.n)
	}
	return n, err
}

// reader reads parts. It holds one part at a time.
type reader struct {
	in   counter
	z    *zstd.Decoder
	hash hash.Hash
	n    uint64 // bytes unpacked, without the trailer

	lenient bool // parts of unknown kinds are passed over

	next kind   // the part whose header was read last
	size uint32 // of its body
	buf  []byte
}

// newReader begins to read a bundle. Moved, if not nil, is told how many bytes
// of the file have been read.
func newReader(r io.Reader, moved func(int64)) (*reader, error) {
	in := &reader{in: counter{r: r, moved: moved}, hash: sha256.New()}
	z, err := zstd.NewReader(&in.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(8<<20), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, in.broken(err)
	}
	in.z = z
	line := make([]byte, len(firstLine))
	if err := in.fill(line); err != nil {
		in.close()
		return nil, err
	}
	if string(line) != firstLine {
		in.close()
		if known := firstLine[:len(firstLine)-2]; bytes.HasPrefix(line, []byte(known)) {
			return nil, fmt.Errorf("%w: it begins with %q", ErrVersion, line)
		}
		return nil, fmt.Errorf("%w: it begins with %q", ErrNotBundle, line)
	}
	in.hash.Write(line)
	in.n = uint64(len(line))
	return in, nil
}

func (r *reader) close() { r.z.Close() }

// fill reads exactly len(b) bytes.
func (r *reader) fill(b []byte) error {
	if _, err := io.ReadFull(r.z, b); err != nil {
		return r.broken(err)
	}
	return nil
}

// broken says what an error while unpacking means.
func (r *reader) broken(err error) error {
	switch {
	case r.in.err != nil:
		return fmt.Errorf("read the bundle: %w", r.in.err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if r.in.n < 4 {
			return fmt.Errorf("%w: it has %d bytes", ErrNotBundle, r.in.n)
		}
		return ErrTruncated
	case errors.Is(err, zstd.ErrMagicMismatch) && r.n == 0:
		return fmt.Errorf("%w: %w", ErrNotBundle, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: %w", ErrBomb, err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// peek is the kind of the part that comes next.
func (r *reader) peek() (kind, error) {
	if r.next != 0 {
		return r.next, nil
	}
	var head [5]byte
	if err := r.fill(head[:]); err != nil {
		return 0, err
	}
	k, size := kind(head[0]), binary.BigEndian.Uint32(head[1:])
	limit := k.limit()
	if limit == 0 && r.lenient {
		limit = maxPart
	}
	switch {
	case limit == 0:
		return 0, fmt.Errorf("%w: a part of the unknown kind %d", ErrPart, k)
	case size > limit:
		return 0, fmt.Errorf("%w: part %d of %d bytes, at most %d", ErrTooLarge, k, size, limit)
	}
	if k != partTrailer {
		r.hash.Write(head[:])
		r.n += uint64(len(head)) + uint64(size)
		if err := r.honest(r.n); err != nil {
			return 0, err
		}
	}
	r.next, r.size = k, size
	return k, nil
}

// honest refuses to unpack more than real records can come to.
func (r *reader) honest(n uint64) error {
	if n > ratioSlack+maxRatio*uint64(r.in.n) {
		return fmt.Errorf("%w: %d bytes from %d", ErrBomb, n, r.in.n)
	}
	return nil
}

// body is the body of the part that peek told of. It is good until the next one
// is read.
func (r *reader) body(k kind) ([]byte, error) {
	have, err := r.peek()
	if err != nil {
		return nil, err
	}
	if have != k {
		return nil, fmt.Errorf("%w: part %d where part %d belongs", ErrPart, have, k)
	}
	if int(r.size) > cap(r.buf) {
		r.buf = make([]byte, max(int(r.size), 64<<10))
	}
	b := r.buf[:r.size]
	if err := r.fill(b); err != nil {
		return nil, err
	}
	if k != partTrailer {
		r.hash.Write(b)
	}
	r.next = 0
	return b, nil
}

// part decodes the part that comes next, which must be of the kind.
func (r *reader) part(k kind, v any) error {
	b, err := r.body(k)
	if err != nil {
		return err
	}
	if err := identity.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: part %d: %w", ErrPart, k, err)
	}
	return nil
}

func (r *reader) manifest() (*Manifest, error) {
	b, err := r.body(partManifest)
	if err != nil {
		return nil, err
	}
	return ParseManifest(b)
}

// end reads the trailer and checks that it is the last thing in the file, and
// signed by the maker for exactly what came before.
func (r *reader) end(m *Manifest) error {
	b, err := r.body(partTrailer)
	if err != nil {
		return err
	}
	e, err := identity.ParseEnvelope(b)
	if err != nil {
		return fmt.Errorf("%w: trailer: %w", ErrPart, err)
	}
	var t trailer
	if err := identity.Unmarshal(e.Body, &t); err != nil {
		return fmt.Errorf("%w: trailer: %w", ErrPart, err)
	}
	var sum identity.Hash
	r.hash.Sum(sum[:0])
	if t.Version != Version || t.Federation != m.Federation || t.Bytes != r.n || t.Hash != sum {
		return fmt.Errorf("%w: the trailer is for another content", ErrDamaged)
	}
	if _, err := e.Verify(identity.TypeBundle, m.Federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		return m.Exporter, id == m.Exporter.ID()
	}); err != nil {
		return fmt.Errorf("%w: trailer: %w", ErrDamaged, err)
	}
	var more [1]byte
	switch n, err := io.ReadFull(r.z, more[:]); {
	case n > 0:
		return fmt.Errorf("%w: something follows its end", ErrPart)
	case !errors.Is(err, io.EOF):
		return r.broken(err)
	}
	return nil
}
