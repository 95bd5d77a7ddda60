package feed_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
)

// TestEditsMeetDamage: a record of the own feed rots before the next publish.
// What the editor wants done is done whole, or refused with the damage named;
// never does a publish pass for done that was not.
func TestEditsMeetDamage(t *testing.T) {
	const rotten, whole = 1, 2 // numbers of records
	edit := func(i int, op feed.Op, body string) feed.Edit {
		e := feed.Edit{Key: feedtest.RecordKey(i), Op: op}
		if op == feed.Put {
			e.Type, e.Body = "listing", []byte(body)
		}
		return e
	}
	beside := edit(whole, feed.Put, "changed")
	for _, c := range []struct {
		name  string
		lost  bool // the entry too, not the record alone
		edits []feed.Edit
		heals bool   // what is held is whole afterwards
		want  string // the body of the damaged record afterwards; "" when it is gone
		err   error
	}{
		{"a record that rotted is replaced", false, []feed.Edit{edit(rotten, feed.Put, "anew")}, true, "anew", nil},
		{"it is put again as it was", false, []feed.Edit{edit(rotten, feed.Put, "one 1")}, true, "one 1", nil},
		{"it is deleted", false, []feed.Edit{edit(rotten, feed.Delete, "")}, true, "", nil},
		{"it is erased", false, []feed.Edit{edit(rotten, feed.Erase, "")}, true, "", nil},
		{"another one is edited", false, []feed.Edit{beside}, false, "", nil},
		{"another one, while an entry is lost", true, []feed.Edit{beside}, false, "", nil},
		{"a record whose entry is lost is deleted", true, []feed.Edit{edit(rotten, feed.Delete, "")}, false, "", feed.ErrDamaged},
		{"it is deleted along with another edit", true, []feed.Edit{beside, edit(rotten, feed.Delete, "")}, false, "", feed.ErrDamaged},
		{"it is erased while its entry is lost", true, []feed.Edit{edit(rotten, feed.Erase, "")}, false, "", feed.ErrDamaged},
		{"it is put again while its entry is lost", true, []feed.Edit{edit(rotten, feed.Put, "one 1")}, false, "", feed.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			var told error
			p := d.start(func(o *feed.PublisherOptions) { o.Damaged = func(err error) { told = err } })
			first := d.publish(p, put(0, 4, "one"))
			damage := d.store.Corrupt
			if c.lost {
				damage = d.store.Lose
			}
			if !damage(first.Origin, feedtest.RecordKey(rotten)) {
				t.Fatal("nothing there to damage")
			}
			h, err := p.Publish(context.Background(), slices.Values(c.edits))
			p.Wait()
			if !errors.Is(err, c.err) || !errors.Is(told, c.err) {
				t.Fatalf("publishing said %v and told %v, want %v", err, told, c.err)
			}
			if c.err != nil {
				if held := d.held(); held.Hash != first.Hash {
					t.Errorf("head %d was signed in spite of it", held.N)
				}
				return
			}
			if h == nil {
				t.Fatal("the edit passed for none")
			}
			actual, err := d.store.Actual(first.Origin)
			if err != nil {
				t.Fatal(err)
			}
			leaves, err := actual.Leaves()
			if err != nil || (leaves.Root() == h.Root) != c.heals {
				t.Errorf("what is whole adds up to the head: %t (%v), want %t", leaves.Root() == h.Root, err, c.heals)
			}
			if !c.heals {
				return
			}
			_, raw, err := actual.Record(feedtest.RecordKey(rotten))
			if c.want == "" {
				if !errors.Is(err, feed.ErrNoRecord) {
					t.Errorf("the record is still there: %q, %v", raw, err)
				}
				return
			}
			r, err := feed.ParseRecord(raw)
			if err != nil || string(r.Body) != c.want || r.Revision < 2 {
				t.Errorf("the record is %+v, %v", r, err)
			}
		})
	}
}
