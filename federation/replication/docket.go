package replication

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// Limits of the exchange of dockets.
const (
	maxItem        = 32 << 10 // bytes of one item
	maxCursor      = 128      // bytes of a place to go on from
	maxDocketPages = 64
	docketPage     = 256 << 10 // bytes of items in an answer
	docketPush     = 32 << 10  // bytes of items in an announcement
)

// docketAgain is how long a docket with items of the future is left alone.
const docketAgain = 2 * time.Minute

// itemEvidence is the kind of an item that holds evidence of a forked feed.
const itemEvidence = 1

// docketItem is an item as it travels and is kept.
type docketItem struct {
	Kind uint8  `cbor:"1,keyasint"`
	Body []byte `cbor:"2,keyasint"`
}

// docketAnswer answers GET /r1/docket.
type docketAnswer struct {
	Items [][]byte `cbor:"1,keyasint"`
	Next  []byte   `cbor:"2,keyasint,omitempty"` // ask for what follows; empty at the end
}

func (r *Replicator) digest() []byte {
	if r.o.Docket == nil {
		return nil
	}
	d := r.o.Docket.Digest()
	return d[:]
}

func (r *Replicator) serveDocket(w http.ResponseWriter, req *http.Request) {
	peer, ok := transport.PeerOf(req.Context())
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.o.Docket == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	after, err := hex.DecodeString(req.URL.Query().Get("after"))
	if err != nil || len(after) > maxCursor {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !r.serving.enter(req.Context(), peer) {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	defer r.serving.leave(peer)
	var a docketAnswer
	a.Items, a.Next = r.o.Docket.Items(after, docketPage)
	r.reply(w, req, a)
}

// hearItems takes items of a peer's docket and hands on what was new. It reports
// whether one was refused for its date, which another look may forgive.
func (r *Replicator) hearItems(peer identity.NodeID, items [][]byte) (early bool) {
	if r.o.Docket == nil {
		return false
	}
	var fresh [][]byte
	for _, item := range items {
		if len(item) > maxItem {
			r.refuse(peer, "docket", identity.ErrMalformed)
			continue
		}
		added, err := r.o.Docket.Add(item)
		if err != nil {
			r.refuse(peer, "docket", err)
			early = early || errors.Is(err, feed.ErrFuture)
		}
		if added {
			fresh = append(fresh, item)
		}
	}
	if len(fresh) > 0 {
		r.Poke()
		r.later(func(ctx context.Context) { r.spread(ctx, peer, fresh) })
	}
	return early
}

// SpreadDocket tells peers of items that came into the docket at this node. It
// returns when every peer answered or was given up on.
func (r *Replicator) SpreadDocket(ctx context.Context, items ...[]byte) {
	r.spread(ctx, identity.NodeID{}, items)
}

// spread hands items on to everybody but whom they came from, some at a time.
func (r *Replicator) spread(ctx context.Context, from identity.NodeID, items [][]byte) {
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && (n == 0 || size+len(items[n]) <= docketPush) {
			size += len(items[n])
			n++
		}
		r.tell(ctx, from, announcement{Docket: items[:n]})
		items = items[n:]
	}
}

// exchange fetches a peer's docket when its digest says that it differs, and
// tells the peer when this one has more. A pair of digests that was exchanged
// once in vain is not exchanged again until this node's registry grows: the two
// may know different ones. Only what was refused for its date is asked for again
// after a while, since this node's clock may have been wrong.
func (r *Replicator) exchange(ctx context.Context, peer identity.NodeID, theirs []byte) {
	ours := r.digest()
	if ours == nil || len(theirs) != len(ours) || bytes.Equal(ours, theirs) {
		return
	}
	seq := strconv.FormatUint(r.o.RegistrySeq(), 10)
	pair := string(ours) + string(theirs) + seq
	r.mu.Lock()
	p := r.peers[peer]
	known := p == nil || p.dockets == pair && (p.docketsUntil.IsZero() || now().Before(p.docketsUntil))
	r.mu.Unlock()
	if known {
		return
	}
	var after []byte
	var until time.Time // for good
	for range maxDocketPages {
		ask, cancel := context.WithTimeout(ctx, callTimeout)
		var a docketAnswer
		err := r.call(ask, peer, http.MethodGet, "/r1/docket?after="+hex.EncodeToString(after), nil, &a)
		cancel()
		if err != nil {
			return // the next comparison asks again
		}
		if r.hearItems(peer, a.Items) {
			until = now().Add(docketAgain)
		}
		if len(a.Next) == 0 || len(a.Next) > maxCursor || bytes.Equal(a.Next, after) {
			break
		}
		after = a.Next
	}
	ours = r.digest()
	r.mu.Lock()
	if p := r.peers[peer]; p != nil {
		p.dockets, p.docketsUntil = string(ours)+string(theirs)+seq, until
	}
	r.mu.Unlock()
	if !bytes.Equal(ours, theirs) {
		r.push(ctx, peer, announcement{Digest: ours})
	}
}
