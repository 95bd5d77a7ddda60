package registry_test

import (
	"errors"
	"math"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// feedKeys are what feed asks a state for, of one member.
func canSign(f *Federation, m *Member, epoch, n uint64, k *identity.Key) bool {
	_, ok := f.HeadKey(m.Origin, epoch, n, k.ID())
	return ok
}

func rekey(t *testing.T, f *Federation, ch registry.KeyChange, added []*identity.Key, signers ...*identity.Key) []byte {
	return f.SignWith(registry.KindKeys, SetKeys(t, f.State, ch, added...), signers...)
}

func TestAPublishKeyRotates(t *testing.T) {
	f := NewFederation(t, "PL", "DE")
	de := f.Members["DE"]
	fresh := de.Fresh(identity.RolePublish, 1)
	ch := de.Adding(fresh)
	ch.Retire = []registry.Retirement{{ID: de.Keys.Publish.ID(), Last: registry.Mark{Epoch: 1, N: 7}}}
	f.Do(rekey(t, f, ch, []*identity.Key{fresh}, de.Keys.Admin))
	for name, c := range map[string]struct {
		n    uint64
		key  *identity.Key
		want bool
	}{
		"the old key at its last head":    {7, de.Keys.Publish, true},
		"the old key after it":            {8, de.Keys.Publish, false},
		"the new key before it may":       {7, fresh, false},
		"the new key at its first head":   {8, fresh, true},
		"the new key far on":              {1 << 40, fresh, true},
		"the admin key never signs heads": {8, de.Keys.Admin, false},
	} {
		if got := canSign(f, de, 1, c.n, c.key); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if e, ok := f.Epoch(de.Origin); e != 1 || !ok {
		t.Errorf("epoch %d %v: a rotation does not start the feed over", e, ok)
	}
	if _, ok := f.Good(de.Origin); ok {
		t.Error("a rotation names a last good head")
	}
}

func TestAStolenPublishKeyIsRevoked(t *testing.T) {
	f := NewFederation(t, "PL", "DE")
	de := f.Members["DE"]
	fresh := de.Fresh(identity.RolePublish, 1)
	good := feed.Place{Epoch: 1, N: 5, Hash: identity.Hash{9}}
	ch := de.Adding(fresh)
	ch.Revoke, ch.Epoch, ch.Good = []identity.KeyID{de.Keys.Publish.ID()}, 2, &good
	f.Do(rekey(t, f, ch, []*identity.Key{fresh}, de.Keys.Admin))
	if e, ok := f.Epoch(de.Origin); e != 2 || !ok {
		t.Fatalf("epoch %d %v", e, ok)
	}
	if p, ok := f.Good(de.Origin); !ok || p != good {
		t.Fatalf("last good head %+v %v", p, ok)
	}
	for name, c := range map[string]struct {
		epoch, n uint64
		key      *identity.Key
		want     bool
	}{
		"the stolen key up to the last good head": {1, 5, de.Keys.Publish, true},
		"the stolen key after it":                 {1, 6, de.Keys.Publish, false},
		"the stolen key in the new epoch":         {2, 1, de.Keys.Publish, false},
		"the new key in the old epoch":            {1, 6, fresh, false},
		"the new key in the new epoch":            {2, 6, fresh, true},
	} {
		if got := canSign(f, de, c.epoch, c.n, c.key); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	// The next epoch, with another machine, goes on from where the feed is.
	de.Nodes[0].Publisher = false
	machine := de.Fresh(identity.RoleNode, 1)
	st, err := registry.SignNodes(f.Federation(), registry.Nodes{Origin: de.Origin, Nodes: append(de.Nodes, registry.Machine{Key: machine.Public(), Publisher: true}), Epoch: 3}, machine)
	if err != nil {
		t.Fatal(err)
	}
	f.Do(f.Sign(registry.KindNode, registry.SetNodes{Statement: st}, "DE"))
	if _, ok := f.Good(de.Origin); ok {
		t.Error("the last good head outlived its epoch")
	}
}

func TestRevokingWithoutALastGoodHead(t *testing.T) {
	f := NewFederation(t, "PL")
	pl := f.Members["PL"]
	ch := registry.KeyChange{Origin: pl.Origin, Revoke: []identity.KeyID{pl.Keys.Publish.ID()}, Epoch: 2}
	f.Do(rekey(t, f, ch, nil, pl.Keys.Admin))
	if !canSign(f, pl, 1, 1<<50, pl.Keys.Publish) || canSign(f, pl, 2, 1, pl.Keys.Publish) {
		t.Error("what the key signed before its epoch ended stands, nothing later")
	}
	fresh := pl.Fresh(identity.RolePublish, 1)
	f.Do(rekey(t, f, pl.Adding(fresh), []*identity.Key{fresh}, pl.Keys.Admin))
	if !canSign(f, pl, 2, 1, fresh) || canSign(f, pl, 1, 1, fresh) {
		t.Error("a key added later signs from the present epoch on")
	}
}

// recoverable is a federation in which Germany has a recovery sheet.
func recoverable(t *testing.T, countries ...string) (*Federation, *Member, *identity.Key) {
	f := NewFederation(t, countries...)
	de := f.Members["DE"]
	sheet := de.Fresh(identity.RoleRecovery, 0)
	f.Do(rekey(t, f, de.Adding(sheet), []*identity.Key{sheet}, de.Keys.Admin))
	return f, de, sheet
}

func TestARecoverySheetBringsNewKeysAfterThreeDays(t *testing.T) {
	f, de, sheet := recoverable(t, "PL", "DE", "LT")
	admin, publish := de.Fresh(identity.RoleAdmin, 1), de.Fresh(identity.RolePublish, 1)
	ch := de.Adding(admin, publish)
	ch.Revoke = []identity.KeyID{de.Keys.Admin.ID(), de.Keys.Publish.ID()}
	ch.Epoch = 2
	f.Do(rekey(t, f, ch, []*identity.Key{admin, publish}, sheet))
	made := f.Time()
	waiting := f.Rekeys()
	if len(waiting) != 1 || waiting[0].Due != made+registry.RekeyWait || len(waiting[0].By) != 0 || waiting[0].Change.Origin != de.Origin {
		t.Fatalf("waiting: %+v", waiting)
	}
	if _, ok := f.AdminKey(de.Origin, admin.ID()); ok {
		t.Fatal("the new admin key counts at once")
	}
	if canSign(f, de, 2, 1, publish) {
		t.Fatal("the new publish key counts at once")
	}
	newAdmin := func(time int64) error {
		c := f.SignWith(registry.KindInvite, registry.Invite{ID: registry.ID{1}, Country: "SE", SecretHash: [32]byte{1}, Expires: time + 60}, admin)
		_, err := f.Apply(registry.Entry{Time: time, Command: c})
		return err
	}
	if err := newAdmin(made + registry.RekeyWait - 1); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("a second before the time is over: %v", err)
	}
	if err := newAdmin(made + registry.RekeyWait); err != nil {
		t.Fatalf("when the time is over: %v", err)
	}
	// Any entry of anybody finds it done.
	f.At(made+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "FI"))
	if e, _ := f.Epoch(de.Origin); e != 2 || len(f.Rekeys()) != 0 || !canSign(f, de, 2, 1, publish) {
		t.Fatalf("epoch %d, %d changes wait", e, len(f.Rekeys()))
	}
	if err := f.Try(f.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: de.Origin}, "DE")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("the lost admin key still speaks: %v", err)
	}
}

func TestTheAdminKeyStopsAStolenSheet(t *testing.T) {
	f, de, sheet := recoverable(t, "PL", "DE")
	thief := de.Fresh(identity.RoleAdmin, 66)
	f.Do(rekey(t, f, de.Adding(thief), []*identity.Key{thief}, sheet))
	w := f.Rekeys()[0]
	object := registry.Object{Proposal: w.ID, Hash: w.Hash}
	if err := f.Try(f.Sign(registry.KindObject, object, "PL")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("another member objected: %v", err)
	}
	wrong := object
	wrong.Hash[0]++
	if err := f.Try(f.Sign(registry.KindObject, wrong, "DE")); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("an objection to something else: %v", err)
	}
	f.Do(f.Sign(registry.KindObject, object, "DE"))
	f.At(f.Time()+registry.RekeyWait+1, f.Members["PL"].Invite(t, f.State, "FI"))
	if _, ok := f.AdminKey(de.Origin, thief.ID()); ok || len(f.Rekeys()) != 0 {
		t.Fatal("the thief's key came in")
	}
	// The sheet itself can be revoked; no epoch rises for it.
	f.Do(rekey(t, f, registry.KeyChange{Origin: de.Origin, Revoke: []identity.KeyID{sheet.ID()}}, nil, de.Keys.Admin))
	if err := f.Try(rekey(t, f, de.Adding(thief), []*identity.Key{thief}, sheet)); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("a revoked sheet: %v", err)
	}
}

func TestOthersRekeyAMemberThatLostEverything(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI")
	de := f.Members["DE"]
	admin := de.Fresh(identity.RoleAdmin, 1)
	set := SetKeys(t, f.State, de.Adding(admin), admin)
	if err := f.Try(f.Sign(registry.KindKeys, set, "PL")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("one of three others: %v", err)
	}
	if err := f.Try(f.Sign(registry.KindKeys, set, "PL", "DE")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("the member together with another: %v", err)
	}
	f.Do(f.Sign(registry.KindKeys, set, "PL", "LT"))
	if w := f.Rekeys(); len(w) != 1 || len(w[0].By) != 2 {
		t.Fatalf("waiting: %+v", w)
	}
	f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "SE"))
	if _, ok := f.AdminKey(de.Origin, admin.ID()); !ok {
		t.Fatal("the new key does not count")
	}
}

// TestAWaitingChangeAndARuling: the others take the stolen key away at once,
// while the member's recovery still waits.
func TestAWaitingChangeAndARuling(t *testing.T) {
	f, de, sheet := recoverable(t, "PL", "DE", "LT")
	admin, publish := de.Fresh(identity.RoleAdmin, 1), de.Fresh(identity.RolePublish, 1)
	ch := de.Adding(admin, publish)
	ch.Revoke = []identity.KeyID{de.Keys.Admin.ID(), de.Keys.Publish.ID()}
	ch.Epoch, ch.Good = 2, &feed.Place{Epoch: 1, N: 3, Hash: identity.Hash{1}}
	f.Do(rekey(t, f, ch, []*identity.Key{admin, publish}, sheet))
	ruling := Ruling(t, f.State, registry.Ruling{Kind: registry.RulingRevoke, Origin: de.Origin, Key: de.Keys.Publish.ID(), Good: ch.Good}, f.Members["PL"], f.Members["LT"])
	f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: ruling}, "LT"))
	if e, _ := f.Epoch(de.Origin); e != 2 {
		t.Fatalf("epoch %d after the ruling", e)
	}
	f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "FI"))
	if e, _ := f.Epoch(de.Origin); e != 3 || !canSign(f, de, 3, 1, publish) {
		t.Fatalf("epoch %d: what waited did not come about", e)
	}
	if _, ok := f.AdminKey(de.Origin, de.Keys.Admin.ID()); ok {
		t.Error("the lost admin key still counts")
	}
}

func TestRefusedChangesOfKeys(t *testing.T) {
	for name, c := range map[string]struct {
		want error
		make func(*testing.T, *Federation, *Member, *identity.Key) []byte
	}{
		"nothing": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin}, nil, de.Keys.Admin)
		}},
		"noise": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return f.Sign(registry.KindKeys, registry.SetKeys{Statement: []byte("noise")}, "DE")
		}},
		"a key that has not signed": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, de.Adding(de.Fresh(identity.RoleAdmin, 1)), nil, de.Keys.Admin)
		}},
		"proved by another key": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, de.Adding(de.Fresh(identity.RoleAdmin, 1)), []*identity.Key{de.Keys.Publish}, de.Keys.Admin)
		}},
		"a proof that nobody needs": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Epoch: 2}, []*identity.Key{de.Keys.Publish}, de.Keys.Admin)
		}},
		"another member's keys": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := de.Fresh(identity.RoleAdmin, 1)
			return rekey(t, f, f.Members["PL"].Adding(k), []*identity.Key{k}, de.Keys.Admin)
		}},
		"an origin nobody has": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: identity.OriginID{7}, Epoch: 2}, nil, de.Keys.Admin)
		}},
		"another's recovery key": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, sheet *identity.Key) []byte {
			k := f.Members["PL"].Fresh(identity.RoleAdmin, 1)
			return rekey(t, f, f.Members["PL"].Adding(k), []*identity.Key{k}, sheet)
		}},
		"a recovery key with an admin key": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, sheet *identity.Key) []byte {
			k := de.Fresh(identity.RoleAdmin, 1)
			return rekey(t, f, de.Adding(k), []*identity.Key{k}, sheet, f.Members["PL"].Keys.Admin)
		}},
		"a recovery key for another kind": {registry.ErrUnauthorised, func(t *testing.T, f *Federation, de *Member, sheet *identity.Key) []byte {
			return f.SignWith(registry.KindCaretaker, registry.SetCaretakers{Origin: de.Origin}, sheet)
		}},
		"a second change while one waits": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, sheet *identity.Key) []byte {
			k := de.Fresh(identity.RoleAdmin, 1)
			f.Do(rekey(t, f, de.Adding(k), []*identity.Key{k}, sheet))
			k = de.Fresh(identity.RoleAdmin, 2)
			return rekey(t, f, de.Adding(k), []*identity.Key{k}, sheet)
		}},
		"two publish keys": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := de.Fresh(identity.RolePublish, 1)
			return rekey(t, f, de.Adding(k), []*identity.Key{k}, de.Keys.Admin)
		}},
		"no admin key left": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Retire: []registry.Retirement{{ID: de.Keys.Admin.ID()}}}, nil, de.Keys.Admin)
		}},
		"too many admin keys": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			var keys []*identity.Key
			for i := range registry.MaxAdminKeys {
				keys = append(keys, de.Fresh(identity.RoleAdmin, byte(i+1)))
			}
			return rekey(t, f, de.Adding(keys...), keys, de.Keys.Admin)
		}},
		"a key in another role": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := de.Fresh(identity.RoleNode, 1)
			return rekey(t, f, de.Adding(k), []*identity.Key{k}, de.Keys.Admin)
		}},
		"another's key": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := f.Members["PL"].Keys.Admin
			return rekey(t, f, de.Adding(k), []*identity.Key{k}, de.Keys.Admin)
		}},
		"its own key again": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := de.Keys.Publish
			ch := de.Adding(identity.KeyFromSeed(identity.RoleAdmin, [32]byte(identity.Sum(0, []byte("DE"), []byte(identity.RolePublish)))))
			return rekey(t, f, ch, []*identity.Key{k}, de.Keys.Admin)
		}},
		"the same key twice": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := de.Fresh(identity.RoleAdmin, 1)
			return rekey(t, f, de.Adding(k, k), []*identity.Key{k}, de.Keys.Admin)
		}},
		"a revoked publish key in the same epoch": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Revoke: []identity.KeyID{de.Keys.Publish.ID()}}, nil, de.Keys.Admin)
		}},
		"an epoch left out": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Epoch: 3}, nil, de.Keys.Admin)
		}},
		"the same epoch": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Epoch: 1}, nil, de.Keys.Admin)
		}},
		"a last good head of another epoch": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Revoke: []identity.KeyID{de.Keys.Publish.ID()}, Epoch: 2, Good: &feed.Place{Epoch: 2, N: 1, Hash: identity.Hash{1}}}, nil, de.Keys.Admin)
		}},
		"a last good head with nothing revoked": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Epoch: 2, Good: &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}}, nil, de.Keys.Admin)
		}},
		"a publish key retired in another epoch": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Retire: []registry.Retirement{{ID: de.Keys.Publish.ID(), Last: registry.Mark{Epoch: 2, N: 1}}}}, nil, de.Keys.Admin)
		}},
		"a publish key retired at no head that can be": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Retire: []registry.Retirement{{ID: de.Keys.Publish.ID(), Last: registry.Mark{Epoch: 1, N: math.MaxUint64}}}}, nil, de.Keys.Admin)
		}},
		"an admin key retired at a head": {registry.ErrMalformed, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			k := de.Fresh(identity.RoleAdmin, 1)
			ch := de.Adding(k)
			ch.Retire = []registry.Retirement{{ID: de.Keys.Admin.ID(), Last: registry.Mark{Epoch: 1, N: 1}}}
			return rekey(t, f, ch, []*identity.Key{k}, de.Keys.Admin)
		}},
		"a key that is not there": {registry.ErrConflict, func(t *testing.T, f *Federation, de *Member, _ *identity.Key) []byte {
			return rekey(t, f, registry.KeyChange{Origin: de.Origin, Revoke: []identity.KeyID{{1}}, Epoch: 2}, nil, de.Keys.Admin)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, de, sheet := recoverable(t, "PL", "DE", "LT")
			if err := f.Try(c.make(t, f, de, sheet)); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestOldKeysAreForgotten: a member that rotates for decades does not grow.
func TestOldKeysAreForgotten(t *testing.T) {
	f := NewFederation(t, "PL")
	pl := f.Members["PL"]
	old := pl.Keys.Publish
	for i := range registry.MaxKeys + 8 {
		fresh := pl.Fresh(identity.RolePublish, byte(i+1))
		ch := pl.Adding(fresh)
		ch.Retire = []registry.Retirement{{ID: old.ID(), Last: registry.Mark{Epoch: 1, N: uint64(i + 1)}}}
		f.Do(rekey(t, f, ch, []*identity.Key{fresh}, pl.Keys.Admin))
		old = fresh
	}
	m, _ := f.MemberByCountry("PL")
	if len(m.Keys) != registry.MaxKeys {
		t.Fatalf("%d keys, want %d", len(m.Keys), registry.MaxKeys)
	}
	if _, ok := m.Key(identity.RoleAdmin, pl.Keys.Admin.ID()); !ok {
		t.Fatal("a key in use was forgotten")
	}
	if !canSign(f, pl, 1, registry.MaxKeys+9, old) {
		t.Fatal("the newest key does not sign")
	}
}

func TestASealKeyIsReplaced(t *testing.T) {
	f := NewFederation(t, "PL")
	pl := f.Members["PL"]
	seal := identity.SealPublicKey{5}
	f.Do(rekey(t, f, registry.KeyChange{Origin: pl.Origin, Seal: &seal}, nil, pl.Keys.Admin))
	if m, _ := f.MemberByCountry("PL"); m.Seal != seal {
		t.Fatal("the seal key is the old one")
	}
}
