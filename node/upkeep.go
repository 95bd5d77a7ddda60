package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/catalog"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/store"
)

// How often a node looks after what it stores.
const (
	maintainEvery = 24 * time.Hour
	scrubEvery    = 7 * 24 * time.Hour
	repairEvery   = time.Minute // a feed that is known to be rotten
)

// upkeep drops what has had its time, checks what is stored, and mends what is
// rotten from the others.
func (n *Node) upkeep(ctx context.Context) error {
	maintain := time.NewTimer(5*time.Minute + rand.N(time.Hour))
	scrub := time.NewTimer(time.Hour + rand.N(scrubEvery))
	repair := time.NewTicker(repairEvery)
	defer maintain.Stop()
	defer scrub.Stop()
	defer repair.Stop()
	n.repairAll(ctx) // what was found while the store was opened
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-maintain.C:
			maintain.Reset(maintainEvery)
			if err := n.store.Maintain(ctx, n.now(), store.MaintainOptions{KeepFrom: n.anchored, EraseDays: int(n.state().Policy().EraseDays)}); err != nil && ctx.Err() == nil {
				n.o.Logger.Error("what has had its time could not be dropped", "err", err)
			}
		case <-scrub.C:
			scrub.Reset(scrubEvery)
			for _, m := range n.state().Members() {
				if f := n.checkFeed(ctx, m); !f.OK && ctx.Err() == nil {
					n.o.Logger.Error("a stored feed was not as it was signed", "country", m.Country, "fault", f.Fault, "mended", f.Mended)
				}
			}
		case <-repair.C:
			n.repairAll(ctx)
			n.mendFeed(ctx)
		}
	}
}

// anchored is the number of a feed's newest head that the registry has on
// record.
func (n *Node) anchored(o identity.OriginID) uint64 {
	k, s := n.keeper.Load(), n.state()
	if k == nil || s == nil {
		return 0
	}
	m, ok := s.MemberByOrigin(o)
	if !ok {
		return 0
	}
	if all := k.Anchors(o, m.Epoch); len(all) > 0 {
		return all[len(all)-1]
	}
	return 0
}

func (n *Node) repairAll(ctx context.Context) {
	for _, m := range n.state().Members() {
		if n.store.Rotten(m.Origin) != nil {
			if err := n.replicator.Load().Repair(ctx, m.Origin); err != nil && ctx.Err() == nil {
				n.o.Logger.Warn("a rotten feed could not be mended yet", "country", m.Country, "err", err)
			}
		}
	}
}

// checkFeed checks one stored feed, and mends it when it is rotten.
func (n *Node) checkFeed(ctx context.Context, m registry.Member) control.FeedCheck {
	out := control.FeedCheck{Country: m.Country, OK: true}
	start := time.Now()
	if h := n.head(m.Origin); h != nil {
		out.Records = h.Count
	}
	err := n.store.Scrub(ctx, m.Origin)
	if err != nil {
		out.OK, out.Fault = false, err.Error()+"."
	}
	if errors.Is(err, store.ErrRotten) {
		if r := n.replicator.Load(); r != nil {
			err = r.Repair(ctx, m.Origin)
		}
		if err == nil {
			err = n.catalog.Reconsider(ctx, m.Origin)
		}
		if out.Mended = err == nil; out.Mended {
			out.OK = true
		} else {
			out.Next = "Connect this node to the others; it is mended from their copies by itself. Look at the health of the disk."
		}
	}
	out.Took = time.Since(start).Round(time.Millisecond).String()
	return out
}

// CheckFeeds implements [control.Care].
func (a *admin) CheckFeeds(ctx context.Context, country string) ([]control.FeedCheck, error) {
	n := (*Node)(a)
	out := []control.FeedCheck{}
	s := n.state()
	if s == nil {
		_, _, err := n.member()
		return out, err
	}
	for _, m := range s.Members() {
		if country == "" || m.Country == country {
			out = append(out, n.checkFeed(ctx, m))
		}
	}
	if country != "" && len(out) == 0 {
		return out, &control.Error{Class: control.Usage, Code: "no_member", Message: country + " is no member of this federation.", Next: "See: waymark country list"}
	}
	return out, ctx.Err()
}

// RebuildIndex implements [control.Care].
func (a *admin) RebuildIndex(ctx context.Context, progress func(control.Progress)) (control.IndexReport, error) {
	n := (*Node)(a)
	start := time.Now()
	tell := catalog.Progress(nil)
	if progress != nil {
		tell = func(done, total int) {
			progress(control.Progress{Stage: control.StageIndex, Done: int64(done), Total: int64(total)})
		}
	}
	if err := n.catalog.Rebuild(ctx, tell); err != nil {
		return control.IndexReport{}, err
	}
	n.saveIndex()
	return control.IndexReport{Listings: n.index.Len(), Took: time.Since(start).Round(time.Millisecond).String()}, nil
}

// NoteLoss implements [control.Care].
func (a *admin) NoteLoss(context.Context) error { return a.store.NoteLostTail() }
