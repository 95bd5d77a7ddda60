package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// maxShifts is how often a comparison starts over because the peer's feed moved
// on meanwhile. What was fetched by then is not fetched again.
const maxShifts = 5

// maxLeft is how many records may have gone while others were read. What a liar
// sent is not worth taking out one by one.
const maxLeft = 1000

// errJunk is returned when something was staged that the signed head does not
// cover, by an earlier source.
var errJunk = errors.New("what was fetched before does not belong to the feed")

// differences compares bucket hashes, then the entries of those that differ, and
// fetches just the records that are missing in view and were not fetched before.
func (p *pull) differences(ctx context.Context, view feed.StoreView, accept func([]byte) (*feed.SignedHead, error)) (head *feed.SignedHead, err error) {
	for range maxShifts {
		head, err = p.compare(ctx, view, accept)
		if errors.Is(err, errJunk) {
			p.resetItems()
			continue
		}
		if !errors.Is(err, errShifted) {
			return head, err
		}
	}
	return nil, err
}

// compare is one comparison. Everything in it is checked against the head as it
// comes, from the top down.
func (p *pull) compare(ctx context.Context, view feed.StoreView, accept func([]byte) (*feed.SignedHead, error)) (*feed.SignedHead, error) {
	var t tree
	if err := p.ask(ctx, http.MethodGet, "/tree", nil, &t); err != nil {
		return nil, err
	}
	head, err := accept(t.Head)
	if err != nil {
		return nil, err
	}
	if len(t.Leaves) != feed.Buckets {
		return nil, fmt.Errorf("%w: a tree of %d leaves", identity.ErrMalformed, len(t.Leaves))
	}
	leaves := feed.Leaves(t.Leaves)
	if leaves.Root() != head.Root {
		return nil, fmt.Errorf("%w: the peer's tree", feed.ErrRoot)
	}
	ours, err := view.Leaves()
	if err != nil {
		return nil, err
	}
	if err := p.spill(false); err != nil {
		return nil, err
	}
	staged := newCursor(p.staging)
	defer staged.stop()
	var differ []uint16
	for q := range leaves {
		if leaves[q] != ours[q] {
			differ = append(differ, uint16(q))
		}
	}
	for len(differ) > 0 {
		lists, err := p.lists(ctx, head, &leaves, differ[:min(len(differ), maxBuckets)])
		if err != nil {
			return nil, err
		}
		var missing []feed.Change
		for i, list := range lists {
			q := int(differ[i])
			held, err := view.Bucket(q)
			if err != nil {
				return nil, err
			}
			before, err := staged.bucket(q)
			if err != nil {
				return nil, err
			}
			more, err := p.bucket(head.Seq, held, list, before)
			if err != nil {
				return nil, err
			}
			missing = append(missing, more...)
		}
		if err := p.recordsOf(ctx, missing); err != nil {
			return nil, err
		}
		differ = differ[len(lists):]
	}
	return head, staged.rest()
}

// lists fetches the entries of buckets, as many of those asked for as come.
func (p *pull) lists(ctx context.Context, head *feed.SignedHead, leaves *feed.Leaves, asked []uint16) ([][]feed.Change, error) {
	var b buckets
	if err := p.ask(ctx, http.MethodPost, "/buckets", asked, &b); err != nil {
		return nil, err
	}
	if len(b.Lists) == 0 || len(b.Lists) > len(asked) {
		return nil, fmt.Errorf("%w: %d buckets for %d asked", identity.ErrMalformed, len(b.Lists), len(asked))
	}
	if b.Head != (identity.Hash{}) && b.Head != head.Hash {
		return nil, errShifted
	}
	for i, list := range b.Lists {
		if q := int(asked[i]); len(list) > feed.MaxBucket || feed.BucketHash(q, list) != leaves[q] {
			return nil, fmt.Errorf("%w: bucket %d", feed.ErrRoot, q)
		}
		p.fetched.Add(uint64(72 * len(list)))
	}
	return b.Lists, nil
}

// bucket takes over one bucket: what is not in it goes, and what is missing and
// was not staged before is returned.
func (p *pull) bucket(seq uint64, held, want, staged []feed.Change) (missing []feed.Change, err error) {
	var gone feed.Items
	leave := func(c feed.Change) error {
		item, err := feed.Check(feed.Change{Seq: seq, Key: c.Key, Op: feed.Erase}, nil)
		gone = append(gone, item)
		return err
	}
	have := make(map[feed.Key]feed.Change, len(staged))
	for _, c := range staged {
		have[c.Key] = c
	}
	for _, c := range changesBetween(held, want, seq) {
		old, ok := have[c.Key]
		delete(have, c.Key)
		switch {
		case ok && (old == c || !old.Live() && !c.Live()):
		case ok && old.Seq > c.Seq:
			return nil, errJunk // it would win over the right one
		case c.Live():
			missing = append(missing, c)
		default:
			if err := leave(c); err != nil {
				return nil, err
			}
		}
	}
	if err := p.leftovers(have, want, seq, leave); err != nil {
		return nil, err
	}
	return missing, p.add(gone)
}

// leftovers deals with what was staged and is not needed: a record that went
// while others were read is taken out again.
func (p *pull) leftovers(have map[feed.Key]feed.Change, want []feed.Change, seq uint64, leave func(feed.Change) error) error {
	for key, c := range have {
		i, there := slices.BinarySearchFunc(want, key, func(c feed.Change, k feed.Key) int { return bytes.Compare(c.Key[:], k[:]) })
		switch {
		case there && want[i] == c, !there && !c.Live():
		case there || c.Seq > seq || p.left >= maxLeft:
			return errJunk
		default:
			p.left++
			if err := leave(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// changesBetween are the changes that lead from one list of a bucket to another,
// in order of their keys. What goes does so at seq; since buckets do not tell
// whether it was deleted or erased, no copy of it is kept either.
func changesBetween(held, want []feed.Change, seq uint64) (out []feed.Change) {
	for len(held) > 0 || len(want) > 0 {
		order := 1
		switch {
		case len(want) == 0:
			order = -1
		case len(held) > 0:
			order = bytes.Compare(held[0].Key[:], want[0].Key[:])
		}
		switch {
		case order < 0:
			out = append(out, feed.Change{Seq: seq, Key: held[0].Key, Op: feed.Erase})
			held = held[1:]
		case order == 0:
			if held[0] != want[0] {
				out = append(out, want[0])
			}
			held, want = held[1:], want[1:]
		default:
			out = append(out, want[0])
			want = want[1:]
		}
	}
	return out
}

// recordsOf fetches records by their hashes.
func (p *pull) recordsOf(ctx context.Context, missing []feed.Change) error {
	for len(missing) > 0 {
		asked := missing[:min(len(missing), maxAsked)]
		var got records
		if err := p.ask(ctx, http.MethodPost, "/records", asked, &got); err != nil {
			return err
		}
		if len(got.Records) == 0 || len(got.Records) > len(asked) {
			return fmt.Errorf("%w: %d records for %d asked", identity.ErrMalformed, len(got.Records), len(asked))
		}
		items := make(feed.Items, 0, len(got.Records))
		for i, raw := range got.Records {
			if len(raw) == 0 {
				if err := p.add(items); err != nil {
					return err
				}
				return errShifted // replaced there meanwhile
			}
			checked, err := feed.Check(asked[i], raw)
			if err != nil {
				return err
			}
			items = append(items, checked)
		}
		if err := p.add(items); err != nil {
			return err
		}
		missing = missing[len(items):]
	}
	return nil
}

// cursor reads what is staged along with the buckets that are compared.
type cursor struct {
	next func() (feed.Change, error, bool)
	stop func()
	c    feed.Change
	err  error
	more bool
}

func newCursor(staging feed.Staging) *cursor {
	if staging == nil {
		return &cursor{stop: func() {}}
	}
	k := new(cursor)
	k.next, k.stop = iter.Pull2(staging.Changes)
	k.step()
	return k
}

func (k *cursor) step() { k.c, k.err, k.more = k.next() }

// bucket lists what is staged of bucket q, keys ascending, or [errJunk] when
// something is left of a bucket before it.
func (k *cursor) bucket(q int) (out []feed.Change, err error) {
	for k.more && k.err == nil && k.c.Key.Bucket() <= q {
		if k.c.Key.Bucket() < q {
			return nil, errJunk
		}
		out = append(out, k.c)
		k.step()
	}
	return out, k.err
}

// rest fails when something is left.
func (k *cursor) rest() error {
	if k.err == nil && k.more {
		return errJunk
	}
	return k.err
}
