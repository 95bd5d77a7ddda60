package node

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// latest knows the newest dates that were accepted, so that a machine whose
// clock starts in the past does not take the present for the future. Two
// countries must have signed as late a date: one alone cannot move this clock.
type latest struct {
	second atomic.Int64 // feed.Minute: the second newest date of all feeds
	began  feed.Minute  // what second was when the store was opened

	mu     sync.Mutex
	issued map[identity.OriginID]feed.Minute
}

func (l *latest) open(s *store.Store) error {
	origins, err := s.Origins()
	if err != nil {
		return err
	}
	for _, o := range origins {
		view, err := s.View(o)
		if err != nil {
			return err
		}
		if h := view.Head(); h != nil {
			l.note(o, h.Issued)
		}
		view.Close()
	}
	l.begin()
	return nil
}

// begin takes what is noted so far for the time at the start.
func (l *latest) begin() { l.began = feed.Minute(l.second.Load()) }

func (l *latest) note(o identity.OriginID, issued feed.Minute) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.issued == nil {
		l.issued = make(map[identity.OriginID]feed.Minute)
	}
	if l.issued[o] >= issued {
		return
	}
	l.issued[o] = issued
	all := make([]feed.Minute, 0, len(l.issued))
	for _, at := range l.issued {
		all = append(all, at)
	}
	slices.Sort(all)
	if len(all) > 1 {
		l.second.Store(int64(all[len(all)-2]))
	}
}

// built is when this program was built, as far as the toolchain has stamped it.
var built = sync.OnceValue(func() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
					return t
				}
			}
		}
	}
	return time.Time{}
})

// now is the latest of the clock, the date of the program, and the newest date
// that two countries had signed when the node started, with the time since. What
// they sign later moves it by no more than a head may be ahead: else two of them
// could lead it on, step by step.
func (n *Node) now() time.Time {
	now := n.o.Now()
	since := max(now.Sub(n.started), 0)
	if b := built(); b.After(now) {
		now = b
	}
	if t := n.latest.began.Time().Add(since); n.latest.began > 0 && t.After(now) {
		now = t
	}
	t := feed.Minute(n.latest.second.Load()).Time()
	if limit := now.Add(feed.Ahead); t.After(limit) {
		return limit
	}
	if t.After(now) {
		return t
	}
	return now
}

// Append implements [feed.Appender]: the one way in, and what this node learns
// of time by it.
func (n *Node) Append(ctx context.Context, v *feed.Verified) error {
	if err := n.catalog.Append(ctx, v); err != nil {
		return err
	}
	n.latest.note(v.Origin(), v.Head().Issued)
	n.standings.Delete(v.Origin())
	if to := n.relayTo(v.Origin()); len(to) > 0 {
		go n.replicator.Load().Relay(context.Background(), v, to)
	}
	return nil
}

// relayTo are the nodes that hear of a change only through this one: everybody
// else, of what a node publishes that reaches only its gates; of all else those
// that cannot be called and have this node for a gate.
func (n *Node) relayTo(o identity.OriginID) []identity.NodeID {
	s := n.state()
	if own, ok := n.origin(); s == nil || n.replicator.Load() == nil || ok && own == o {
		return nil
	}
	m, ok := s.MemberByOrigin(o)
	if !ok {
		return nil
	}
	publisher, ok := m.Publisher()
	all := ok && len(publisher.Endpoints) == 0 && n.transport.Reverse(publisher.ID)
	return slices.DeleteFunc(n.peers(), func(id identity.NodeID) bool {
		return id == publisher.ID || !all && !n.transport.Reverse(id)
	})
}
