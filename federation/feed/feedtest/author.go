package feedtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// Author writes a member's feed by hand. It keeps the feed as a plain list.
type Author struct {
	f       *Federation
	m       *Member
	live    map[feed.Key]feed.Change
	records map[feed.Key][]byte
	seq, n  uint64
	prev    identity.Hash
	pending feed.Items
	issued  feed.Minute
	signed  []signed
	Heads   [][]byte // every envelope made, oldest first
}

// signed is what an author remembers of a head to know what the next one needs.
type signed struct {
	seq      uint64
	issued   feed.Minute
	approved bool
}

// Author begins a member's feed.
func (f *Federation) Author(name string) *Author {
	return &Author{f: f, m: f.Member(name), live: make(map[feed.Key]feed.Change), records: make(map[feed.Key][]byte), issued: feed.MinuteOf(Now)}
}

// Clone is another author at the same point, to contradict the first one.
func (a *Author) Clone() *Author {
	b := *a
	b.live, b.records, b.Heads, b.pending = maps.Clone(a.live), maps.Clone(a.records), slices.Clone(a.Heads), nil
	b.signed = slices.Clone(a.signed)
	return &b
}

// Origin is whose feed it is.
func (a *Author) Origin() identity.OriginID { return a.m.Origin }

// Record is the encoded record of a body: always the same bytes for the same.
func Record(key feed.Key, revision uint64, body string) []byte {
	nonce := sha256.Sum256([]byte(body))
	r := feed.Record{Version: 1, Key: key, Type: "listing", Revision: revision, Modified: feed.DayOf(Now), Nonce: [16]byte(nonce[:16]), Body: []byte(body)}
	b, err := r.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

// Put gives a key a record with this body.
func (a *Author) Put(key feed.Key, body string) *Author {
	a.seq++
	raw := Record(key, a.seq, body)
	return a.add(feed.Change{Seq: a.seq, Key: key, Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}, raw)
}

// With adds a change as it is, right or wrong, without a number of its own.
func (a *Author) With(item feed.Item) *Author { return a.add(item.Change(), item.Raw()) }

// Delete takes a key's record away.
func (a *Author) Delete(key feed.Key) *Author {
	a.seq++
	return a.add(feed.Change{Seq: a.seq, Key: key, Op: feed.Delete}, nil)
}

// Erase takes a key's record away with all copies.
func (a *Author) Erase(key feed.Key) *Author {
	a.seq++
	return a.add(feed.Change{Seq: a.seq, Key: key, Op: feed.Erase}, nil)
}

func (a *Author) add(c feed.Change, raw []byte) *Author {
	item, err := feed.Check(c, raw)
	if err != nil {
		panic(err)
	}
	a.pending = append(a.pending, item)
	delete(a.live, c.Key)
	delete(a.records, c.Key)
	if c.Live() {
		a.live[c.Key], a.records[c.Key] = c, raw
	}
	return a
}

// Fill puts records from number from up to, not including, to.
func (a *Author) Fill(from, to int, body string) *Author {
	for i := from; i < to; i++ {
		a.Put(RecordKey(i), fmt.Sprintf("%s %d", body, i))
	}
	return a
}

// NewEpoch lets the feed start over from nothing, as an owner does that lost
// all. After [Federation.Bump] an author goes on in the new epoch from where it
// is.
func (a *Author) NewEpoch() *Author {
	a.f.Bump(a.m.Name, nil)
	a.n, a.prev, a.signed = 0, identity.Hash{}, nil
	return a
}

// At dates the next heads and beats.
func (a *Author) At(t time.Time) *Author {
	a.issued = feed.MinuteOf(t)
	return a
}

// large reports whether more changed within a day than the publish key may sign
// alone.
func (a *Author) large() bool {
	for i := len(a.signed) - 1; i >= 0; i-- {
		if s := a.signed[i]; s.approved || s.issued <= a.issued-24*60 || i == 0 {
			return a.seq-s.seq > feed.LargeChange
		}
	}
	return len(a.pending) > feed.LargeChange
}

// spread dates the next head a minute later when this minute is full, as long as
// that is not too far ahead of [Now].
func (a *Author) spread() {
	limit := a.f.Limits.PerMinute
	if limit == 0 {
		limit = feed.DefaultPerMinute
	}
	i := len(a.signed) - limit
	if i >= 0 && a.signed[i].issued == a.issued && a.issued < feed.MinuteOf(Now.Add(feed.Ahead)) {
		a.issued++
	}
}

// Head signs what was put since the last head. Change may bend the head before
// it is signed; with no keys given the publish key signs, and the admin key as
// well when the change is large.
func (a *Author) Head(change func(*feed.Head), keys ...*identity.Key) ([]byte, feed.Items) {
	a.n++
	a.spread()
	var size uint64
	for _, c := range a.live {
		size += uint64(c.Size)
	}
	h := feed.Head{
		Version: 1, Federation: a.f.ID, Origin: a.m.Origin, Epoch: a.m.Epoch, N: a.n, Seq: a.seq,
		Count: uint64(len(a.live)), Bytes: size, Root: a.Leaves().Root(), Prev: a.prev, Issued: a.issued,
	}
	if change != nil {
		change(&h)
	}
	if len(keys) == 0 {
		keys = []*identity.Key{a.m.Publish}
		if a.large() {
			keys = append(keys, a.m.Admin)
		}
	}
	a.signed = append(a.signed, signed{a.seq, h.Issued, slices.Contains(keys, a.m.Admin)})
	env := SignHead(h, keys...)
	parsed, err := feed.ParseHead(env)
	if err == nil {
		a.prev = parsed.Hash
	}
	a.Heads = append(a.Heads, env)
	items := a.pending
	a.pending = nil
	return env, items.Sort()
}

// SignHead makes the envelope of any head, right or wrong.
func SignHead(h feed.Head, keys ...*identity.Key) []byte {
	body, err := identity.Marshal(h)
	if err != nil {
		panic(err)
	}
	return identity.Sign(identity.TypeHead, h.Federation, body, keys...).Encode()
}

// SignBeat makes the envelope of any beat, right or wrong.
func SignBeat(b feed.Beat, key *identity.Key) *feed.SignedBeat {
	signed, err := b.Sign(key)
	if err != nil {
		panic(err)
	}
	return signed
}

// Beat is a beat for the newest head.
func (a *Author) Beat(counter uint64) *feed.SignedBeat {
	b := feed.Beat{
		Version: 1, Federation: a.f.ID, Origin: a.m.Origin, Epoch: a.m.Epoch, N: a.n, Counter: counter,
		Issued: a.issued, Expires: feed.MinuteOf(a.issued.Time().Add(feed.BeatLife)),
	}
	copy(b.Head[:], a.prev[:])
	return SignBeat(b, a.m.Publish)
}

// Bucket lists the live entries of a bucket, keys ascending.
func (a *Author) Bucket(q int) []feed.Change {
	lists, _ := fromScratch(slices.Collect(maps.Values(a.live)))
	return lists[q]
}

// Buckets lists the live entries of all buckets.
func (a *Author) Buckets() [feed.Buckets][]feed.Change {
	lists, _ := fromScratch(slices.Collect(maps.Values(a.live)))
	return lists
}

// Leaves are the bucket hashes, computed from scratch.
func (a *Author) Leaves() *feed.Leaves {
	_, leaves := fromScratch(slices.Collect(maps.Values(a.live)))
	return leaves
}

func fromScratch(live []feed.Change) (lists [feed.Buckets][]feed.Change, leaves *feed.Leaves) {
	for _, c := range live {
		q := c.Key.Bucket()
		lists[q] = append(lists[q], c)
	}
	leaves = new(feed.Leaves)
	for q, list := range lists {
		slices.SortFunc(list, func(x, y feed.Change) int { return bytes.Compare(x.Key[:], y.Key[:]) })
		leaves[q] = feed.BucketHash(q, list)
	}
	return lists, leaves
}

// Live lists the live entries in order of their numbers.
func (a *Author) Live() []feed.Change {
	return slices.SortedFunc(maps.Values(a.live), func(x, y feed.Change) int { return int(x.Seq) - int(y.Seq) })
}

// Raw is the encoded record of a key; nil when there is none.
func (a *Author) Raw(key feed.Key) []byte { return a.records[key] }

// View shows the author's list as if it were held under its newest head.
func (a *Author) View() feed.View { return authorView{a} }

type authorView struct{ a *Author }

func (v authorView) Head() *feed.SignedHead {
	if len(v.a.Heads) == 0 {
		return nil
	}
	h, err := feed.ParseHead(v.a.Heads[len(v.a.Heads)-1])
	if err != nil {
		panic(err)
	}
	return h
}
func (v authorView) Leaves() (*feed.Leaves, error)       { return v.a.Leaves(), nil }
func (v authorView) Bucket(q int) ([]feed.Change, error) { return v.a.Bucket(q), nil }
func (v authorView) Close()                              {}

// Heads are the author's envelopes from number n of the newest epoch on.
func (v authorView) Heads(n uint64, limit int) (out [][]byte, err error) {
	for _, env := range chain(v.a.Heads) {
		h, err := feed.ParseHead(env)
		if err != nil {
			return nil, err
		}
		if h.N >= n && len(out) < limit {
			out = append(out, env)
		}
	}
	return out, nil
}

// chain is the unbroken chain of heads that ends with the last one.
func chain(envelopes [][]byte) [][]byte {
	for i := len(envelopes) - 1; i > 0; i-- {
		h, err := feed.ParseHead(envelopes[i])
		if err != nil {
			return envelopes[i+1:]
		}
		before, err := feed.ParseHead(envelopes[i-1])
		if err != nil || h.Prev != before.Hash || h.N != before.N+1 {
			return envelopes[i:]
		}
	}
	return envelopes
}
