package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// clockBound is how far the time of a new entry may be from the clocks of the
// voters, as the time of a head may.
const clockBound = registry.HeadAhead

// clockTime bounds the comparison of clocks before an entry is ordered.
const clockTime = time.Second

// errClock: an entry carries a time that cannot be the one of now.
var errClock = errors.New("the time of the entry is far from the clock here")

// attested is the time, in Unix seconds, before which no new entry can have been
// ordered: when a majority signed for those before it. A head from the future
// attests nothing; nobody else has taken it.
func (k *Keeper) attested() int64 {
	h := k.heads.chain().Newest()
	if h == nil || h.Issued > k.Now().Add(clockBound).Unix() {
		return 0
	}
	return h.Issued
}

// checkTime refuses the time of a new entry that lies ahead of the clock here, or
// before what a majority has signed already. Contests and expiries go by entry
// times: a leader could end them with the one, and begin them too early with the
// other. What the registry has come to is not judged again: its time goes back by
// a decision of the members alone.
func (k *Keeper) checkTime(reached, at int64) error {
	if at > max(k.Now().Add(clockBound).Unix(), reached) {
		return fmt.Errorf("%w: %d s ahead", errClock, at-k.Now().Unix())
	}
	if early := k.attested() - int64(clockBound/time.Second); at < early {
		return fmt.Errorf("%w: %d s before the last head of the registry", errClock, early-at)
	}
	return nil
}

// checkOrdered checks the time of an entry that a leader sends, unless it is here
// or confirmed already.
func (v *voter) checkOrdered(l *raft.Log) error {
	var o ordered
	if err := identity.Unmarshal(l.Data, &o); err != nil {
		return nil // every voter refuses it alike when it is applied
	}
	s := v.k.State()
	if h := v.k.heads.chain().Newest(); o.Seq <= seqOf(s) || h != nil && o.Seq <= h.Seq {
		return nil
	}
	e, err := registry.ParseEntry(o.Entry)
	if err != nil {
		return nil
	}
	reached := int64(0)
	if s != nil {
		reached = s.Time()
	}
	return v.k.checkTime(reached, e.Time)
}

// checkTimes checks the times of the entries after one that a majority signed for,
// before this voter signs for them.
func (k *Keeper) checkTimes(after, last uint64) error {
	reached := int64(0)
	for seq := max(after, 1); seq <= last; {
		entries, err := k.Chain.Entries(seq, pageEntries)
		if err != nil || len(entries) == 0 {
			return errors.Join(err, errGap)
		}
		for _, b := range entries[:min(uint64(len(entries)), last-seq+1)] {
			e, err := registry.ParseEntry(b)
			if err != nil {
				return err
			}
			if seq <= after || seq == 1 { // the founder's time is where the registry begins
				reached = e.Time
			} else if err := k.checkTime(reached, e.Time); err != nil {
				return object("clock", "entry %d: %v", seq, err)
			}
			seq++
		}
	}
	return nil
}

// stamp is the time for a new entry, if a majority of the voters has the time
// that is here. Where the voters that answer do not, another one is to lead: the
// entry would get no majority.
func (k *Keeper) stamp(v *voter, s *registry.State) (int64, error) {
	now := k.Now()
	if !k.clocksAgree(v) {
		k.Logger.Error("the clock of this machine differs from those of other voters; another one is to lead")
		v.handOver()
		return 0, errNotLeader
	}
	return max(now.Unix(), s.Time(), k.attested()), nil
}

// clocksAgree reports whether no majority of the voters can be against the clock
// here. Who does not answer says nothing against it: raft decides then.
func (k *Keeper) clocksAgree(v *voter) bool {
	voters, _ := v.voters()
	needed := registry.Majority(len(voters))
	agree := 1 // this one
	if agree >= needed {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), clockTime)
	defer cancel()
	clocks := make(chan bool, len(voters))
	asked := 0
	for _, id := range voters {
		if id == k.id {
			continue
		}
		asked++
		go func() {
			a, err := k.ask(ctx, id, 0)
			if err != nil || a.Now == 0 { // who does not answer, or tells no time, says nothing against it
				clocks <- true
				return
			}
			off := absolute(a.Now - k.Now().Unix())
			clocks <- off <= int64(clockBound/2/time.Second)
			if off > int64(clockBound/2/time.Second) {
				k.Logger.Warn("the clock of a voter differs from the one here", "node", id, "seconds", a.Now-k.Now().Unix())
			}
		}()
	}
	for range asked {
		if <-clocks {
			agree++
		}
		if agree >= needed {
			return true
		}
	}
	return false
}

// allKnow refuses to go over to a version of the rules while a voter's program does
// not know it, or cannot be asked: it would stop there, and the quorum with it.
func (k *Keeper) allKnow(v *voter, rules uint64) error {
	voters, _ := v.voters()
	ctx, cancel := context.WithTimeout(context.Background(), clockTime)
	defer cancel()
	for _, id := range voters {
		if id == k.id {
			continue
		}
		a, err := k.ask(ctx, id, 0)
		switch {
		case err != nil:
			return fmt.Errorf("%w: it is not known which version the voter %s runs: %w", registry.ErrConflict, id, err)
		case a.Version < rules:
			return fmt.Errorf("%w: the voter %s knows the rules up to version %d; it needs a newer program first", registry.ErrConflict, id, a.Version)
		}
	}
	return nil
}
