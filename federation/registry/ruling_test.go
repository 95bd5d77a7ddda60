package registry_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

func (w *rulings) rule(r registry.Ruling, countries ...string) []byte {
	w.t.Helper()
	var by []*Member
	for _, c := range countries {
		by = append(by, w.Members[c])
	}
	return Ruling(w.t, w.State, r, by...)
}

func (w *rulings) recorded(ruling []byte) []byte {
	return w.Sign(registry.KindRuling, registry.RecordRuling{Ruling: ruling}, "PL")
}

// rulings is a federation of five in which Germany is what the others rule about.
type rulings struct {
	*Federation
	t  *testing.T
	de *Member
}

func newRulings(t *testing.T) *rulings {
	f := NewFederation(t, "PL", "DE", "LT", "FI", "NL")
	return &rulings{f, t, f.Members["DE"]}
}

func TestATakedownIsRecorded(t *testing.T) {
	w := newRulings(t)
	b := w.rule(w.de.Takedown(7), "PL", "LT")
	if _, signers, needed, err := w.CheckRuling(b); err != nil || len(signers) != 2 || needed != 3 {
		t.Fatalf("%d of %d have signed: %v", len(signers), needed, err)
	}
	if err := w.Try(w.recorded(b)); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("recorded with two of three: %v", err)
	}
	b, err := registry.CountersignRuling(w.Federation.Federation(), b, w.Members["NL"].Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	w.Do(w.recorded(b))
	got := w.Rulings()
	if len(got) != 1 || got[0].Ruling.Record != (feed.Key{7}) || len(got[0].Signers) != 3 || got[0].Seq != w.Seq() {
		t.Fatalf("%+v", got)
	}
	if end := got[0].Ruling.Until.Time().Sub(got[0].Ruling.Issued.Time()); end != 14*24*time.Hour {
		t.Errorf("it ends after %v", end)
	}
	if err := w.Try(w.recorded(b)); !errors.Is(err, registry.ErrSuperseded) {
		t.Errorf("recorded twice: %v", err)
	}
	lift := w.de.Takedown(7)
	lift.Off = true
	w.Do(w.recorded(w.rule(lift, "PL", "LT", "FI")))
	if r, ok := w.Ruling(lift.Target()); !ok || !r.Ruling.Off || r.Ruling.Counter != 2 || len(w.Rulings()) != 1 {
		t.Errorf("after it was lifted: %+v", w.Rulings())
	}
}

func TestATakedownLastsOnlyWhenConfirmed(t *testing.T) {
	w := newRulings(t)
	lasting := w.de.Takedown(7)
	lasting.Lasting = true
	lasting.Reason = registry.ReasonUnlawful
	if _, err := registry.NewRuling(w.State, lasting, time.Unix(w.Time(), 0)); !errors.Is(err, registry.ErrMalformed) {
		t.Fatalf("a first takedown that lasts: %v", err)
	}
	w.Do(w.recorded(w.rule(w.de.Takedown(7), "PL", "LT", "FI")))
	w.Do(w.recorded(w.rule(lasting, "PL", "LT", "FI")))
	if r, _ := w.Ruling(lasting.Target()); !r.Ruling.Lasting || r.Ruling.Over(time.Unix(w.Time(), 0).AddDate(5, 0, 0)) {
		t.Fatalf("%+v", r)
	}
}

func TestASuspendedMemberIsSilent(t *testing.T) {
	w := newRulings(t)
	suspend := registry.Ruling{Kind: registry.RulingSuspend, Origin: w.de.Origin, Reason: registry.ReasonCompromised}
	w.Do(w.recorded(w.rule(suspend, "PL", "LT", "FI")))
	if _, ok := w.Epoch(w.de.Origin); ok {
		t.Error("its feed is still taken in")
	}
	if _, ok := w.HeadKey(w.de.Origin, 1, 1, w.de.Keys.Publish.ID()); !ok {
		t.Error("what it signed can no longer be evidence")
	}
	if _, _, ok := w.Node(w.de.Node()); ok {
		t.Error("its node is still talked to")
	}
	if err := w.Try(w.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: w.de.Origin}, "DE")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("its admin key still speaks: %v", err)
	}
	if err := w.Try(w.Members["PL"].Invite(t, w.State, "DE")); !errors.Is(err, registry.ErrCountryTaken) {
		t.Errorf("its place is given to another: %v", err)
	}
	if n := w.Needed(w.de.Origin); n != 3 {
		t.Errorf("%d of the four others must sign, want 3", n)
	}
	suspend.Off = true
	w.Do(w.recorded(w.rule(suspend, "PL", "LT", "NL")))
	if e, ok := w.Epoch(w.de.Origin); !ok || e != 1 {
		t.Error("its feed is not taken in again")
	}
}

func TestARulingRevokesAKey(t *testing.T) {
	good := &feed.Place{Epoch: 1, N: 4, Hash: identity.Hash{4}}
	for name, c := range map[string]struct {
		key   func(*Member) identity.KeyID
		good  *feed.Place
		epoch uint64
		check func(*testing.T, *rulings)
	}{
		"publish": {func(m *Member) identity.KeyID { return m.Keys.Publish.ID() }, good, 2, func(t *testing.T, w *rulings) {
			if p, ok := w.Good(w.de.Origin); !ok || p != *good {
				t.Errorf("last good head %+v %v", p, ok)
			}
			if canSign(w.Federation, w.de, 1, 5, w.de.Keys.Publish) || !canSign(w.Federation, w.de, 1, 4, w.de.Keys.Publish) {
				t.Error("the key signs other heads than up to the last good one")
			}
		}},
		"publish, with a good head of an epoch gone by": {func(m *Member) identity.KeyID { return m.Keys.Publish.ID() }, good, 3, func(t *testing.T, w *rulings) {
			if _, ok := w.Good(w.de.Origin); ok {
				t.Error("the feed goes back over two epochs")
			}
			if canSign(w.Federation, w.de, 1, 5, w.de.Keys.Publish) || canSign(w.Federation, w.de, 2, 1, w.de.Keys.Publish) {
				t.Error("the key signs after the last good head")
			}
		}},
		"admin": {func(m *Member) identity.KeyID { return m.Keys.Admin.ID() }, nil, 2, func(t *testing.T, w *rulings) {
			if _, ok := w.AdminKey(w.de.Origin, w.de.Keys.Admin.ID()); ok {
				t.Error("the key still approves")
			}
			if err := w.Try(w.de.Invite(t, w.State, "SE")); !errors.Is(err, registry.ErrUnauthorised) {
				t.Errorf("the key still speaks: %v", err)
			}
		}},
		"node": {func(m *Member) identity.KeyID { return m.Keys.Node.ID() }, nil, 1, func(t *testing.T, w *rulings) {
			if _, _, ok := w.Node(w.de.Node()); ok {
				t.Error("the node is still talked to")
			}
			st, err := registry.SignNodes(w.Federation.Federation(), registry.Nodes{Origin: w.de.Origin, Nodes: w.de.Nodes, Epoch: 2}, w.de.Keys.Node)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Try(w.Sign(registry.KindNode, registry.SetNodes{Statement: st}, "DE")); !errors.Is(err, registry.ErrConflict) {
				t.Errorf("the node came back with its key: %v", err)
			}
			fresh := w.de.Fresh(identity.RoleNode, 1)
			w.de.Nodes[0].Key = fresh.Public()
			if st, err = registry.SignNodes(w.Federation.Federation(), registry.Nodes{Origin: w.de.Origin, Nodes: w.de.Nodes, Epoch: 2}, fresh); err != nil {
				t.Fatal(err)
			}
			w.Do(w.Sign(registry.KindNode, registry.SetNodes{Statement: st}, "DE"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRulings(t)
			r := registry.Ruling{Kind: registry.RulingRevoke, Origin: w.de.Origin, Key: c.key(w.de), Good: c.good, Reason: registry.ReasonCompromised}
			if c.epoch == 3 {
				w.Do(rekey(t, w.Federation, registry.KeyChange{Origin: w.de.Origin, Epoch: 2}, nil, w.de.Keys.Admin))
			}
			w.Do(w.recorded(w.rule(r, "PL", "LT", "FI")))
			if e, ok := w.Epoch(w.de.Origin); !ok || e != c.epoch {
				t.Errorf("epoch %d, want %d", e, c.epoch)
			}
			c.check(t, w)
			epoch, _ := w.Epoch(w.de.Origin)
			w.Do(w.recorded(w.rule(r, "PL", "LT", "FI"))) // again, with the next counter
			if e, _ := w.Epoch(w.de.Origin); e != epoch {
				t.Errorf("what is revoked already was revoked again: epoch %d after %d", e, epoch)
			}
		})
	}
}

func TestCaretakers(t *testing.T) {
	w := newRulings(t)
	lt, fi := w.Members["LT"].Origin, w.Members["FI"].Origin
	w.Do(w.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: w.de.Origin, By: []identity.OriginID{lt, fi}}, "DE"))
	if got := w.Caretakers(w.de.Origin); !slices.Equal(got, []identity.OriginID{lt, fi}) {
		t.Fatalf("caretakers %v", got)
	}
	w.Do(w.recorded(w.rule(registry.Ruling{Kind: registry.RulingSuspend, Origin: fi}, "PL", "LT", "NL")))
	if got := w.Caretakers(w.de.Origin); !slices.Equal(got, []identity.OriginID{lt}) {
		t.Errorf("a suspended caretaker counts: %v", got)
	}
	r := registry.Ruling{Kind: registry.RulingCaretaker, Origin: w.de.Origin, By: []identity.OriginID{w.Members["NL"].Origin}}
	w.Do(w.recorded(w.rule(r, "PL", "LT", "NL")))
	if got := w.Caretakers(w.de.Origin); !slices.Equal(got, r.By) {
		t.Errorf("after a ruling: %v", got)
	}
	r.Off, r.By = true, nil
	w.Do(w.recorded(w.rule(r, "PL", "LT", "NL")))
	if got := w.Caretakers(w.de.Origin); len(got) != 0 {
		t.Errorf("after it was lifted: %v", got)
	}
	for name, c := range map[string]struct {
		by      string
		payload registry.SetCaretakers
		want    error
	}{
		"for another member":  {"PL", registry.SetCaretakers{Origin: w.de.Origin, By: []identity.OriginID{lt}}, registry.ErrUnauthorised},
		"itself":              {"DE", registry.SetCaretakers{Origin: w.de.Origin, By: []identity.OriginID{w.de.Origin}}, registry.ErrMalformed},
		"one twice":           {"DE", registry.SetCaretakers{Origin: w.de.Origin, By: []identity.OriginID{lt, lt}}, registry.ErrMalformed},
		"nobody we know":      {"DE", registry.SetCaretakers{Origin: w.de.Origin, By: []identity.OriginID{{1}}}, registry.ErrConflict},
		"who is suspended":    {"DE", registry.SetCaretakers{Origin: w.de.Origin, By: []identity.OriginID{fi}}, registry.ErrConflict},
		"more than there may": {"DE", registry.SetCaretakers{Origin: w.de.Origin, By: make([]identity.OriginID, registry.MaxCaretakers+1)}, registry.ErrMalformed},
	} {
		if err := w.Try(w.Sign(registry.KindCaretaker, c.payload, c.by)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestWhoSignsARuling: the target never counts, strangers are passed over, and
// a false signature makes the whole bad.
func TestWhoSignsARuling(t *testing.T) {
	w := newRulings(t)
	federation := w.Federation.Federation()
	stranger := New(t, "XX")
	b := w.rule(w.de.Takedown(1), "PL", "DE")
	b, err := registry.CountersignRuling(federation, b, stranger.Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	_, signers, _, err := w.CheckRuling(b)
	if err != nil || !slices.Equal(signers, []identity.OriginID{w.Members["PL"].Origin}) {
		t.Errorf("signers %v: %v", signers, err)
	}
	if again, err := registry.CountersignRuling(federation, b, stranger.Keys.Admin); err != nil || !bytes.Equal(again, b) {
		t.Errorf("the same key signed twice: %v", err)
	}
	for name, b := range map[string][]byte{
		"the target alone":  w.rule(w.de.Takedown(1), "DE"),
		"nobody":            w.rule(w.de.Takedown(1)),
		"a publish key":     w.signedBy(federation, w.Members["PL"].Keys.Publish),
		"another's as well": w.forged(b),
		"for another place": w.signedBy(identity.FederationID{1}, w.Members["PL"].Keys.Admin),
	} {
		if _, _, _, err := w.CheckRuling(b); !errors.Is(err, registry.ErrUnauthorised) {
			t.Errorf("signed by %s: %v", name, err)
		}
	}
}

func (w *rulings) signedBy(f identity.FederationID, keys ...*identity.Key) []byte {
	r := w.de.Takedown(1)
	r.Reason = registry.ReasonDanger
	r, err := registry.NewRuling(w.State, r, time.Unix(w.Time(), 0))
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := registry.SignRuling(f, r, keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// forged puts Lithuania's name on Poland's signature.
func (w *rulings) forged(b []byte) []byte {
	_, e, err := registry.ParseRuling(b)
	if err != nil {
		w.t.Fatal(err)
	}
	fake := e.Signatures[0]
	fake.Key = w.Members["LT"].Keys.Admin.ID()
	e.Signatures = append(e.Signatures, fake)
	return e.Encode()
}

func TestMergedRulingsAreTheSameEverywhere(t *testing.T) {
	w := newRulings(t)
	federation := w.Federation.Federation()
	one := w.rule(w.de.Takedown(1), "PL", "LT")
	two, err := registry.CountersignRuling(federation, w.rule(w.de.Takedown(1), "LT"), w.Members["NL"].Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	ab, err := registry.MergeRulings(one, two)
	if err != nil {
		t.Fatal(err)
	}
	ba, err := registry.MergeRulings(two, one)
	if err != nil || !bytes.Equal(ab, ba) {
		t.Fatalf("merged the other way round it differs: %v", err)
	}
	if _, signers, _, err := w.CheckRuling(ab); err != nil || len(signers) != 3 {
		t.Fatalf("%d signers: %v", len(signers), err)
	}
	if _, err := registry.MergeRulings(one, w.rule(w.de.Takedown(2), "PL")); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("two rulings merged: %v", err)
	}
}

// TestRulingsThatCannotBe is the table of what is not a ruling.
func TestRulingsThatCannotBe(t *testing.T) {
	w := newRulings(t)
	takedown := func(edit func(*registry.Ruling)) registry.Ruling {
		r := registry.Ruling{
			Version: 1, Kind: registry.RulingTakedown, Origin: w.de.Origin, Record: feed.Key{1}, Counter: 1,
			Issued: feed.MinuteOf(Start), Until: feed.MinuteOf(Start) + 60, Reason: registry.ReasonPrivacy,
		}
		edit(&r)
		return r
	}
	place := &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}
	for name, c := range map[string]struct {
		r    registry.Ruling
		want error
	}{
		"no version":             {takedown(func(r *registry.Ruling) { r.Version = 0 }), registry.ErrMalformed},
		"a version of tomorrow":  {takedown(func(r *registry.Ruling) { r.Version = 2 }), registry.ErrUnknownKind},
		"a kind of tomorrow":     {takedown(func(r *registry.Ruling) { r.Kind, r.Record, r.Until = "praise", feed.Key{}, 0 }), registry.ErrUnknownKind},
		"no counter":             {takedown(func(r *registry.Ruling) { r.Counter = 0 }), registry.ErrMalformed},
		"a counter at its end":   {takedown(func(r *registry.Ruling) { r.Counter = 1 << 53 }), registry.ErrMalformed},
		"no origin":              {takedown(func(r *registry.Ruling) { r.Origin = identity.OriginID{} }), registry.ErrMalformed},
		"no record":              {takedown(func(r *registry.Ruling) { r.Record = feed.Key{} }), registry.ErrMalformed},
		"no reason":              {takedown(func(r *registry.Ruling) { r.Reason = "" }), registry.ErrMalformed},
		"no end":                 {takedown(func(r *registry.Ruling) { r.Until = 0 }), registry.ErrMalformed},
		"an end before":          {takedown(func(r *registry.Ruling) { r.Until = r.Issued }), registry.ErrMalformed},
		"an end that is lasting": {takedown(func(r *registry.Ruling) { r.Lasting, r.Counter = true, 2 }), registry.ErrMalformed},
		"a lifting with an end":  {takedown(func(r *registry.Ruling) { r.Off = true }), registry.ErrMalformed},
		"a takedown of a key":    {takedown(func(r *registry.Ruling) { r.Key = identity.KeyID{1} }), registry.ErrMalformed},
		"a long text":            {takedown(func(r *registry.Ruling) { r.Text = strings.Repeat("x", 301) }), registry.ErrMalformed},
		"a text of two lines":    {takedown(func(r *registry.Ruling) { r.Text = "a\nb" }), registry.ErrMalformed},
		"a revocation of no key": {takedown(func(r *registry.Ruling) { r.Kind, r.Record, r.Until = registry.RulingRevoke, feed.Key{}, 0 }), registry.ErrMalformed},
		"a revocation lifted": {takedown(func(r *registry.Ruling) {
			r.Kind, r.Record, r.Until, r.Key, r.Off = registry.RulingRevoke, feed.Key{}, 0, identity.KeyID{1}, true
		}), registry.ErrMalformed},
		"a suspension with a good head": {takedown(func(r *registry.Ruling) {
			r.Kind, r.Record, r.Until, r.Good = registry.RulingSuspend, feed.Key{}, 0, place
		}), registry.ErrMalformed},
		"caretakers of nobody": {takedown(func(r *registry.Ruling) { r.Kind, r.Record, r.Until = registry.RulingCaretaker, feed.Key{}, 0 }), registry.ErrMalformed},
		"its own caretaker": {takedown(func(r *registry.Ruling) {
			r.Kind, r.Record, r.Until, r.By = registry.RulingCaretaker, feed.Key{}, 0, []identity.OriginID{r.Origin}
		}), registry.ErrMalformed},
	} {
		if _, err := registry.SignRuling(w.Federation.Federation(), c.r, w.Members["PL"].Keys.Admin); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := registry.SignRuling(w.Federation.Federation(), takedown(func(*registry.Ruling) {}), w.Members["PL"].Keys.Admin); err != nil {
		t.Errorf("the ruling that the others differ from: %v", err)
	}
}

// TestRulingsThatDoNotFit is the table of what contradicts the registry.
func TestRulingsThatDoNotFit(t *testing.T) {
	w := newRulings(t)
	for name, r := range map[string]registry.Ruling{
		"about nobody":               {Kind: registry.RulingSuspend, Origin: identity.OriginID{1}},
		"a key that nobody has":      {Kind: registry.RulingRevoke, Origin: w.de.Origin, Key: identity.KeyID{1}},
		"another member's key":       {Kind: registry.RulingRevoke, Origin: w.de.Origin, Key: w.Members["PL"].Keys.Publish.ID()},
		"a caretaker that is no one": {Kind: registry.RulingCaretaker, Origin: w.de.Origin, By: []identity.OriginID{{1}}},
		"a good head of an epoch ahead": {Kind: registry.RulingRevoke, Origin: w.de.Origin, Key: w.de.Keys.Publish.ID(),
			Good: &feed.Place{Epoch: 9, N: 1, Hash: identity.Hash{1}}},
	} {
		r.Reason = registry.ReasonOther
		if _, err := registry.NewRuling(w.State, r, Start); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := w.de.Takedown(1)
	long.Version, long.Reason, long.Counter = 1, registry.ReasonOther, 1
	long.Issued = feed.MinuteOf(time.Unix(w.Time(), 0))
	long.Until = long.Issued + 15*24*60
	b, err := registry.SignRuling(w.Federation.Federation(), long, w.Members["PL"].Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := w.CheckRuling(b); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a takedown that ends after the policy's days: %v", err)
	}
	all := []string{"PL", "LT", "FI"}
	for name, c := range map[string]struct {
		later      time.Duration
		want       error
		recordable error // an entry that comes later would take it
	}{
		"dated in the future":  {-time.Hour, registry.ErrConflict, nil},
		"more than a year old": {registry.RulingLife + time.Hour, registry.ErrStale, registry.ErrStale},
	} {
		r := w.de.Takedown(1)
		r.Reason = registry.ReasonOther
		r, err := registry.NewRuling(w.State, r, time.Unix(w.Time(), 0).Add(-c.later))
		if err != nil {
			t.Fatal(err)
		}
		var keys []*identity.Key
		for _, a := range all {
			keys = append(keys, w.Members[a].Keys.Admin)
		}
		b, err := registry.SignRuling(w.Federation.Federation(), r, keys...)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Try(w.recorded(b)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err := w.Recordable(&r); !errors.Is(err, c.recordable) {
			t.Errorf("%s: recordable: %v, want %v", name, err, c.recordable)
		}
	}
}

// TestThresholdsWithoutTheTarget: how many of the others must sign.
func TestThresholdsWithoutTheTarget(t *testing.T) {
	want := map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}
	countries := []string{"PL", "DE", "LT", "FI", "NL", "IT"}
	for n := 1; n <= len(countries); n++ {
		f := NewFederation(t, countries[:n]...)
		if got := f.Needed(f.Members["PL"].Origin); got != want[n] {
			t.Errorf("of %d members %d others must sign, want %d", n, got, want[n])
		}
	}
}

func TestRecordedRulingsThatEndedAreForgotten(t *testing.T) {
	w := newRulings(t)
	w.Do(w.recorded(w.rule(w.de.Takedown(1), "PL", "LT", "FI")))
	w.Do(w.recorded(w.rule(w.de.Takedown(2), "PL", "LT", "FI")))
	confirmed := w.de.Takedown(2)
	confirmed.Lasting = true
	w.Do(w.recorded(w.rule(confirmed, "PL", "LT", "FI")))
	w.At(w.Time()+int64((registry.RulingLife+15*24*time.Hour).Seconds()), w.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: w.de.Origin}, "DE"))
	w.Do(w.recorded(w.rule(w.de.Takedown(3), "PL", "LT", "FI")))
	var kept []byte
	for _, r := range w.Rulings() {
		kept = append(kept, r.Ruling.Record[0])
	}
	if !bytes.Equal(kept, []byte{2, 3}) {
		t.Fatalf("records with rulings: %v, want 2 and 3", kept)
	}
}

func FuzzRuling(f *testing.F) {
	fed := NewFederation(f, "PL", "DE")
	de := fed.Members["DE"]
	f.Add(Ruling(f, fed.State, de.Takedown(1), fed.Members["PL"]))
	f.Add(Ruling(f, fed.State, registry.Ruling{Kind: registry.RulingRevoke, Origin: de.Origin, Key: de.Keys.Publish.ID(), Good: &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}}, fed.Members["PL"]))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, e, err := registry.ParseRuling(b)
		if err != nil {
			return
		}
		if len(b) > registry.MaxRuling || len(r.Text) > registry.MaxRulingText || len(r.By) > registry.MaxCaretakers {
			t.Fatal("a limit was passed")
		}
		again, err := registry.MergeRulings(b, e.Encode())
		if err == nil {
			if twice, err := registry.MergeRulings(again, b); err != nil || !bytes.Equal(again, twice) {
				t.Fatalf("merging is not idempotent: %v", err)
			}
		}
		_, signers, needed, err := fed.CheckRuling(b)
		if err == nil && len(signers) >= needed {
			// Whatever enough members sign, no node may fall over it.
			_ = fed.Recordable(&r)
		}
	})
}

func FuzzKeyChange(f *testing.F) {
	fed := NewFederation(f, "PL", "DE")
	de := fed.Members["DE"]
	fresh := de.Fresh(identity.RoleAdmin, 1)
	seed := func(ch registry.KeyChange, keys ...*identity.Key) {
		f.Add(SetKeys(f, fed.State, ch, keys...).Statement)
	}
	seed(de.Adding(fresh), fresh)
	seed(registry.KeyChange{Origin: de.Origin, Revoke: []identity.KeyID{de.Keys.Publish.ID()}, Epoch: 2, Good: &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}})
	f.Fuzz(func(t *testing.T, statement []byte) {
		_, _ = registry.ParseKeyChange(fed.Federation(), statement)
		_, c, err := registry.NewCommand(fed.State, registry.KindKeys, registry.SetKeys{Statement: statement}, de.Keys.Admin)
		if err != nil {
			return
		}
		next, err := fed.Apply(registry.Entry{Time: fed.Time(), Command: c})
		if err != nil {
			return
		}
		m, _ := next.MemberByOrigin(de.Origin)
		if len(m.Keys) > registry.MaxKeys || m.Epoch > 2 {
			t.Fatalf("%d keys in epoch %d", len(m.Keys), m.Epoch)
		}
	})
}

// TestWhatAStateGivesIsACopy: nobody changes a state through what it returned.
func TestWhatAStateGivesIsACopy(t *testing.T) {
	w := newRulings(t)
	sheet := w.de.Fresh(identity.RoleRecovery, 0)
	w.Do(rekey(t, w.Federation, w.de.Adding(sheet), []*identity.Key{sheet}, w.de.Keys.Admin))
	admin := w.de.Fresh(identity.RoleAdmin, 1)
	ch := w.de.Adding(admin)
	ch.Revoke, ch.Epoch, ch.Good = []identity.KeyID{w.de.Keys.Publish.ID()}, 2, &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}}
	ch.Seal = &identity.SealPublicKey{1}
	w.Do(rekey(t, w.Federation, ch, []*identity.Key{admin}, sheet))
	lt := w.Members["LT"].Origin
	w.Do(w.recorded(w.rule(registry.Ruling{Kind: registry.RulingCaretaker, Origin: w.de.Origin, By: []identity.OriginID{lt}}, "PL", "LT", "FI")))
	w.Do(w.recorded(w.rule(registry.Ruling{Kind: registry.RulingRevoke, Origin: lt, Key: w.Members["LT"].Keys.Publish.ID(), Good: ch.Good}, "PL", "NL", "FI")))
	w.Do(w.Sign(registry.KindEvidence, w.de.Fork(t, w.State, 1, 4), "PL"))
	before := w.Encode()
	k := w.Rekeys()[0]
	k.Change.Add[0], k.Change.Revoke[0], *k.Change.Good, *k.Change.Seal = registry.NewKey{}, identity.KeyID{}, feed.Place{}, identity.SealPublicKey{}
	for _, r := range w.Rulings() {
		one, _ := w.Ruling(r.Ruling.Target())
		for _, r := range []registry.Recorded{r, one} {
			clear(r.Signers)
			clear(r.Ruling.By)
			if r.Ruling.Good != nil {
				*r.Ruling.Good = feed.Place{}
			}
		}
	}
	clear(w.Caretakers(w.de.Origin))
	clear(w.Evidence())
	m, _ := w.MemberByCountry("DE")
	clear(m.Caretakers)
	clear(m.Keys)
	if !bytes.Equal(w.Encode(), before) {
		t.Fatal("the state has changed")
	}
}
