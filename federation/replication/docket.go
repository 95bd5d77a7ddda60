package replication

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
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

// How long a docket that stays another than ours is left alone at first, and at
// the most.
const (
	docketAgain  = 2 * time.Minute
	docketSeldom = 10 * time.Minute
)

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
	for some := range portions(items) {
		r.tell(ctx, from, announcement{Docket: some})
	}
}

// portions are items in lots that fit into an announcement.
func portions(items [][]byte) iter.Seq[[][]byte] {
	return func(yield func([][]byte) bool) {
		for len(items) > 0 {
			n, size := 0, 0
			for n < len(items) && (n == 0 || size+len(items[n]) <= docketPush) {
				size += len(items[n])
				n++
			}
			if !yield(items[:n]) {
				return
			}
			items = items[n:]
		}
	}
}

// exchanged is how two dockets that differ were compared last.
type exchanged struct {
	pair  string    // both digests, and this node's number of the registry
	times int       // in a row, in vain
	again time.Time // not compared before, while the pair is the same
}

// exchange fetches a peer's docket when its digest says that it differs, and
// gives the peer what it lacks. A pair of digests that was exchanged in vain waits
// longer each time until it is exchanged again: the two may know different
// registries, and then they differ until one of them learns more. Waiting for ever
// would be wrong, as the peer may have been ill, or this node's clock.
func (r *Replicator) exchange(ctx context.Context, peer identity.NodeID, theirs []byte) {
	ours := r.digest()
	if ours == nil || len(theirs) != len(ours) || bytes.Equal(ours, theirs) {
		return
	}
	pair := func() string { return string(ours) + string(theirs) + strconv.FormatUint(r.o.RegistrySeq(), 10) }
	r.mu.Lock()
	p := r.peers[peer]
	known := p == nil || p.dockets.pair == pair() && now().Before(p.dockets.again)
	r.mu.Unlock()
	if known {
		return
	}
	shown, early, err := r.fetchDocket(ctx, peer)
	if err != nil {
		return // the next comparison asks again
	}
	ours = r.digest()
	r.mu.Lock()
	if p := r.peers[peer]; p != nil {
		next := exchanged{pair: pair()}
		if p.dockets.pair == next.pair && !early {
			next.times = p.dockets.times + 1
		}
		next.again = now().Add(min(docketAgain<<min(next.times, 8), docketSeldom))
		p.dockets = next
	}
	r.mu.Unlock()
	if bytes.Equal(ours, theirs) {
		return
	}
	for some := range portions(r.lacking(shown)) {
		r.push(ctx, peer, announcement{Docket: some})
	}
	r.push(ctx, peer, announcement{Digest: ours}) // it asks for the rest, if there is more
}

// fetchDocket takes in a peer's docket and returns which items it showed. Early
// tells that one was refused for its date.
func (r *Replicator) fetchDocket(ctx context.Context, peer identity.NodeID) (shown map[[32]byte]bool, early bool, err error) {
	shown = make(map[[32]byte]bool)
	var after []byte
	for range maxDocketPages {
		ask, cancel := context.WithTimeout(ctx, callTimeout)
		var a docketAnswer
		err := r.call(ask, peer, http.MethodGet, "/r1/docket?after="+hex.EncodeToString(after), nil, &a)
		cancel()
		if err != nil {
			return nil, false, err
		}
		for _, item := range a.Items {
			shown[sha256.Sum256(item)] = true
		}
		early = r.hearItems(peer, a.Items) || early
		if len(a.Next) == 0 || len(a.Next) > maxCursor || bytes.Equal(a.Next, after) {
			break
		}
		after = a.Next
	}
	return shown, early, nil
}

// lacking are the items here that are not among those shown, up to about a page:
// who has nothing yet asks for the docket as a whole. Handing them over matters
// for who cannot ask: its call would go to another machine, or to none.
func (r *Replicator) lacking(shown map[[32]byte]bool) (out [][]byte) {
	size := 0
	for after := []byte(nil); ; {
		items, next := r.o.Docket.Items(after, docketPage)
		for _, item := range items {
			if shown[sha256.Sum256(item)] {
				continue
			}
			if size += len(item); size > docketPage {
				return out
			}
			out = append(out, item)
		}
		if len(next) == 0 {
			return out
		}
		after = next
	}
}
