package replication_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
)

// TestForkedFeedIsFrozen: a node that was restored from an older copy published
// on while it was cut off, so that a number was signed twice. Whichever branch
// is the longer one, the owner hears of it, and nobody follows either any more.
func TestForkedFeedIsFrozen(t *testing.T) {
	for _, c := range []struct {
		name string
		more int // heads of the restored node after the one that was cloned
	}{{"shorter", 1}, {"as long", 2}, {"longer", 4}} {
		t.Run(c.name, func(t *testing.T) {
			scene(t, func(p *play) {
				a := p.f.Author("ada").Fill(0, 5, "one")
				first, firstItems := a.Head(nil)
				restored := a.Clone()
				ben, ada := p.node("ben"), p.node("ada")
				p.net.Cut("ada", "ben")
				ben.take(restored, firstItems, first)
				ada.take(restored, firstItems, first)
				for i := range 2 {
					env, items := a.Put(feedtest.RecordKey(i), "seen").Head(nil)
					ben.take(a, items, env)
				}
				for i := range c.more {
					env, items := restored.Put(feedtest.RecordKey(i), "after the restore").Head(nil)
					ada.take(restored, items, env)
				}
				p.net.Heal("ada", "ben")
				p.within(time.Minute, "both know that the feed is forked", func() bool {
					return ada.rep.Frozen(a.Origin()) && ben.rep.Frozen(a.Origin())
				})
				time.Sleep(10 * time.Minute)
				feedtest.Same(t, ben.store, a)
				feedtest.Same(t, ada.store, restored)
				ada.mu.Lock()
				defer ada.mu.Unlock()
				if len(ada.newerOwn) == 0 {
					t.Error("the owner's publisher did not hear of it")
				}
				if ada.adopted != 0 {
					t.Error("the owner takes one of the branches for the right one")
				}
			})
		})
	}
}

// TestTheOwnerHearsOfItsClone: two copies of a node sign under one number. The
// copy that everybody follows hears of the other from those who met it, also where
// the registry has put one of the two heads on record, so that nobody could take
// the other.
func TestTheOwnerHearsOfItsClone(t *testing.T) {
	for _, onRecord := range []bool{false, true} {
		t.Run(fmt.Sprintf("on record %t", onRecord), func(t *testing.T) {
			scene(t, func(p *play) {
				a := p.f.Author("ada").Fill(0, 5, "one")
				first, firstItems := a.Head(nil)
				clone := a.Clone()
				env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
				other, _ := clone.Put(feedtest.RecordKey(1), "another two").Head(nil)
				ada, ben := p.node("ada"), p.node("ben")
				for _, n := range []*node{ada, ben} {
					n.take(a, firstItems, first)
				}
				ada.take(a, items, env)
				p.synced(20*time.Second, a, ada)
				p.within(10*time.Minute, "ben follows ada", func() bool { return ben.n(a) == 2 })
				if onRecord {
					p.f.SetAnchor("ada", a.View().Head().Place())
				}
				ben.rep.HeardHead(context.Background(), ada.id, other)
				p.within(time.Minute, "ada hears of the other head", func() bool {
					ada.mu.Lock()
					defer ada.mu.Unlock()
					return ada.rep.Frozen(a.Origin()) && len(ada.newerOwn) > 0
				})
			})
		})
	}
}

// TestDeadPeerIsMissed: a peer that dies is known to be away within seconds,
// though there is nothing to tell it.
func TestDeadPeerIsMissed(t *testing.T) {
	scene(t, func(p *play) {
		ada, ben := p.node("ada"), p.node("ben")
		<-ada.rep.Met()
		time.Sleep(time.Minute)
		ben.stop()
		d := p.within(15*time.Second, "ada misses ben", func() bool { return len(ada.rep.Unreachable()) == 1 })
		t.Logf("after %s", d)
	})
}

// TestMet: whoever waits for the first comparison knows what the peers show,
// and does not wait for long when they are away.
func TestMet(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 5, "one")
		old, oldItems := a.Head(nil)
		before := a.Clone()
		env, items := a.Put(feedtest.RecordKey(1), "two").Head(nil)
		ben, cyd := p.node("ben"), p.node("cyd")
		ben.take(before, oldItems, old)
		ben.take(a, items, env)
		cyd.stop()
		ada := p.node("ada")
		start := time.Now()
		<-ada.rep.Met()
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("waited for %s", d)
		}
		ada.mu.Lock()
		defer ada.mu.Unlock()
		if len(ada.newerOwn) == 0 {
			t.Error("the newer head is not known yet")
		}
	})
}
