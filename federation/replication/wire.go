package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of what peers send each other.
const (
	pageBytes   = 1 << 20  // a page of records, before it is compressed; one record may exceed it
	maxBody     = 4 << 20  // a body after it is decompressed
	maxSent     = 4 << 20  // a body as it travels
	maxFeeds    = 256      // feeds in one list of heads
	maxChain    = 500      // heads in one answer
	maxBuckets  = 64       // buckets asked for at once
	maxAsked    = 2000     // records asked for at once
	inlineBytes = 16 << 10 // records that travel inside an announcement

	maxAnnouncement = 64 << 10 // an announcement as it travels
)

// feedState is what a peer holds of one feed.
type feedState struct {
	Head []byte `cbor:"1,keyasint,omitempty"`
	Beat []byte `cbor:"2,keyasint,omitempty"`
}

// heads answers GET /r1/heads.
type heads struct {
	Feeds       []feedState `cbor:"1,keyasint"`
	RegistrySeq uint64      `cbor:"2,keyasint"`
	Docket      []byte      `cbor:"3,keyasint,omitempty"` // digest of the docket
	Clock       int64       `cbor:"4,keyasint,omitempty"` // the sender's, in Unix seconds
}

// chain answers GET /r1/o/{origin}/heads.
type chain struct {
	Heads [][]byte `cbor:"1,keyasint"`
}

// item is a change and the record that it puts.
type item struct {
	_      struct{} `cbor:",toarray"`
	Change feed.Change
	Record []byte
}

// page answers GET /r1/o/{origin}/feed. Head is the peer's head at the moment of
// this page: when the last page was read, everything up to it was.
type page struct {
	Items []item `cbor:"1,keyasint"`
	Next  uint64 `cbor:"2,keyasint"` // ask for what follows this sequence number
	More  bool   `cbor:"3,keyasint"`
	Head  []byte `cbor:"4,keyasint"`
}

// tree answers GET /r1/o/{origin}/tree.
type tree struct {
	Head   []byte          `cbor:"1,keyasint"`
	Leaves []identity.Hash `cbor:"2,keyasint"`
}

// buckets answers POST /r1/o/{origin}/buckets: as many of the buckets asked for,
// from the first on, as fit a page, under the head with that hash.
type buckets struct {
	Lists [][]feed.Change `cbor:"1,keyasint"`
	Head  identity.Hash   `cbor:"2,keyasint"`
}

// records answers POST /r1/o/{origin}/records: as many of the records asked for,
// from the first on, as fit a page. One that is gone is empty.
type records struct {
	Records [][]byte `cbor:"1,keyasint"`
}

// announcement is the body of POST /r1/announce: a new head or beat, and the
// change itself when it is small.
type announcement struct {
	Head  []byte `cbor:"1,keyasint,omitempty"`
	Beat  []byte `cbor:"2,keyasint,omitempty"`
	Items []item `cbor:"3,keyasint,omitempty"`
	// RegistrySeq tells of a longer registry. It is a hint like the rest.
	RegistrySeq uint64 `cbor:"4,keyasint,omitempty"`
	// Docket holds items of the sender's docket; Digest says that there is more to
	// be had from it than what the receiver showed.
	Docket [][]byte `cbor:"5,keyasint,omitempty"`
	Digest []byte   `cbor:"6,keyasint,omitempty"`
}

// codec turns messages into what travels and back. Each replicator has its own:
// the parts in its pools hold channels, which must not be shared between
// federations in virtual time.
type codec struct{ encoders, decoders sync.Pool }

func newCodec() *codec {
	c := new(codec)
	c.encoders.New = func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic(err)
		}
		return e
	}
	c.decoders.New = func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody), zstd.WithDecoderMaxWindow(1<<20))
		if err != nil {
			panic(err)
		}
		return d
	}
	return c
}

// encode is a message as it travels: CBOR in one zstd frame.
func (c *codec) encode(v any) ([]byte, error) {
	b, err := identity.Marshal(v)
	if err != nil {
		return nil, err
	}
	e := c.encoders.Get().(*zstd.Encoder)
	defer c.encoders.Put(e)
	return e.EncodeAll(b, nil), nil
}

// decode reads what encode writes; it never holds more than maxBody.
func (c *codec) decode(b []byte, v any) error {
	d := c.decoders.Get().(*zstd.Decoder)
	defer c.decoders.Put(d)
	plain, err := d.DecodeAll(b, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", identity.ErrMalformed, err)
	}
	return identity.Unmarshal(plain, v)
}

// readBody reads at most limit bytes and fails if there are more.
func readBody(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: a body of more than %d bytes", feed.ErrTooLarge, limit)
	}
	return b, nil
}

// Errors of peers' answers.
var (
	errPruned = errors.New("the peer no longer lists changes that far back")
	errAnswer = errors.New("the peer refused")
)

// call asks a peer and decodes its answer into out, which may be nil.
func (r *Replicator) call(ctx context.Context, peer identity.NodeID, method, path string, in, out any) error {
	return r.callCounted(ctx, peer, method, path, in, out, nil)
}

// counted adds up what is read through it.
type counted struct {
	io.Reader
	n *atomic.Uint64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(uint64(n))
	return n, err
}

// callCounted is call, with what has arrived of the answer added up as it comes.
func (r *Replicator) callCounted(ctx context.Context, peer identity.NodeID, method, path string, in, out any, arrived *atomic.Uint64) error {
	var body io.Reader
	sent := 0
	if in != nil {
		b, err := r.codec.encode(in)
		if err != nil {
			return err
		}
		body, sent = bytes.NewReader(b), len(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+peer.String()+path, body)
	if err != nil {
		return err
	}
	resp, err := r.o.Client.Do(req)
	r.traffic.ask(path, 1, sent, 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		return errNothing
	case http.StatusGone:
		return errPruned
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return errBusy
	default:
		return fmt.Errorf("%w: %s", errAnswer, strconv.Itoa(resp.StatusCode))
	}
	var answer io.Reader = resp.Body
	if arrived != nil {
		r.reached(peer) // lest a probe drops the connection that this comes over
		answer = counted{answer, arrived}
	}
	b, err := readBody(answer, maxSent)
	r.traffic.ask(path, 0, 0, len(b))
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	return r.codec.decode(b, out)
}

// checkItems turns what a peer sent into items that proved right.
func checkItems(in []item) (feed.Items, error) {
	out := make(feed.Items, 0, len(in))
	for _, i := range in {
		checked, err := feed.Check(i.Change, i.Record)
		if err != nil {
			return nil, err
		}
		out = append(out, checked)
	}
	return out, nil
}
