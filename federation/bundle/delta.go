package bundle

import (
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/2ps-project/waymark/federation/feed"
)

// delta shows the changes of a feed to [feed.Rules] straight from the file. The
// first range goes on with the walk that is under way; later ones read the file
// again.
type delta struct {
	first iter.Seq2[feed.Item, error]
	again func() iter.Seq2[feed.Item, error]
	used  bool
}

func (d *delta) Changes(yield func(feed.Change, error) bool) {
	items := d.first
	if d.used {
		items = d.again()
	}
	d.used = true
	for item, err := range items {
		if !yield(item.Change(), err) || err != nil {
			return
		}
	}
}

// reread yields the changes of feed number i once more, as steps from what the
// view holds.
func reread(ctx context.Context, file io.Reader, i int, view feed.View) iter.Seq2[feed.Item, error] {
	return func(yield func(feed.Item, error) bool) {
		if err := walk(ctx, file, nil, &finder{i: i, found: func(s *section) error {
			for item, err := range s.steps(view) {
				if !yield(item, err) {
					break
				}
			}
			return errStop
		}}); err != nil {
			yield(feed.Item{}, err)
		}
	}
}

// finder passes over everything before one feed.
type finder struct {
	i     int
	found func(*section) error
}

func (f *finder) manifest(*Manifest) error   { return nil }
func (f *finder) head([]byte) error          { return nil }
func (f *finder) entry(uint64, []byte) error { return nil }
func (f *finder) item([]byte) error          { return nil }
func (f *finder) registered() error          { return nil }
func (f *finder) feed(i int, s *section) error {
	if i < f.i {
		return nil
	}
	return f.found(s)
}

// steps are the changes that lead from what the view holds to the section's
// head, ordered by bucket and key. Of the view's entries one bucket at a time is
// in memory.
func (s *section) steps(view feed.View) iter.Seq2[feed.Item, error] {
	held := view.Head()
	switch {
	case held == nil:
		return s.items
	case !s.Whole():
		return func(yield func(feed.Item, error) bool) {
			for item, err := range s.items {
				if err == nil && item.Change().Seq <= held.Seq {
					continue // the state held is newer than the base, and has it
				}
				if !yield(item, err) {
					return
				}
			}
		}
	}
	return func(yield func(feed.Item, error) bool) {
		m := merger{s: s, view: view, yield: yield}
		m.run()
	}
}

// merger turns a whole feed into the steps from another state of it: what is
// equal is left out, what is missing goes.
type merger struct {
	s      *section
	view   feed.View
	yield  func(feed.Item, error) bool
	bucket int           // whose entries are in held
	held   []feed.Change // not yet passed, keys ascending
}

func (m *merger) run() {
	if !m.load(0) {
		return
	}
	for item, err := range m.s.items {
		if err != nil {
			m.yield(feed.Item{}, err)
			return
		}
		c := item.Change()
		for q := c.Key.Bucket(); m.bucket < q; {
			if !m.drop(len(m.held)) || !m.load(m.bucket+1) {
				return
			}
		}
		before := 0
		for before < len(m.held) && bytes.Compare(m.held[before].Key[:], c.Key[:]) < 0 {
			before++
		}
		if !m.drop(before) {
			return
		}
		if len(m.held) > 0 && m.held[0].Key == c.Key {
			same := m.held[0] == c
			m.held = m.held[1:]
			if same {
				continue
			}
		}
		if !m.yield(item, nil) {
			return
		}
	}
	for m.drop(len(m.held)) && m.bucket < feed.Buckets-1 && m.load(m.bucket+1) {
		continue
	}
}

func (m *merger) load(q int) bool {
	held, err := m.view.Bucket(q)
	if err != nil {
		m.yield(feed.Item{}, err)
		return false
	}
	m.bucket, m.held = q, held
	return true
}

// drop yields the end of the first n entries that are held.
func (m *merger) drop(n int) bool {
	for _, c := range m.held[:n] {
		gone, err := feed.Check(feed.Change{Seq: m.s.Seq, Key: c.Key, Op: feed.Delete}, nil)
		if !m.yield(gone, err) || err != nil {
			return false
		}
	}
	m.held = m.held[n:]
	return true
}
