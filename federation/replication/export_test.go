package replication

import (
	"context"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Limits that tests look at.
const (
	MaxBody     = maxBody
	MaxSent     = maxSent
	RetryEvery  = retryEvery
	InlineBytes = inlineBytes
)

// DecodeEvery decodes bytes as every message there is and checks the items.
func DecodeEvery(b []byte) (items feed.Items, err error) {
	decode := newCodec().decode
	for _, v := range []any{new(heads), new(chain), new(tree), new(buckets), new(records), new([]uint16), new([]feed.Change)} {
		err = decode(b, v)
	}
	var p page
	if err := decode(b, &p); err == nil {
		items, _ = checkItems(p.Items)
	}
	var a announcement
	if err := decode(b, &a); err == nil {
		more, _ := checkItems(a.Items)
		items = append(items, more...)
	}
	return items, err
}

// Decode reads a message.
func Decode(b []byte, v any) error { return newCodec().decode(b, v) }

// Encoder encodes many messages of one federation.
func Encoder() func(v any) ([]byte, error) { return newCodec().encode }

// Encode is a message as it travels.
func Encode(v any) ([]byte, error) { return newCodec().encode(v) }

// Samples are one encoded message of each kind.
func Samples(head, record []byte, c feed.Change) [][]byte {
	var out [][]byte
	for _, v := range []any{
		heads{Feeds: []feedState{{Head: head}}, RegistrySeq: 1}, chain{Heads: [][]byte{head}},
		page{Items: []item{{Change: c, Record: record}}, Next: 1, Head: head}, tree{Head: head, Leaves: feed.EmptyLeaves()[:]},
		buckets{Lists: [][]feed.Change{{c}}}, records{Records: [][]byte{record}}, announcement{Head: head, Items: []item{{Change: c, Record: record}}},
	} {
		b, err := newCodec().encode(v)
		if err != nil {
			panic(err)
		}
		out = append(out, b)
	}
	return out
}

// Gate bounds what is served.
type Gate struct{ g *gate }

// NewGate is a gate that nobody went through.
func NewGate() Gate { return Gate{newGate()} }

// Enter admits a request.
func (g Gate) Enter(ctx context.Context, peer identity.NodeID) bool { return g.g.enter(ctx, peer) }

// Sent charges for an answer.
func (g Gate) Sent(peer identity.NodeID, n int) { g.g.sent(peer, n) }

// Leave ends a request.
func (g Gate) Leave(peer identity.NodeID) { g.g.leave(peer) }
