package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// What a pull may hold in memory before it is staged in the store.
const (
	heldItems = 500
	heldBytes = 768 << 10 // one transaction of the store takes about 1.2 MiB in all
)

// slack is what a peer may send beyond what its head signs for, because records
// change while they are read.
const (
	slackItems = 10_000
	slackBytes = 8 << 20
)

// errNothing is returned when the peer has nothing newer.
var errNothing = errors.New("the peer has nothing newer")

// pull is one attempt to bring one feed up to what one peer holds.
type pull struct {
	r       *Replicator
	peer    identity.NodeID
	origin  identity.OriginID
	held    *feed.SignedHead
	items   feed.Items
	size    int
	staging feed.Staging

	gotItems, gotBytes uint64 // in all
}

// pull fetches what is missing of a feed from one peer: by the list of changes,
// or by comparing buckets where that does not fit.
func (r *Replicator) pull(ctx context.Context, origin identity.OriginID, peer identity.NodeID) error {
	lock := r.lock(origin)
	lock.Lock()
	defer lock.Unlock()
	view, err := r.o.Store.View(origin)
	if err != nil {
		return err
	}
	p := &pull{r: r, peer: peer, origin: origin, held: view.Head()}
	view.Close()
	defer p.discard()

	head, err := p.byFeed(ctx)
	if err == nil {
		err = p.finish(ctx, head)
	}
	if errors.Is(err, errPruned) || errors.Is(err, feed.ErrRoot) {
		p.discard()
		if head, err = p.byBuckets(ctx); err == nil {
			err = p.finish(ctx, head)
		}
	}
	return err
}

func (p *pull) ask(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return p.r.call(ctx, p.peer, method, "/r1/o/"+p.origin.String()+path, in, out)
}

// add takes items, moving them to the store when they are many.
func (p *pull) add(items feed.Items) (err error) {
	for _, i := range items {
		p.size += len(i.Raw())
		p.gotBytes += uint64(len(i.Raw()))
	}
	p.gotItems += uint64(len(items))
	p.items = append(p.items, items...)
	if len(p.items) <= heldItems && p.size <= heldBytes {
		return nil
	}
	if p.staging == nil {
		if p.staging, err = p.r.o.Store.Stage(p.origin); err != nil {
			return err
		}
	}
	err = p.staging.Put(p.items...)
	p.items, p.size = nil, 0
	return err
}

func (p *pull) discard() {
	if p.staging != nil {
		if err := p.staging.Discard(); err != nil {
			p.r.o.Logger.Warn("unfinished changes could not be dropped", "err", err)
		}
	}
	p.staging, p.items, p.size, p.gotItems, p.gotBytes = nil, nil, 0, 0, 0
}

// byFeed reads the list of changes since the held head and returns the head
// that it leads to. Keys that change while it reads come again, later.
func (p *pull) byFeed(ctx context.Context) (*feed.SignedHead, error) {
	var first *feed.SignedHead
	since, live := uint64(0), 1
	if p.held != nil {
		since, live = p.held.Seq, 0
	}
	for {
		var pg page
		if err := p.ask(ctx, http.MethodGet, fmt.Sprintf("/feed?since=%d&live=%d", since, live), nil, &pg); err != nil {
			return nil, err
		}
		head, err := p.newer(pg.Head)
		if err != nil {
			return nil, err
		}
		if p.held != nil && p.held.Epoch != head.Epoch {
			return nil, errPruned // a new epoch starts over; only the buckets tell what stays
		}
		if first == nil {
			first = head
		}
		items, err := checkItems(pg.Items)
		if err != nil {
			return nil, err
		}
		if err := p.add(items); err != nil {
			return nil, err
		}
		if p.gotItems > 2*head.Seq+slackItems || p.gotBytes > 2*head.Bytes+slackBytes {
			return nil, fmt.Errorf("%w: more was sent than head %d covers", feed.ErrRoot, head.N)
		}
		if !pg.More {
			if live == 1 && head.Hash != first.Hash {
				// What was deleted while we read was left out; fetch it now.
				since, live, first = first.Seq, 0, head
				continue
			}
			return head, nil
		}
		if pg.Next <= since {
			return nil, fmt.Errorf("%w: a page that leads nowhere", identity.ErrMalformed)
		}
		since = pg.Next
	}
}

// newer checks a head that the peer shows, and that it is newer than ours.
func (p *pull) newer(envelope []byte) (*feed.SignedHead, error) {
	head, err := p.r.o.Rules().CheckHead(envelope)
	if err != nil {
		return nil, err
	}
	if head.Origin != p.origin {
		return nil, fmt.Errorf("%w: a head of another origin than asked for", identity.ErrMalformed)
	}
	if p.held != nil && !newer(head, p.held) {
		return nil, errNothing
	}
	return head, nil
}

func newer(a, b *feed.SignedHead) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.N > b.N
}

// byBuckets compares bucket hashes, then the entries of those that differ, and
// fetches just the records that are missing.
func (p *pull) byBuckets(ctx context.Context) (*feed.SignedHead, error) {
	var t tree
	if err := p.ask(ctx, http.MethodGet, "/tree", nil, &t); err != nil {
		return nil, err
	}
	head, err := p.newer(t.Head)
	if err != nil {
		return nil, err
	}
	if len(t.Leaves) != feed.Buckets {
		return nil, fmt.Errorf("%w: a tree of %d leaves", identity.ErrMalformed, len(t.Leaves))
	}
	leaves := feed.Leaves(t.Leaves)
	if leaves.Root() != head.Root {
		return nil, fmt.Errorf("%w: the peer's tree", feed.ErrRoot)
	}
	view, err := p.r.o.Store.View(p.origin)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	ours, err := view.Leaves()
	if err != nil {
		return nil, err
	}
	var differ []uint16
	for q := range leaves {
		if leaves[q] != ours[q] {
			differ = append(differ, uint16(q))
		}
	}
	for len(differ) > 0 {
		batch := differ[:min(len(differ), maxBuckets)]
		var b buckets
		if err := p.ask(ctx, http.MethodPost, "/buckets", batch, &b); err != nil {
			return nil, err
		}
		if len(b.Lists) == 0 || len(b.Lists) > len(batch) {
			return nil, fmt.Errorf("%w: %d buckets for %d asked", identity.ErrMalformed, len(b.Lists), len(batch))
		}
		batch = batch[:len(b.Lists)]
		differ = differ[len(batch):]
		for i, q := range batch {
			if feed.BucketHash(int(q), b.Lists[i]) != leaves[q] {
				return nil, fmt.Errorf("%w: bucket %d", feed.ErrRoot, q)
			}
			held, err := view.Bucket(int(q))
			if err != nil {
				return nil, err
			}
			if err := p.bucket(ctx, head, held, b.Lists[i]); err != nil {
				return nil, err
			}
		}
	}
	return head, nil
}

// bucket takes over one bucket: what is not in it goes, what is missing comes.
func (p *pull) bucket(ctx context.Context, head *feed.SignedHead, held, want []feed.Change) error {
	var missing []feed.Change
	for len(held) > 0 || len(want) > 0 {
		order := 1
		switch {
		case len(want) == 0:
			order = -1
		case len(held) > 0:
			order = bytes.Compare(held[0].Key[:], want[0].Key[:])
		}
		switch {
		case order < 0:
			gone, err := feed.Check(feed.Change{Seq: head.Seq, Key: held[0].Key, Op: feed.Delete}, nil)
			if err != nil {
				return err
			}
			if err := p.add(feed.Items{gone}); err != nil {
				return err
			}
			held = held[1:]
		case order == 0:
			if held[0] != want[0] {
				missing = append(missing, want[0])
			}
			held, want = held[1:], want[1:]
		default:
			missing = append(missing, want[0])
			want = want[1:]
		}
	}
	for len(missing) > 0 {
		asked := missing[:min(len(missing), maxAsked)]
		var got records
		if err := p.ask(ctx, http.MethodPost, "/records", asked, &got); err != nil {
			return err
		}
		if len(got.Records) == 0 || len(got.Records) > len(asked) {
			return fmt.Errorf("%w: %d records for %d asked", identity.ErrMalformed, len(got.Records), len(asked))
		}
		for i, raw := range got.Records {
			checked, err := feed.Check(asked[i], raw)
			if err != nil {
				return err
			}
			if err := p.add(feed.Items{checked}); err != nil {
				return err
			}
		}
		missing = missing[len(got.Records):]
	}
	return nil
}

// finish fetches the heads in between, checks everything together and hands it
// on. Nothing of what was fetched counts before this.
func (p *pull) finish(ctx context.Context, head *feed.SignedHead) error {
	envelopes := [][]byte{head.Envelope}
	if p.held == nil || p.held.Epoch != head.Epoch {
		envelopes = append(p.history(ctx, head), envelopes...)
	} else if head.N > p.held.N+1 {
		earlier, err := p.chain(ctx, p.held.N+1, head)
		if err != nil {
			return err
		}
		envelopes = append(earlier, envelopes...)
	}
	var delta feed.Delta
	if p.staging != nil {
		if err := p.staging.Put(p.items...); err != nil {
			return err
		}
		p.items = nil
		delta = p.staging
	} else {
		delta = p.items.Sort()
	}
	view, err := p.r.o.Store.View(p.origin)
	if err != nil {
		return err
	}
	v, err := p.r.o.Rules().Verify(view, envelopes, delta)
	view.Close()
	if errors.Is(err, feed.ErrChain) {
		p.findFork(ctx)
	}
	if err != nil {
		return err
	}
	return p.r.o.Appender.Append(ctx, v)
}

// findFork asks for the peer's head of the number that is held here. A chain
// that does not fit proves nothing; two signed heads of one number do.
func (p *pull) findFork(ctx context.Context) {
	if p.held == nil {
		return
	}
	var c chain
	if err := p.ask(ctx, http.MethodGet, fmt.Sprintf("/heads?from=%d", p.held.N), nil, &c); err != nil || len(c.Heads) == 0 {
		return
	}
	head, err := p.r.o.Rules().CheckHead(c.Heads[0])
	if err == nil && head.Origin == p.origin && p.r.contradicts(head) {
		p.r.freeze(p.peer, head)
	}
}

// chain fetches the heads from number from up to the one before head.
func (p *pull) chain(ctx context.Context, from uint64, head *feed.SignedHead) (out [][]byte, err error) {
	for n := from; n < head.N; {
		var c chain
		if err := p.ask(ctx, http.MethodGet, fmt.Sprintf("/heads?from=%d", n), nil, &c); err != nil {
			return nil, err
		}
		if len(c.Heads) == 0 || len(c.Heads) > maxChain {
			return nil, fmt.Errorf("%w: the peer does not hold the heads from %d on", errShort, n)
		}
		for _, env := range c.Heads {
			if n == head.N {
				break
			}
			h, err := feed.ParseHead(env)
			if err != nil {
				return nil, err
			}
			if h.N > n {
				return nil, fmt.Errorf("%w: the peer does not hold the heads from %d on", errShort, n)
			}
			if h.N < n {
				return nil, fmt.Errorf("%w: head %d where %d was asked for", identity.ErrMalformed, h.N, n)
			}
			out = append(out, env)
			n++
		}
	}
	return out, nil
}

// history is the chain before the head of a first copy, as far back as one
// answer reaches. Who has been away for longer can then connect through us when
// the owner is gone. It is good to have and no more: without it nothing is lost.
func (p *pull) history(ctx context.Context, head *feed.SignedHead) [][]byte {
	from := uint64(1)
	if head.N > maxChain {
		from = head.N - maxChain + 1
	}
	var c chain
	if err := p.ask(ctx, http.MethodGet, fmt.Sprintf("/heads?from=%d", from), nil, &c); err != nil || len(c.Heads) > maxChain {
		return nil
	}
	var out [][]byte
	var last *feed.SignedHead
	for _, env := range c.Heads {
		h, err := feed.ParseHead(env)
		if err != nil || last != nil && (h.N != last.N+1 || h.Prev != last.Hash) {
			return nil
		}
		if h.N >= head.N {
			break
		}
		out, last = append(out, env), h
	}
	if last == nil || last.Hash != head.Prev {
		return nil
	}
	return out
}

// errShort is returned when a peer's chain of heads does not reach back to ours.
var errShort = errors.New("a gap in the chain of heads")

const callTimeout = 20 * time.Second
