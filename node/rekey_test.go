package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// keyed is a node of a member with nothing but its keys.
func keyed(t *testing.T, m *registrytest.Member) *Node {
	n := &Node{o: Options{Dir: t.TempDir(), Config: config.Config{Country: m.Country}}, id: m.Node()}
	if err := os.Mkdir(filepath.Join(n.o.Dir, dirKeys), 0o700); err != nil {
		t.Fatal(err)
	}
	n.ring.Store(&keyring{admin: m.Keys.Admin, publish: m.Keys.Publish})
	return n
}

func member(t *testing.T, f *registrytest.Federation, m *registrytest.Member) registry.Member {
	got, ok := f.MemberByOrigin(m.Origin)
	if !ok {
		t.Fatal("the member is not there")
	}
	return got
}

// others puts a ruling about Germany on record.
func others(t *testing.T, f *registrytest.Federation, r registry.Ruling) {
	b := registrytest.Ruling(t, f.State, r, f.Members["PL"], f.Members["LT"])
	f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: b}, "PL"))
}

// TestAKeyThatTheOthersRevokedIsReplaced: the node goes on running with it, and
// its administrator gives the country another.
func TestAKeyThatTheOthersRevokedIsReplaced(t *testing.T) {
	f := registrytest.NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	n := keyed(t, de)
	others(t, f, registry.Ruling{Kind: registry.RulingRevoke, Origin: de.Origin, Key: de.Keys.Publish.ID()})
	m := member(t, f, de)
	if err := n.fits(m); err != nil {
		t.Fatalf("the node takes no part: %v", err)
	}
	next, err := n.nextKey(m, identity.RolePublish)
	if err != nil {
		t.Fatal(err)
	}
	ch := replacement(m, identity.RolePublish, de.Keys.Publish, next, registry.Mark{Epoch: m.Epoch, N: 4})
	f.Do(f.Sign(registry.KindKeys, registrytest.SetKeys(t, f.State, ch, next), "DE"))
	if err := n.settleKeys(member(t, f, de)); err != nil {
		t.Fatal(err)
	}
	if n.keys().publish.ID() != next.ID() {
		t.Error("the new key is not in use")
	}
	stranger := keyed(t, f.Members["PL"])
	stranger.o.Config.Country, stranger.id = "DE", de.Node()
	if err := stranger.fits(m); err == nil {
		t.Error("a node with the key of another country fits")
	}
}

// TestANextKeyThatWasRevokedBeforeItCameIntoUse is not offered again for ever.
func TestANextKeyThatWasRevokedBeforeItCameIntoUse(t *testing.T) {
	f := registrytest.NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	n := keyed(t, de)
	next, err := n.nextKey(member(t, f, de), identity.RolePublish)
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.nextKey(member(t, f, de), identity.RolePublish)
	if err != nil || again.ID() != next.ID() {
		t.Fatalf("an attempt before left a key, and another one is made: %v", err)
	}
	ch := replacement(member(t, f, de), identity.RolePublish, de.Keys.Publish, next, registry.Mark{Epoch: 1})
	f.Do(f.Sign(registry.KindKeys, registrytest.SetKeys(t, f.State, ch, next), "DE"))
	others(t, f, registry.Ruling{Kind: registry.RulingRevoke, Origin: de.Origin, Key: next.ID()})
	third, err := n.nextKey(member(t, f, de), identity.RolePublish)
	if err != nil {
		t.Fatal(err)
	}
	m := member(t, f, de)
	ch = replacement(m, identity.RolePublish, de.Keys.Publish, third, registry.Mark{})
	f.Do(f.Sign(registry.KindKeys, registrytest.SetKeys(t, f.State, ch, third), "DE"))
}

// TestOneBadKeyFileDoesNotHoldTheOtherBack: the admin key that the registry has
// is in use even where the file of the new publish key cannot be read.
func TestOneBadKeyFileDoesNotHoldTheOtherBack(t *testing.T) {
	f := registrytest.NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	n := keyed(t, de)
	next, err := n.nextKey(member(t, f, de), identity.RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.keyPath(identity.RolePublish, true), []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	ch := replacement(member(t, f, de), identity.RoleAdmin, de.Keys.Admin, next, registry.Mark{})
	f.Do(f.Sign(registry.KindKeys, registrytest.SetKeys(t, f.State, ch, next), "DE"))
	if err := n.settleKeys(member(t, f, de)); err == nil {
		t.Error("nobody is told of the unreadable file")
	}
	if n.keys().admin.ID() != next.ID() {
		t.Fatal("the new admin key is on disk, and the node signs with the old one")
	}
	if _, err := identity.LoadKey(n.keyPath(identity.RoleAdmin, false), identity.RoleAdmin); err != nil {
		t.Fatal(err)
	}
}

// TestARotationThatARecoveryLeavesBehind: the registry is back where the old key
// was in use, and so is this node; the new one is kept for another attempt.
func TestARotationThatARecoveryLeavesBehind(t *testing.T) {
	f := registrytest.NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	n := keyed(t, de)
	n.o.Logger = slog.New(slog.DiscardHandler)
	for role, old := range map[identity.Role]*identity.Key{identity.RoleAdmin: de.Keys.Admin, identity.RolePublish: de.Keys.Publish} {
		if err := old.Save(n.keyPath(role, false)); err != nil {
			t.Fatal(err)
		}
		before := member(t, f, de) // where the survivors begin anew
		next, err := n.nextKey(before, role)
		if err != nil {
			t.Fatal(err)
		}
		ch := replacement(before, role, old, next, registry.Mark{})
		if role == identity.RolePublish {
			ch.Retire[0].Last.Epoch = 1
		}
		signer := de.Keys.Admin
		rotated := *f
		rotated.Do(rotated.SignWith(registry.KindKeys, registrytest.SetKeys(t, rotated.State, ch, next), signer))
		inUse := func() *identity.Key {
			return map[identity.Role]*identity.Key{identity.RoleAdmin: n.keys().admin, identity.RolePublish: n.keys().publish}[role]
		}
		for _, c := range []struct {
			at   registry.Member
			want *identity.Key
		}{{member(t, &rotated, de), next}, {before, old}, {before, old}, {member(t, &rotated, de), next}, {before, old}} {
			if err := n.settleKeys(c.at); err != nil {
				t.Fatal(err)
			}
			onDisk, err := identity.LoadKey(n.keyPath(role, false), role)
			if err != nil || onDisk.ID() != c.want.ID() || inUse().ID() != c.want.ID() {
				t.Fatalf("%s key %s on disk and %s in use, want %s: %v", role, onDisk.ID(), inUse().ID(), c.want.ID(), err)
			}
		}
	}
}

// chainView shows the heads of one feed.
type chainView struct {
	feed.StoreView
	heads []*feed.SignedHead // 1, 2, …
}

func (v chainView) Head() *feed.SignedHead { return v.heads[len(v.heads)-1] }

func (v chainView) Heads(n uint64, limit int) ([][]byte, error) {
	var out [][]byte
	for _, h := range v.heads {
		if h.N >= n && len(out) < limit {
			out = append(out, h.Envelope)
		}
	}
	return out, nil
}

// TestHeadsAfterARotationWhoseAnswerGotLost: what was signed meanwhile with the
// retired key nobody else takes, so the feed has to start over.
func TestHeadsAfterARotationWhoseAnswerGotLost(t *testing.T) {
	f := registrytest.NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	next := de.Fresh(identity.RolePublish, 1)
	ch := replacement(member(t, f, de), identity.RolePublish, de.Keys.Publish, next, registry.Mark{Epoch: 1, N: 2})
	f.Do(f.Sign(registry.KindKeys, registrytest.SetKeys(t, f.State, ch, next), "DE"))
	m := member(t, f, de)
	old := de.Keys.Publish
	for name, c := range map[string]struct {
		keys []*identity.Key
		want bool
	}{
		"nothing after the last": {[]*identity.Key{old, old}, false},
		"the new key goes on":    {[]*identity.Key{old, old, next}, false},
		"the old key went on":    {[]*identity.Key{old, old, old}, true},
		"and then the new one":   {[]*identity.Key{old, old, old, next}, true},
		"not yet at the last":    {[]*identity.Key{old}, false},
	} {
		var v chainView
		for i, key := range c.keys {
			v.heads = append(v.heads, de.Head(t, f.State, 1, uint64(i+1), 0, key))
		}
		if got, err := overtaken(v, m); got != c.want || err != nil {
			t.Errorf("%s: %v, want %v: %v", name, got, c.want, err)
		}
	}
}

// TestNothingAfterTheLastGoodHeadStands: also where it is the newest one here. A
// thief goes on signing until everybody has heard that the key is revoked.
func TestNothingAfterTheLastGoodHeadStands(t *testing.T) {
	f := registrytest.NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	var v chainView
	for n := range uint64(3) {
		v.heads = append(v.heads, de.Head(t, f.State, 1, n+1, 0, de.Keys.Publish))
	}
	for n := range uint64(3) {
		good, err := goodPlace(v, member(t, f, de), n+1)
		if err != nil || good == nil || *good != v.heads[n].Place() {
			t.Errorf("head %d of 3: %+v, %v", n+1, good, err)
		}
	}
	for _, n := range []uint64{0, 4} {
		if _, err := goodPlace(v, member(t, f, de), n); err == nil {
			t.Errorf("head %d of 3 is taken for the last good one", n)
		}
	}
}

// TestTwoCountriesDoNotMoveTheClock: each head may be some minutes ahead of the
// time, and must not move the time by that.
func TestTwoCountriesDoNotMoveTheClock(t *testing.T) {
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	n := &Node{o: Options{Now: func() time.Time { return clock }}, started: clock}
	for range 1000 {
		ahead := feed.MinuteOf(n.now().Add(feed.Ahead))
		n.latest.note(identity.OriginID{1}, ahead)
		n.latest.note(identity.OriginID{2}, ahead)
	}
	if off := n.now().Sub(clock); off > feed.Ahead {
		t.Errorf("two countries have moved this node's time by %v", off)
	}
	// A machine that starts in the past takes the time of what it has stored, and
	// goes on from there.
	n = &Node{o: Options{Now: func() time.Time { return clock }}}
	n.started = clock
	real := clock.Add(400 * 24 * time.Hour)
	for o := range byte(3) {
		n.latest.note(identity.OriginID{o + 1}, feed.MinuteOf(real))
	}
	n.latest.begin()
	clock = clock.Add(24 * time.Hour)
	if off := n.now().Sub(real); off != 24*time.Hour {
		t.Errorf("a day after the start it is %v after the newest date", off)
	}
}
