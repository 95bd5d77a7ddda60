// Package feedtest checks that an implementation keeps the contract of
// feed.Store, and makes federations, authors and feeds for tests.
//
// An [Author] computes everything from scratch in the plainest way, so that it
// is a second opinion on packages that do the same by increments.
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

// Now is the moment at which test federations live.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Key is the key of a name: always the same one.
func Key(role identity.Role, name string) *identity.Key {
	return identity.KeyFromSeed(role, sha256.Sum256([]byte("feedtest/"+string(role)+"/"+name)))
}

// RecordKey is the record key number i.
func RecordKey(i int) feed.Key {
	sum := sha256.Sum256(fmt.Appendf(nil, "feedtest/record/%d", i))
	return feed.Key(sum[:16])
}

// Member is an origin with its keys.
type Member struct {
	Name           string
	Origin         identity.OriginID
	Publish, Admin *identity.Key
	Epoch          uint64
	Suspended      bool
}

// Federation is a registry that tests write as they like. It is not safe for
// changes while it is in use by others.
type Federation struct {
	ID      identity.FederationID
	members map[identity.OriginID]*Member
}

var _ feed.Keys = (*Federation)(nil)

// NewFederation makes a federation with members of these names in epoch 1.
func NewFederation(names ...string) *Federation {
	sum := sha256.Sum256([]byte("feedtest/federation"))
	f := &Federation{ID: identity.FederationID(sum[:16]), members: make(map[identity.OriginID]*Member)}
	for _, name := range names {
		sum := sha256.Sum256([]byte("feedtest/origin/" + name))
		m := &Member{
			Name: name, Origin: identity.OriginID(sum[:16]), Epoch: 1,
			Publish: Key(identity.RolePublish, name), Admin: Key(identity.RoleAdmin, name),
		}
		f.members[m.Origin] = m
	}
	return f
}

// Member is the member of a name, which must be one of those given.
func (f *Federation) Member(name string) *Member {
	for _, m := range f.members {
		if m.Name == name {
			return m
		}
	}
	panic("feedtest: no member " + name)
}

// HeadKey implements [feed.Keys].
func (f *Federation) HeadKey(o identity.OriginID, epoch, _ uint64, id identity.KeyID) (identity.PublicKey, bool) {
	m := f.members[o]
	if m == nil || epoch != m.Epoch || id != m.Publish.ID() {
		return identity.PublicKey{}, false
	}
	return m.Publish.Public(), true
}

// AdminKey implements [feed.Keys].
func (f *Federation) AdminKey(o identity.OriginID, id identity.KeyID) (identity.PublicKey, bool) {
	m := f.members[o]
	if m == nil || id != m.Admin.ID() {
		return identity.PublicKey{}, false
	}
	return m.Admin.Public(), true
}

// Epoch implements [feed.Keys].
func (f *Federation) Epoch(o identity.OriginID) (uint64, bool) {
	m := f.members[o]
	if m == nil || m.Suspended {
		return 0, false
	}
	return m.Epoch, true
}

// Rules check what belongs to the federation at [Now].
func (f *Federation) Rules() feed.Rules { return feed.Rules{Federation: f.ID, Keys: f, Now: Now} }

// Author writes a member's feed by hand. It keeps the feed as a plain list.
type Author struct {
	f       *Federation
	m       *Member
	live    map[feed.Key]feed.Change
	records map[feed.Key][]byte
	seq, n  uint64
	prev    identity.Hash
	pending feed.Items
	Heads   [][]byte // every envelope made, oldest first
}

// Author begins a member's feed.
func (f *Federation) Author(name string) *Author {
	return &Author{f: f, m: f.Member(name), live: make(map[feed.Key]feed.Change), records: make(map[feed.Key][]byte)}
}

// Clone is another author at the same point, to contradict the first one.
func (a *Author) Clone() *Author {
	b := *a
	b.live, b.records, b.Heads, b.pending = maps.Clone(a.live), maps.Clone(a.records), slices.Clone(a.Heads), nil
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

// NewEpoch lets the feed start over, as after a command of the registry.
func (a *Author) NewEpoch() *Author {
	a.m.Epoch++
	a.n, a.prev = 0, identity.Hash{}
	return a
}

// Head signs what was put since the last head. Change may bend the head before
// it is signed; with no keys given the publish key signs, and the admin key as
// well when the change is large.
func (a *Author) Head(change func(*feed.Head), keys ...*identity.Key) ([]byte, feed.Items) {
	a.n++
	var size uint64
	for _, c := range a.live {
		size += uint64(c.Size)
	}
	h := feed.Head{
		Version: 1, Federation: a.f.ID, Origin: a.m.Origin, Epoch: a.m.Epoch, N: a.n, Seq: a.seq,
		Count: uint64(len(a.live)), Bytes: size, Root: a.Leaves().Root(), Prev: a.prev, Issued: feed.MinuteOf(Now),
	}
	if change != nil {
		change(&h)
	}
	if len(keys) == 0 {
		keys = []*identity.Key{a.m.Publish}
		if len(a.pending) > feed.LargeChange {
			keys = append(keys, a.m.Admin)
		}
	}
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
		Issued: feed.MinuteOf(Now), Expires: feed.MinuteOf(Now.Add(feed.BeatLife)),
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
