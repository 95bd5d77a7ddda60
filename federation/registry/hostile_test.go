package registry_test

import (
	"errors"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestNoCounterIsTheLast: a ruling that uses up all counters at once could
// never be lifted.
func TestNoCounterIsTheLast(t *testing.T) {
	w := newRulings(t)
	for _, counter := range []uint64{1<<53 - 1, registry.CounterStep + 1} {
		r := w.de.Takedown(1)
		r.Counter, r.Reason = counter, registry.ReasonOther
		if _, err := registry.NewRuling(w.State, r, time.Unix(w.Time(), 0)); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("a ruling with the counter %d: %v", counter, err)
		}
	}
	last := w.de.Takedown(1)
	last.Counter = registry.CounterStep
	w.Do(w.recorded(w.rule(last, "PL", "LT", "FI")))
	lift := w.de.Takedown(1)
	lift.Off, lift.Reason = true, registry.ReasonMistake
	w.Do(w.recorded(w.rule(lift, "PL", "LT", "FI")))
}

// TestALiftedRulingDoesNotComeBack: a lift that was prepared long before what it
// lifts must not be forgotten long before it.
func TestALiftedRulingDoesNotComeBack(t *testing.T) {
	w := newRulings(t)
	later := func(d time.Duration) {
		w.At(w.Time()+int64(d.Seconds()), w.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: w.Members["PL"].Origin}, "PL"))
	}
	lift := registry.Ruling{Kind: registry.RulingSuspend, Origin: w.de.Origin, Off: true, Counter: 2}
	lifted := w.rule(lift, "PL", "LT", "FI")
	later(300 * 24 * time.Hour)
	suspension := w.rule(registry.Ruling{Kind: registry.RulingSuspend, Origin: w.de.Origin, Counter: 1}, "PL", "LT", "FI")
	w.Do(w.recorded(suspension))
	w.Do(w.recorded(lifted))
	later(110 * 24 * time.Hour)
	w.Do(w.recorded(w.rule(w.de.Takedown(1), "PL", "LT", "FI"))) // old ones are forgotten when another comes
	if err := w.Try(w.recorded(suspension)); !errors.Is(err, registry.ErrSuperseded) {
		t.Fatalf("a suspension that was lifted, once more: %v", err)
	}
}

// TestASheetOutOfUseBringsNoKeys: whoever takes a stolen sheet out of use, the
// member or the others, stops what the thief has asked for with it.
func TestASheetOutOfUseBringsNoKeys(t *testing.T) {
	for name, end := range map[string]func(*Federation, *Member, *identity.Key){
		"revoked by the others": func(f *Federation, de *Member, sheet *identity.Key) {
			r := Ruling(t, f.State, registry.Ruling{Kind: registry.RulingRevoke, Origin: de.Origin, Key: sheet.ID()}, f.Members["PL"], f.Members["LT"])
			f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: r}, "PL"))
		},
		"revoked by the member": func(f *Federation, de *Member, sheet *identity.Key) {
			f.Do(rekey(t, f, registry.KeyChange{Origin: de.Origin, Revoke: []identity.KeyID{sheet.ID()}}, nil, de.Keys.Admin))
		},
		"replaced by a newer one": func(f *Federation, de *Member, sheet *identity.Key) {
			newer := de.Fresh(identity.RoleRecovery, 9)
			ch := de.Adding(newer)
			ch.Retire = []registry.Retirement{{ID: sheet.ID()}}
			f.Do(rekey(t, f, ch, []*identity.Key{newer}, de.Keys.Admin))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, de, sheet := recoverable(t, "PL", "DE", "LT")
			thief := de.Fresh(identity.RoleAdmin, 66)
			f.Do(rekey(t, f, de.Adding(thief), []*identity.Key{thief}, sheet))
			end(f, de, sheet)
			if n := len(f.Rekeys()); n != 0 {
				t.Errorf("%d changes wait", n)
			}
			f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "FI"))
			if _, ok := f.AdminKey(de.Origin, thief.ID()); ok {
				t.Fatal("the thief's key came in")
			}
		})
	}
}

// TestWhoWasSuspendedMeanwhileBringsNoKeys: as with admissions, who has left no
// longer counts.
func TestWhoWasSuspendedMeanwhileBringsNoKeys(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI")
	de := f.Members["DE"]
	thief := de.Fresh(identity.RoleAdmin, 66)
	f.Do(f.Sign(registry.KindKeys, SetKeys(t, f.State, de.Adding(thief), thief), "LT", "FI"))
	r := Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: f.Members["LT"].Origin}, f.Members["PL"], f.Members["DE"])
	f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: r}, "PL"))
	f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "SE"))
	if _, ok := f.AdminKey(de.Origin, thief.ID()); ok {
		t.Fatal("keys came in with the signature of a suspended member")
	}
}

// TestARecoveryAfterOneOfItsKeysCameIn: a key that is in use by then is no
// contradiction.
func TestARecoveryAfterOneOfItsKeysCameIn(t *testing.T) {
	f, de, sheet := recoverable(t, "PL", "DE", "LT")
	admin, publish := de.Fresh(identity.RoleAdmin, 1), de.Fresh(identity.RolePublish, 1)
	ch := de.Adding(admin, publish)
	ch.Revoke = []identity.KeyID{de.Keys.Admin.ID(), de.Keys.Publish.ID()}
	ch.Epoch = 2
	f.Do(rekey(t, f, ch, []*identity.Key{admin, publish}, sheet))
	rotate := de.Adding(publish)
	rotate.Retire = []registry.Retirement{{ID: de.Keys.Publish.ID(), Last: registry.Mark{Epoch: 1, N: 3}}}
	f.Do(rekey(t, f, rotate, []*identity.Key{publish}, de.Keys.Admin))
	f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "FI"))
	if _, ok := f.AdminKey(de.Origin, admin.ID()); !ok {
		t.Fatal("the recovery was dropped")
	}
	if !canSign(f, de, 2, 1, publish) {
		t.Fatal("the publish key does not count")
	}
}

// TestOnlyAStolenPublishKeyTakesAFeedBack.
func TestOnlyAStolenPublishKeyTakesAFeedBack(t *testing.T) {
	w := newRulings(t)
	r := registry.Ruling{Kind: registry.RulingRevoke, Origin: w.de.Origin, Key: w.de.Keys.Node.Public().ID(), Good: &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}, Reason: registry.ReasonOther}
	if _, err := registry.NewRuling(w.State, r, time.Unix(w.Time(), 0)); !errors.Is(err, registry.ErrConflict) {
		t.Fatalf("a node's key with a last good head: %v", err)
	}
}
