package catalog_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/node/listing"
)

// latest is every page of a country's last changes: "id day", gone ones with a minus.
func (s *shelf) latest(country string, most int) []string {
	s.t.Helper()
	var out []string
	for before := uint64(0); ; {
		list, err := s.catalog.Latest(context.Background(), country, before, most)
		if err != nil || len(list) > most {
			s.t.Fatal(len(list), err)
		}
		for _, u := range list {
			if before > 0 && u.Seq >= before {
				s.t.Errorf("change %d stands behind %d", u.Seq, before)
			}
			before = u.Seq
			mark := "-"
			if u.Shown != nil {
				if mark = "+"; u.Shown.Listing.ID != u.ID {
					s.t.Errorf("%s shows %s", u.ID, u.Shown.Listing.ID)
				}
			}
			out = append(out, mark+u.ID+u.Day.Format(" 2006-01-02"))
		}
		if len(list) < most {
			return out
		}
	}
}

// TestLatest: the last changes of a country stand in their order, each listing once,
// with what was deleted or hidden, and without what is no listing, in pages of any size.
func TestLatest(t *testing.T) {
	s := newShelf(t)
	start := feedtest.Now.AddDate(0, 0, -20)
	ada := s.f.Author("ada")
	line := func(mark string, k feed.Key, days int) string {
		if mark == "+" {
			days = 20 // what is there says itself when it was changed
		}
		return mark + name(k) + start.AddDate(0, 0, days).Format(" 2006-01-02")
	}
	var keys []feed.Key
	for i := range 9 { // one a day
		ada.At(start.AddDate(0, 0, i))
		keys = append(keys, s.put(ada, i, nil))
		s.append(ada, false)
	}
	check := func(when string, want ...string) {
		t.Helper()
		for _, most := range []int{1, 2, 3, 8, 50} {
			if have := s.latest("LT", most); strings.Join(have, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s, in pages of %d:\n%s\nwant\n%s", when, most, strings.Join(have, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	check("as they came", line("+", keys[8], 8), line("+", keys[7], 7), line("+", keys[6], 6), line("+", keys[5], 5), line("+", keys[4], 4),
		line("+", keys[3], 3), line("+", keys[2], 2), line("+", keys[1], 1), line("+", keys[0], 0))
	ada.At(start.AddDate(0, 0, 10)).Delete(keys[2])
	s.append(ada, false)
	ada.At(start.AddDate(0, 0, 11)).Erase(keys[5])
	ada.Put(feedtest.RecordKey(9000), "no listing at all")
	s.append(ada, false)
	s.hides[keys[7]] = listing.Hiding{Reason: "danger", Since: start.AddDate(0, 0, 9).Add(5 * time.Hour)}
	if err := s.catalog.Reconsider(context.Background(), ada.Origin(), keys[7]); err != nil {
		t.Fatal(err)
	}
	check("after a deletion, an erasure, a hiding and a record that nobody can read", line("-", feedtest.RecordKey(9000), 11), line("-", keys[5], 11), line("-", keys[2], 10), line("+", keys[8], 8), line("-", keys[7], 9),
		line("+", keys[6], 6), line("+", keys[4], 4), line("+", keys[3], 3), line("+", keys[1], 1), line("+", keys[0], 0))
	for _, country := range []string{"FI", "XX", ""} {
		if have := s.latest(country, 50); len(have) > 0 {
			t.Errorf("%q: %v", country, have)
		}
	}
}

// What a page of a feed of changes costs in a list of 10,000.
func BenchmarkLatest(b *testing.B) {
	s := newShelf(b)
	ada := s.f.Author("ada")
	var keys []feed.Key
	for i := range 10_000 {
		keys = append(keys, s.put(ada, i, nil))
	}
	s.append(ada, true)
	for i := range 60 { // the worst that can be: as many heads as deletions
		ada.Delete(keys[i*3])
		s.append(ada, false)
	}
	for _, before := range []uint64{0, 9_000, 60} {
		b.Run(fmt.Sprint("before=", before), func(b *testing.B) {
			for b.Loop() {
				list, err := s.catalog.Latest(context.Background(), "LT", before, 51)
				if err != nil || len(list) < 20 {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}
