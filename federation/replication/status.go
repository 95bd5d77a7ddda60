package replication

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Refused is how many things of each kind were turned away since the start.
func (r *Replicator) Refused() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.refused)
}

// Met is closed when every peer that was known at the start has been asked for
// its heads once: what they show of the own feed is known by then.
func (r *Replicator) Met() <-chan struct{} { return r.met }

// Behind reports whether someone showed a newer head of the feed than is held,
// or the registry has one on record.
func (r *Replicator) Behind(o identity.OriginID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted[o] != nil || r.stuck[o] != nil
}

// Known is how far a feed is said to have got beyond what is held.
type Known struct {
	Epoch, N uint64            // of the newest head that was heard of; a hint until it is fetched
	Sources  []identity.NodeID // who showed it, the latest first
	Gap      bool              // nobody in reach, and no anchor of the registry, connects it with what is held
	Stuck    error             // why fetching does not help; nil while it may
	Idle     time.Duration     // how long nothing has come in of it
}

// Known tells what is known of a feed beyond what is held; false when nothing is.
func (r *Replicator) Known(o identity.OriginID) (Known, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, stuck := r.wanted[o], r.stuck[o]
	if w == nil && stuck == nil {
		return Known{}, false
	}
	k := Known{Stuck: stuck, Gap: errors.Is(stuck, errShort)}
	if w != nil {
		k.Epoch, k.N, k.Sources = w.epoch, w.n, slices.Clone(w.sources)
		last := w.since
		if w.pull != nil {
			if came := time.Unix(0, w.pull.came.Load()); came.After(last) {
				last = came
			}
		}
		k.Idle = now().Sub(last)
	}
	return k, true
}

// Highest is the newest head of a feed that any peer has shown, of this branch or
// of another one; nil when none has since the start.
func (r *Replicator) Highest(o identity.OriginID) (best *feed.SignedHead) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.shown[o] {
		if best == nil || newer(h, best) {
			best = h
		}
	}
	return best
}

// Progress is how far the fetching of one feed has got.
type Progress struct {
	Origin    identity.OriginID
	First     bool   // nothing of the feed is held yet
	Records   uint64 // changes fetched
	Of        uint64 // live records of the head that is being fetched; 0 while it is not known
	Bytes     uint64 // of records fetched
	OfBytes   uint64 // of the head's records
	Connected bool   // being fetched at this moment, and not waiting for a source
}

// Progress lists the feeds that are being fetched, in order of their ids.
func (r *Replicator) Progress() []Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Progress
	for o, w := range r.wanted {
		if w.pull == nil {
			continue
		}
		p := w.pull.progress()
		p.Origin, p.Connected = o, w.round != nil
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Progress) int { return bytes.Compare(a.Origin[:], b.Origin[:]) })
	return out
}

// Unreachable lists the peers that have not answered for a while: longer than a
// restart takes.
func (r *Replicator) Unreachable() []identity.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []identity.NodeID
	for id, p := range r.peers {
		if p.down && now().Sub(p.since) >= downFor {
			out = append(out, id)
		}
	}
	return out
}

// clockAge is how long what a peer said of its clock counts.
const clockAge = 6 * time.Hour

// Clock compares this machine's clock with the median of its peers': a positive
// offset means that it is ahead. Peers is how many have told theirs lately; with
// none the offset is 0. Nothing is ordered by clocks; a wrong one makes wrong
// labels, and heads that others park.
func (r *Replicator) Clock() (offset time.Duration, peers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []time.Duration
	for _, p := range r.peers {
		if !p.clockAt.IsZero() && now().Sub(p.clockAt) < clockAge {
			all = append(all, p.clock)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, len(all)
}

// Parked is a head that waits, and what it waits for.
type Parked struct {
	Origin   identity.OriginID
	Epoch, N uint64
	Issued   feed.Minute // its date; ahead of now when it waits for that
	Registry uint64      // the registry sequence number that it waits for; 0 when it waits for its date
}

// Parked lists heads that are neither taken nor refused yet: dated in the
// future, or signed under a registry that is not known here yet.
func (r *Replicator) Parked() []Parked {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Parked, 0, len(r.parked))
	for _, p := range r.parked {
		out = append(out, Parked{p.head.Origin, p.head.Epoch, p.head.N, p.head.Issued, p.registry})
	}
	return out
}
