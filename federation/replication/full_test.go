package replication_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed/feedtest"
)

// TestAFullDiskKeepsWhatWasFetched: there is no room left in the middle of a first
// copy, by the list of changes and by buckets. What was fetched is kept, next to
// nothing more is asked for meanwhile, and the copy goes on from there when there is
// room again. No peer is blamed.
func TestAFullDiskKeepsWhatWasFetched(t *testing.T) {
	for _, by := range []string{"feed", "records"} {
		t.Run(by, func(t *testing.T) {
			scene(t, func(p *play) {
				first := p.f.Author("ada").Fill(0, 10, "before")
				before, firstItems := first.Head(nil)
				ada, ben := p.node("ada"), p.node("ben")
				ada.take(first, firstItems, before)
				p.synced(time.Minute, first, ben)
				p.net.Cut("ada", "ben")
				if by == "records" {
					p.f.Bump("ada", nil) // a new epoch is compared by buckets
				}
				a := first.Fill(5, 5000, string(make([]byte, 900)))
				env, items := a.Head(nil)
				newest := ada.take(a, items, env)
				ada.afterwards(func(what string) {
					if what == by && ada.count(by) == 3 {
						ben.store.Fail(errors.New("no space left on the disk"))
					}
				})
				ada.forget()
				p.net.HealAll()
				ada.rep.Announce(context.Background(), newest)
				p.within(time.Minute, "the disk is full", func() bool { return ada.count(by) >= 3 })
				time.Sleep(time.Minute)
				progress, asked := ben.rep.Progress(), ada.count(by)
				if len(progress) != 1 || progress[0].Records < 1000 || progress[0].Records > 5000 {
					t.Fatalf("kept: %+v", progress)
				}
				time.Sleep(time.Hour)
				if now := ada.count(by); now > asked {
					t.Errorf("%d more were asked for while nothing could be stored", now-asked)
				}
				if now := ben.rep.Progress(); len(now) != 1 || now[0].Records != progress[0].Records {
					t.Errorf("%+v were kept an hour later, %+v before", now, progress)
				}
				if known, ok := ben.rep.Known(a.Origin()); !ok || known.Idle < time.Hour || known.Idle > 2*time.Hour {
					t.Errorf("nothing came in for an hour, and %+v is told", known)
				}
				staged := ben.store.Staged(a.Origin())
				ben.store.Fail(nil)
				p.synced(2*time.Minute, a, ben)
				total := map[string]int{"feed": 8, "records": 18}[by]
				if n := ada.count(by); n > total {
					t.Errorf("%d times %s was asked for in all, with %d changes staged when the disk was full", n, by, staged)
				}
				if len(ben.rep.Refused()) != 0 {
					t.Errorf("an honest peer was refused: %v", ben.rep.Refused())
				}
			})
		})
	}
}

// TestAFullDiskWhenTheLastStepIsTaken: all was fetched, and the step itself does not
// fit. Nothing is fetched again.
func TestAFullDiskWhenTheLastStepIsTaken(t *testing.T) {
	scene(t, func(p *play) {
		a := p.f.Author("ada").Fill(0, 300, "small enough to stay in memory")
		ada := p.node("ada")
		ada.publish(a)
		store := feedtest.NewMemory()
		store.Fail(errors.New("no space left on the disk"))
		ben := p.start("ben", store, nil)
		p.within(time.Minute, "it was fetched", func() bool { return ada.count("feed") > 0 })
		time.Sleep(30 * time.Minute)
		pages := ada.count("feed")
		if ben.n(a) != 0 {
			t.Fatal("a full disk took it")
		}
		store.Fail(nil)
		p.synced(2*time.Minute, a, ben)
		if n := ada.count("feed"); n > pages+2 {
			t.Errorf("%d pages were asked for, %d by the time there was room", n, pages)
		}
	})
}
