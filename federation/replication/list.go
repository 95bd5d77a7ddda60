package replication

import (
	"context"
	"fmt"
	"net/http"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// readList reads the list of changes since the held head and returns the head
// that it leads to. Keys that change while it reads come again, later.
//
// While one page is checked and stored the next one is on its way.
func (p *pull) readList(ctx context.Context) (*feed.SignedHead, error) {
	if !p.reading {
		p.reading, p.since, p.live = true, 0, true
		if p.held != nil {
			p.since, p.live = p.held.Seq, false
		}
	}
	pages := pages{p: p}
	defer pages.stop()
	for {
		pg, err := pages.get(ctx, p.since, p.live)
		if err != nil {
			return nil, err
		}
		if pg.More && pg.Next > p.since {
			pages.ahead(ctx, pg.Next, p.live)
		}
		head, err := p.shows(pg.Head)
		if err != nil {
			return nil, err
		}
		if p.held != nil && p.held.Epoch != head.Epoch {
			return nil, errPruned // a new epoch starts over; only the buckets tell what stays
		}
		if p.last != nil && newer(p.last, head) {
			return nil, errPassed
		}
		if p.first == nil {
			p.first = head
		}
		p.last = head
		items, err := checkItems(pg.Items)
		if err != nil {
			return nil, err
		}
		if err := p.add(items); err != nil {
			if storage(err) && pg.More && pg.Next > p.since {
				p.since = pg.Next // they wait in memory
			}
			return nil, err
		}
		if p.gotItems > 2*head.Seq+slackItems || p.gotBytes > 2*head.Bytes+slackBytes {
			return nil, fmt.Errorf("%w: more was sent than head %d covers", feed.ErrRoot, head.N)
		}
		if !pg.More {
			if p.live && head.Hash != p.first.Hash {
				// What was deleted while we read was left out; fetch it now.
				p.since, p.live, p.first = p.first.Seq, false, head
				continue
			}
			return head, nil
		}
		if pg.Next <= p.since {
			return nil, fmt.Errorf("%w: a page that leads nowhere", identity.ErrMalformed)
		}
		p.since = pg.Next
	}
}

// shows checks a head that the peer shows, and that it is newer than ours and no
// older than the heads that were fetched already.
func (p *pull) shows(envelope []byte) (*feed.SignedHead, error) {
	head, err := p.rules.CheckHead(envelope)
	if err != nil {
		return nil, err
	}
	if head.Origin != p.origin {
		return nil, fmt.Errorf("%w: a head of another origin than asked for", identity.ErrMalformed)
	}
	if p.r.compareHead(p.peer, head) && !p.r.follows(p.origin, head.Epoch, head.N) {
		return nil, feed.ErrEquivocation
	}
	if p.held != nil && !newer(head, p.held) {
		return nil, errNothing
	}
	if len(p.chain) > 0 && newer(p.chain[len(p.chain)-1], head) {
		return nil, errPassed
	}
	p.of.Store(head.Count)
	p.ofBytes.Store(head.Bytes)
	return head, nil
}

// pages asks for one page after the other, and for one ahead. What is asked for
// ahead reads nothing of the pull that adding to it changes.
type pages struct {
	p      *pull
	cancel context.CancelFunc
	coming chan asked // nil when nothing was asked for ahead
}

type asked struct {
	page
	err error
}

// ahead asks for the page that will be wanted next.
func (a *pages) ahead(ctx context.Context, since uint64, live bool) {
	ctx, a.cancel = context.WithCancel(ctx)
	a.coming = make(chan asked, 1)
	go func() {
		pg, err := a.p.page(ctx, since, live)
		a.coming <- asked{pg, err}
	}()
}

// get is the page that was asked for ahead, or else asks for it.
func (a *pages) get(ctx context.Context, since uint64, live bool) (page, error) {
	if a.coming == nil {
		return a.p.page(ctx, since, live)
	}
	got := <-a.coming
	a.coming = nil
	a.cancel()
	return got.page, got.err
}

// stop returns when nothing is being asked for any more.
func (a *pages) stop() {
	if a.coming != nil {
		a.cancel()
		<-a.coming
	}
}

func (p *pull) page(ctx context.Context, since uint64, live bool) (pg page, err error) {
	only := 0
	if live {
		only = 1
	}
	err = p.ask(ctx, http.MethodGet, fmt.Sprintf("/feed?since=%d&live=%d", since, only), nil, &pg)
	return pg, err
}
