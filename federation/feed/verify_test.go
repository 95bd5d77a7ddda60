package feed_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// oldKey is the first publish key of ada, whatever followed it.
func oldKey(*feedtest.Federation) []*identity.Key {
	return []*identity.Key{feedtest.Key(identity.RolePublish, "ada")}
}

// anchor puts a head on record, or with bend another one of its number.
func anchor(f *feedtest.Federation, h *feed.Head, bend byte) {
	body, err := identity.Marshal(h)
	if err != nil {
		panic(err)
	}
	hash := feed.HashHead(body)
	hash[0] ^= bend
	f.SetAnchor("ada", feed.Place{Epoch: h.Epoch, N: h.N, Hash: hash})
}

// TestCheckHead has one row for each reason to refuse a head on its own.
func TestCheckHead(t *testing.T) {
	stranger := feedtest.Key(identity.RolePublish, "stranger")
	for _, c := range []struct {
		name string
		bend func(*feedtest.Federation, *feed.Head) // may also bend the registry
		sign func(*feedtest.Federation) []*identity.Key
		err  error
	}{
		{"a good head", nil, nil, nil},
		{"ten minutes ahead", func(_ *feedtest.Federation, h *feed.Head) { h.Issued += 10 }, nil, nil},
		{"long past", func(_ *feedtest.Federation, h *feed.Head) { h.Issued = 0 }, nil, nil},
		{"with an admin key as well", nil, func(f *feedtest.Federation) []*identity.Key {
			return []*identity.Key{f.Member("ada").Publish, f.Member("ada").Admin}
		}, nil},
		{"of another federation", func(_ *feedtest.Federation, h *feed.Head) { h.Federation[0] ^= 1 }, nil, feed.ErrFederation},
		{"of an unknown origin", func(_ *feedtest.Federation, h *feed.Head) { h.Origin[0] ^= 1 }, nil, feed.ErrOrigin},
		{"of a suspended origin", func(f *feedtest.Federation, _ *feed.Head) { f.Member("ada").Suspended = true }, nil, feed.ErrOrigin},
		{"of an epoch to come", func(_ *feedtest.Federation, h *feed.Head) { h.Epoch++ }, nil, feed.ErrEpoch},
		{"of an epoch gone by", func(f *feedtest.Federation, _ *feed.Head) { f.Member("ada").Epoch++ }, nil, feed.ErrEpoch},
		{"unsigned", nil, func(*feedtest.Federation) []*identity.Key { return []*identity.Key{} }, identity.ErrUnsigned},
		{"signed by an unknown key", nil, func(*feedtest.Federation) []*identity.Key { return []*identity.Key{stranger} }, identity.ErrUnknownKey},
		{"signed by a known and an unknown key, which may have been good once", nil, func(f *feedtest.Federation) []*identity.Key {
			return []*identity.Key{f.Member("ada").Publish, stranger}
		}, nil},
		{"signed by an admin key alone", nil, func(f *feedtest.Federation) []*identity.Key { return []*identity.Key{f.Member("ada").Admin} }, feed.ErrSigner},
		{"signed by another member", nil, func(f *feedtest.Federation) []*identity.Key { return []*identity.Key{f.Member("ben").Publish} }, identity.ErrUnknownKey},
		{"on record", func(f *feedtest.Federation, h *feed.Head) { anchor(f, h, 0) }, nil, nil},
		{"another one is on record", func(f *feedtest.Federation, h *feed.Head) { anchor(f, h, 1) }, nil, feed.ErrAnchor},
		{"another one is on record in another epoch", func(f *feedtest.Federation, h *feed.Head) { anchor(f, h, 1); f.Bump("ada", nil); h.Epoch++ }, nil, nil},
		{"as many records as are allowed", func(_ *feedtest.Federation, h *feed.Head) { h.Count = feed.DefaultRecords; h.Seq = h.Count }, nil, nil},
		{"more records than are allowed", func(_ *feedtest.Federation, h *feed.Head) { h.Count = feed.DefaultRecords + 1; h.Seq = h.Count }, nil, feed.ErrQuota},
		{"more bytes than are allowed", func(_ *feedtest.Federation, h *feed.Head) { h.Bytes = feed.DefaultBytes + 1 }, nil, feed.ErrQuota},
		{"by a key that was rotated out", func(f *feedtest.Federation, h *feed.Head) { f.Rotate("ada", 3); h.N = 4 }, oldKey, identity.ErrUnknownKey},
		{"by a key before it was rotated out", func(f *feedtest.Federation, h *feed.Head) { f.Rotate("ada", 3); h.N = 3 }, oldKey, nil},
		{"by the next key before its time", func(f *feedtest.Federation, h *feed.Head) { f.Rotate("ada", 3); h.N = 3 }, nil, identity.ErrUnknownKey},
		{"before the last good one", func(f *feedtest.Federation, h *feed.Head) { f.Bump("ada", &feed.Place{Epoch: 1, N: 3}); h.N = 2 }, oldKey, nil},
		{"another one than the last good one", func(f *feedtest.Federation, h *feed.Head) { f.Bump("ada", &feed.Place{Epoch: 1, N: 3}); h.N = 3 }, oldKey, feed.ErrRevoked},
		{"past the last good one", func(f *feedtest.Federation, h *feed.Head) { f.Bump("ada", &feed.Place{Epoch: 1, N: 3}); h.N = 4 }, oldKey, feed.ErrRevoked},
		{"two epochs after the last good one", func(f *feedtest.Federation, h *feed.Head) {
			f.Bump("ada", &feed.Place{Epoch: 1, N: 3})
			f.Bump("ada", nil)
			h.N = 2
		}, oldKey, feed.ErrEpoch},
		{"of a stolen key in the new epoch", func(f *feedtest.Federation, h *feed.Head) {
			f.Bump("ada", &feed.Place{Epoch: 1, N: 3})
			h.Epoch, h.N = 2, 4
		}, oldKey, identity.ErrUnknownKey},
		{"dated in the future", func(_ *feedtest.Federation, h *feed.Head) { h.Issued += 11 }, nil, feed.ErrFuture},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := feedtest.NewFederation("ada", "ben")
			m := f.Member("ada")
			h := feed.Head{Version: 1, Federation: f.ID, Origin: m.Origin, Epoch: 1, N: 1, Root: feed.EmptyLeaves().Root(), Issued: feed.MinuteOf(feedtest.Now)}
			if c.bend != nil {
				c.bend(f, &h)
			}
			keys := []*identity.Key{f.Member("ada").Publish}
			if c.sign != nil {
				keys = c.sign(f)
			}
			_, err := f.Rules().CheckHead(feedtest.SignHead(h, keys...))
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("CheckHead: %v, want %v", err, c.err)
			}
		})
	}
	f := feedtest.NewFederation("ada")
	a := f.Author("ada").Fill(0, 1, "x")
	env, _ := a.Head(nil)
	if _, err := f.Rules().CheckHead(a.Beat(1).Envelope); err == nil {
		t.Error("a beat passes for a head")
	}
	if _, err := f.Rules().CheckBeat(env); err == nil {
		t.Error("a head passes for a beat")
	}
	if _, err := f.Rules().CheckBeat(a.Beat(1).Envelope); err != nil {
		t.Error(err)
	}
}

// item puts a record under a number of one's choice.
func item(seq uint64, key feed.Key) feed.Item {
	raw := feedtest.Record(key, seq, "chosen")
	i, err := feed.Check(feed.Change{Seq: seq, Key: key, Op: feed.Put, Hash: feed.HashRecord(raw), Size: uint32(len(raw))}, raw)
	if err != nil {
		panic(err)
	}
	return i
}

// TestVerify has one row for each reason to refuse a step from head 2 on.
func TestVerify(t *testing.T) {
	type step struct {
		heads [][]byte
		items feed.Items
	}
	one := func(a *feedtest.Author, bend func(*feed.Head)) step {
		env, items := a.Head(bend)
		return step{[][]byte{env}, items}
	}
	for _, c := range []struct {
		name string
		make func(*feedtest.Federation, *feedtest.Author) step
		err  error
	}{
		{"the next head", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x").Delete(feedtest.RecordKey(2)), nil)
		}, nil},
		{"nothing changes", func(_ *feedtest.Federation, a *feedtest.Author) step { return one(a, nil) }, feed.ErrEmpty},
		{"nothing changes, almost a day later", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a, func(h *feed.Head) { h.Issued += 24*60 - 1 })
		}, feed.ErrEmpty},
		{"nothing changes, a day later", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a, func(h *feed.Head) { h.Issued += 24 * 60 })
		}, nil},
		{"nothing changes but the key", func(f *feedtest.Federation, a *feedtest.Author) step {
			f.Rotate("ada", 2)
			return one(a, nil)
		}, nil},
		{"nothing changes but that an admin key signs too", func(f *feedtest.Federation, a *feedtest.Author) step {
			env, items := a.Head(nil, f.Member("ada").Publish, f.Member("ada").Admin)
			return step{[][]byte{env}, items}
		}, nil},
		{"another root and no change", func(f *feedtest.Federation, a *feedtest.Author) step {
			f.Rotate("ada", 2)
			return one(a, func(h *feed.Head) { h.Root[0] ^= 1 })
		}, feed.ErrRoot},
		{"a floor that falls", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), func(h *feed.Head) { h.Floor = 3 })
			n := one(a.Put(feedtest.RecordKey(2), "y"), func(h *feed.Head) { h.Floor = 2 })
			return step{append(s.heads, n.heads...), append(s.items, n.items...).Sort()}
		}, feed.ErrChain},
		{"a date that falls", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x"), func(h *feed.Head) { h.Issued-- })
		}, feed.ErrChain},
		{"two changes under one number", func(_ *feedtest.Federation, a *feedtest.Author) step {
			// A thief hides a large change under few numbers.
			return one(a.Put(feedtest.RecordKey(1), "x").With(item(7, feedtest.RecordKey(2))), nil)
		}, feed.ErrRoot},
		{"a change under a number used before", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x").Put(feedtest.RecordKey(1), "y").With(item(2, feedtest.RecordKey(2))), nil)
		}, feed.ErrRoot},
		{"two changes, one number unused", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x").Put(feedtest.RecordKey(1), "y").With(item(7, feedtest.RecordKey(2))), nil)
		}, nil}, // as honest as the other way round
		{"with what is held already", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), nil)
			for _, c := range a.Live() {
				if i, err := feed.Check(c, a.Raw(c.Key)); err == nil && c.Seq < 7 {
					s.items = append(s.items, i)
				}
			}
			s.items = s.items.Sort()
			return s
		}, nil},
		{"three heads at once", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), nil)
			for i := range 2 {
				n := one(a.Put(feedtest.RecordKey(10+i), "y"), nil)
				s = step{append(s.heads, n.heads...), append(s.items, n.items...).Sort()}
			}
			return s
		}, nil},
		{"the feed starts over in a new epoch", func(f *feedtest.Federation, a *feedtest.Author) step {
			return one(a.NewEpoch().Delete(feedtest.RecordKey(0)), nil)
		}, nil},
		{"no head", func(*feedtest.Federation, *feedtest.Author) step { return step{} }, feed.ErrChain},
		{"the same head again", func(_ *feedtest.Federation, a *feedtest.Author) step { return step{heads: a.Heads[1:]} }, feed.ErrOlder},
		{"an older head", func(_ *feedtest.Federation, a *feedtest.Author) step { return step{heads: a.Heads[:1]} }, feed.ErrOlder},
		{"another head of the same number", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a, func(h *feed.Head) { h.N = 2; h.RegistrySeq = 9 })
		}, feed.ErrEquivocation},
		{"a gap in the chain", func(_ *feedtest.Federation, a *feedtest.Author) step {
			a.Put(feedtest.RecordKey(1), "x").Head(nil)
			return one(a.Put(feedtest.RecordKey(2), "y"), nil)
		}, feed.ErrChain},
		{"a chain out of order", func(_ *feedtest.Federation, a *feedtest.Author) step {
			x, y, z := one(a, nil), one(a, nil), one(a, nil)
			return step{heads: [][]byte{y.heads[0], x.heads[0], z.heads[0]}}
		}, feed.ErrChain},
		{"another past", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a, func(h *feed.Head) { h.Prev[0] ^= 1 })
		}, feed.ErrChain},
		{"numbers that fall", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a, func(h *feed.Head) { h.Seq = h.Count })
		}, feed.ErrChain},
		{"a forged head in the middle", func(f *feedtest.Federation, a *feedtest.Author) step {
			bad, _ := a.Head(nil, feedtest.Key(identity.RolePublish, "stranger"))
			return step{heads: [][]byte{bad, one(a, nil).heads[0]}}
		}, identity.ErrUnknownKey},
		{"another origin's head", func(f *feedtest.Federation, _ *feedtest.Author) step {
			b := f.Author("ben").Fill(0, 3, "b")
			b.Head(nil)
			b.Head(nil)
			return one(b.Put(feedtest.RecordKey(9), "b"), nil)
		}, feed.ErrChain},
		{"another root", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x"), func(h *feed.Head) { h.Root[0] ^= 1 })
		}, feed.ErrRoot},
		{"another count", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x"), func(h *feed.Head) { h.Count-- })
		}, feed.ErrRoot},
		{"another size", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x"), func(h *feed.Head) { h.Bytes++ })
		}, feed.ErrRoot},
		{"a change beyond the head", func(_ *feedtest.Federation, a *feedtest.Author) step {
			return one(a.Put(feedtest.RecordKey(1), "x"), func(h *feed.Head) { h.Seq-- })
		}, feed.ErrRoot},
		{"a change left out", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x").Put(feedtest.RecordKey(2), "y"), nil)
			return step{s.heads, s.items[1:]}
		}, feed.ErrRoot},
		{"a deletion left out", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Delete(feedtest.RecordKey(1)), nil)
			return step{heads: s.heads}
		}, feed.ErrRoot},
		{"a deletion made up", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), nil)
			gone, _ := feed.Check(feed.Change{Seq: 1, Key: feedtest.RecordKey(4), Op: feed.Delete}, nil)
			return step{s.heads, append(s.items, gone).Sort()}
		}, feed.ErrRoot},
		{"a record slipped in", func(f *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), nil)
			_, more := f.Author("ben").Put(feedtest.RecordKey(40), "slipped").Head(nil)
			return step{s.heads, append(s.items, more...).Sort()}
		}, feed.ErrRoot},
		{"the same record under another number", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), nil)
			c := s.items[0].Change()
			c.Seq--
			item, err := feed.Check(c, s.items[0].Raw())
			if err != nil {
				panic(err)
			}
			return step{s.heads, feed.Items{item}}
		}, feed.ErrRoot},
		{"changes out of order", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x").Put(feedtest.RecordKey(2), "y"), nil)
			s.items[0], s.items[1] = s.items[1], s.items[0]
			return s
		}, identity.ErrMalformed},
		{"a key twice", func(_ *feedtest.Federation, a *feedtest.Author) step {
			s := one(a.Put(feedtest.RecordKey(1), "x"), nil)
			return step{s.heads, append(s.items, s.items...)}
		}, identity.ErrMalformed},
		{"much at once with one signature", func(f *feedtest.Federation, a *feedtest.Author) step {
			env, items := a.Fill(100, 100+feed.LargeChange, "x").Head(nil, f.Member("ada").Publish)
			return step{[][]byte{env}, items}
		}, feed.ErrUnapproved},
		{"as much as one signature allows", func(f *feedtest.Federation, a *feedtest.Author) step {
			env, items := a.Fill(100, 99+feed.LargeChange, "x").Head(nil, f.Member("ada").Publish)
			return step{[][]byte{env}, items}
		}, nil}, // one was changed earlier that day
		{"much at once with both signatures", func(f *feedtest.Federation, a *feedtest.Author) step {
			env, items := a.Fill(100, 101+feed.LargeChange, "x").Head(nil, f.Member("ada").Publish, f.Member("ada").Admin)
			return step{[][]byte{env}, items}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := feedtest.NewFederation("ada", "ben")
			a := f.Author("ada").Fill(0, 5, "old")
			a.Head(nil)
			a.Put(feedtest.RecordKey(0), "second").Head(nil)
			held := a.Clone()
			s := c.make(f, a)
			rules := f.Rules()
			rules.Now = rules.Now.Add(48 * time.Hour)
			v, err := rules.Verify(held.View(), s.heads, s.items)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("Verify: %v, want %v", err, c.err)
			}
			if err != nil && v != nil {
				t.Fatal("a step beside an error")
			}
			if err == nil && (v.Base() != held.View().Head().Hash || v.Head().Hash == v.Base() || len(v.Heads()) != len(s.heads)) {
				t.Error("the step does not lead from what is held to the new head")
			}
		})
	}
}

func TestFirstCopy(t *testing.T) {
	f := feedtest.NewFederation("ada", "ben")
	a := f.Author("ada").Fill(0, 50, "x")
	for range 4 {
		a.Head(nil)
	}
	empty := f.Author("ada").View()
	heads := a.Heads
	if v, err := f.Rules().CheckChain(nil, heads[3:]); err != nil || len(v) != 1 {
		t.Errorf("the last head alone: %v", err)
	}
	if v, err := f.Rules().CheckChain(nil, heads[1:]); err != nil || len(v) != 3 || v[0].N != 2 || v[2].N != 4 {
		t.Errorf("with its history: %d heads, %v", len(v), err)
	}
	if _, err := f.Rules().CheckChain(nil, [][]byte{heads[0], heads[2], heads[3]}); !errors.Is(err, feed.ErrChain) {
		t.Errorf("a history with a gap: %v", err)
	}
	other := f.Author("ada")
	forged, _ := other.Fill(0, 2, "other").Head(func(h *feed.Head) { h.N = 3 })
	if _, err := f.Rules().CheckChain(nil, [][]byte{forged, heads[3]}); !errors.Is(err, feed.ErrChain) {
		t.Errorf("another past: %v", err)
	}
	if _, err := f.Rules().Verify(empty, heads[3:], feed.Items(nil)); !errors.Is(err, feed.ErrRoot) {
		t.Errorf("a first copy without records: %v", err)
	}
}

func TestFullBucket(t *testing.T) {
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	n := 0
	for i := uint64(0); n <= feed.MaxBucket; i++ {
		var k feed.Key
		k[0], k[1], k[2], k[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		if k.Bucket() == 7 {
			a.Put(k, "x")
			n++
		}
	}
	env, items := a.Head(nil)
	_, err := f.Rules().Verify(f.Author("ada").View(), [][]byte{env}, items)
	if !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("%d records in one bucket: %v", n, err)
	}
}

// apply drives random edits through Verify in small steps and compares with the
// root computed from scratch at each.
func apply(t *testing.T, script []byte) {
	f := feedtest.NewFederation("ada")
	a := f.Author("ada")
	held := a.Clone()
	changed := false
	for i := 0; i+1 < len(script) && i < 400; i += 2 {
		k := feedtest.RecordKey(int(script[i] % 40))
		switch script[i+1] % 8 {
		case 0, 1:
			a.Delete(k)
		case 2:
			a.Erase(k)
		case 3:
			if !changed {
				continue
			}
			changed = false
			env, items := a.Head(nil, f.Member("ada").Publish, f.Member("ada").Admin)
			v, err := f.Rules().Verify(held.View(), [][]byte{env}, items)
			if err != nil {
				t.Fatalf("step at %d: %v", i, err)
			}
			leaves, _ := held.View().Leaves()
			next := *leaves
			for q, h := range v.Leaves() {
				next[q] = h
			}
			if next != *a.Leaves() || next.Root() != v.Head().Root {
				t.Fatalf("step at %d: the leaves by increments are not those from scratch", i)
			}
			held = a.Clone()
		default:
			a.Put(k, fmt.Sprint(i, script[i+1]))
		}
		changed = changed || script[i+1]%8 != 3
	}
}

func TestRootByIncrements(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 300)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		apply(t, script)
	}
}

func FuzzRootByIncrements(f *testing.F) {
	f.Add([]byte{1, 7, 2, 6, 0, 3, 1, 0, 0, 3, 2, 2, 2, 7, 0, 3})
	f.Fuzz(apply)
}

// TestRootForgetsThePast: two feeds with the same records under the same
// numbers have the same root, however they came by them.
func TestRootForgetsThePast(t *testing.T) {
	f := feedtest.NewFederation("ada")
	a, b := f.Author("ada"), f.Author("ada")
	a.Put(feedtest.RecordKey(1), "x").Put(feedtest.RecordKey(2), "y").Put(feedtest.RecordKey(3), "z").Delete(feedtest.RecordKey(2))
	b.Put(feedtest.RecordKey(1), "x").Delete(feedtest.RecordKey(9)).Put(feedtest.RecordKey(3), "z")
	if *a.Leaves() != *b.Leaves() {
		t.Error("the past shows in the root")
	}
	if b.Put(feedtest.RecordKey(3), "z"); *a.Leaves() == *b.Leaves() {
		t.Error("the number of a change does not show in the root")
	}
	if feed.BucketHash(1, nil) == feed.BucketHash(2, nil) {
		t.Error("two buckets share a hash: they could stand for each other")
	}
}

func TestFutureIsByTheGivenClock(t *testing.T) {
	f := feedtest.NewFederation("ada")
	env, _ := f.Author("ada").Fill(0, 1, "x").Head(nil)
	rules := f.Rules()
	rules.Now = rules.Now.Add(-time.Hour)
	if _, err := rules.CheckHead(env); !errors.Is(err, feed.ErrFuture) {
		t.Errorf("an hour early: %v", err)
	}
}
