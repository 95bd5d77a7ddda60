package registry_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// approval is a member's signature under the only motion that waits.
func approval(f *Federation, by ...string) []byte {
	m := f.Motions()[0]
	return f.Sign(registry.KindApprove, registry.Approve{Proposal: m.ID, Hash: m.Hash}, by...)
}

func against(f *Federation, by string) []byte {
	m := f.Motions()[0]
	return f.Sign(registry.KindObject, registry.Object{Proposal: m.ID, Hash: m.Hash, Reason: "no"}, by)
}

// motions are one motion of each kind.
var motions = map[string]func(*registry.State) (registry.Kind, any){
	"policy": func(s *registry.State) (registry.Kind, any) {
		return registry.KindPolicy, NewPolicy(s, func(p *registry.Policy) { p.TakedownDays = 30 })
	},
	"vocabulary": func(s *registry.State) (registry.Kind, any) { return registry.KindVocabulary, Colours(s) },
}

func inForce(s *registry.State) bool { return s.PolicySeq() > 0 || s.VocabularySeq() > 0 }

// TestHowManySignAMotion: the founder alone, both of two, a majority below five,
// then three; at once or one after the other.
func TestHowManySignAMotion(t *testing.T) {
	for name, make := range motions {
		for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 3} {
			all := []string{"PL", "DE", "LT", "FI", "SE", "NO"}[:n]
			f := NewFederation(t, all...)
			kind, payload := make(f.State)
			if at := NewFederation(t, all...); true {
				at.Do(at.Sign(kind, payload, all[:want]...))
				if !inForce(at.State) || len(at.Motions()) != 0 {
					t.Errorf("%s, %d members: %d signatures at once are not enough", name, n, want)
				}
			}
			f.Do(f.Sign(kind, payload, all[0]))
			for i := 1; i < want; i++ {
				if inForce(f.State) || len(f.Motions()) != 1 {
					t.Fatalf("%s, %d members: in force with %d signatures", name, n, i)
				}
				f.Do(approval(f, all[0])) // twice by one member counts once
				f.Do(approval(f, all[i]))
			}
			if !inForce(f.State) || len(f.Motions()) != 0 {
				t.Errorf("%s, %d members: %d signatures one after the other are not enough", name, n, want)
			}
		}
	}
}

// TestThresholdChangesByTheOldThreshold: whoever lowers how many must sign needs
// as many as before, and whoever raises it too.
func TestThresholdChangesByTheOldThreshold(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI", "SE", "NO")
	f.Do(f.Sign(registry.KindPolicy, NewPolicy(f.State, func(p *registry.Policy) { p.Approvals = 2 }), "PL", "DE"))
	if f.Policy().Approvals != 3 {
		t.Fatal("two members have lowered a threshold of three")
	}
	f.Do(approval(f, "LT"))
	if f.Policy().Approvals != 2 || f.Threshold() != 2 {
		t.Fatalf("three members have not: %d", f.Policy().Approvals)
	}
	f.Do(f.Sign(registry.KindPolicy, NewPolicy(f.State, func(p *registry.Policy) { p.Approvals = 5 }), "PL", "DE"))
	f.Do(f.Sign(registry.KindPolicy, NewPolicy(f.State, func(p *registry.Policy) { p.Approvals = 2 }), "PL", "DE", "LT", "FI"))
	if f.Policy().Approvals != 5 {
		t.Fatal("four members have lowered a threshold of five")
	}
}

// TestMotionStandings is the table of what members do with a motion by how it
// stands. An empty cell is accepted.
func TestMotionStandings(t *testing.T) {
	steps := []string{"approve", "approve with another hash", "object", "withdraw", "make the same anew"}
	states := map[string]struct {
		bring func(f *Federation)
		want  [5]error
	}{
		"waiting": {func(*Federation) {}, [5]error{nil, registry.ErrConflict, nil, nil, nil}},
		"lapsed": {func(f *Federation) {
			f.At(f.Time()+f.Policy().VoteDays*86400+1, f.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: f.Members["PL"].Origin}, "PL"))
		}, [5]error{registry.ErrVoteOver, registry.ErrConflict, registry.ErrVoteOver, registry.ErrVoteOver, nil}},
		"decided": {func(f *Federation) { f.Do(approval(f, "LT")) },
			[5]error{registry.ErrNoProposal, registry.ErrNoProposal, registry.ErrNoProposal, registry.ErrNoProposal, registry.ErrConflict}},
		"withdrawn": {func(f *Federation) { f.Do(against(f, "DE")) },
			[5]error{registry.ErrNoProposal, registry.ErrNoProposal, registry.ErrNoProposal, registry.ErrNoProposal, nil}},
		"overtaken": {func(f *Federation) {
			for _, make := range motions {
				kind, payload := make(f.State)
				f.Do(f.Sign(kind, payload, "PL", "LT"))
			}
		}, [5]error{registry.ErrConflict, registry.ErrConflict, nil, nil, registry.ErrConflict}},
	}
	for kindName, make := range motions {
		for name, st := range states {
			f := NewFederation(t, "PL", "DE", "LT")
			kind, payload := make(f.State)
			f.Do(f.Sign(kind, payload, "DE"))
			m := f.Motions()[0]
			st.bring(f)
			for i, step := range steps {
				var c []byte
				switch i {
				case 0:
					c = f.Sign(registry.KindApprove, registry.Approve{Proposal: m.ID, Hash: m.Hash}, "PL")
				case 1:
					c = f.Sign(registry.KindApprove, registry.Approve{Proposal: m.ID, Hash: identity.Hash{1}}, "PL")
				case 2:
					c = f.Sign(registry.KindObject, registry.Object{Proposal: m.ID, Hash: m.Hash}, "PL")
				case 3:
					c = f.Sign(registry.KindObject, registry.Object{Proposal: m.ID, Hash: m.Hash}, "DE")
				case 4:
					c = f.Sign(kind, payload, "LT")
				}
				if err := f.Try(c); !errors.Is(err, st.want[i]) || (err == nil) != (st.want[i] == nil) {
					t.Errorf("%s of a %s motion that is %s: %v, want %v", step, kindName, name, err, st.want[i])
				}
			}
		}
	}
}

// TestWhoSignsAMotion: only active members count, each once, and whoever has
// objected or was suspended no longer does.
func TestWhoSignsAMotion(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT", "FI") // three of four
	kind, payload := motions["policy"](f.State)
	if err := f.Try(f.SignWith(kind, payload, New(t, "XX").Keys.Admin)); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("a stranger's motion: %v", err)
	}
	f.Do(f.Sign(kind, payload, "DE", "LT"))
	f.Do(against(f, "LT"))
	f.Do(approval(f, "PL"))
	if inForce(f.State) {
		t.Fatal("a signature counts that was taken back")
	}
	if m := f.Motions()[0]; len(m.Objections) != 1 || len(m.Approvals) != 2 {
		t.Fatalf("the motion has %d approvals and %d objections", len(m.Approvals), len(m.Objections))
	}
	b := Ruling(t, f.State, registry.Ruling{Kind: registry.RulingSuspend, Origin: f.Members["DE"].Origin}, f.Members["PL"], f.Members["LT"], f.Members["FI"])
	f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: b}, "PL"))
	if err := f.Try(approval(f, "DE")); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("a suspended member approves: %v", err)
	}
	f.Do(approval(f, "PL")) // of three active members two must sign; Germany's does not count
	if inForce(f.State) {
		t.Fatal("a suspended member's signature counts")
	}
	f.Do(approval(f, "LT"))
	if !inForce(f.State) {
		t.Fatal("two of three have signed")
	}
}

// TestMotionsAreBounded: one member cannot fill the registry with motions, nor
// keep others from making theirs; what has lapsed makes room.
func TestMotionsAreBounded(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	make := func(i int, by string) []byte {
		return f.Sign(registry.KindPolicy, NewPolicy(f.State, func(p *registry.Policy) { p.TakedownDays = 15 + int64(i) }), by)
	}
	for i := range registry.MaxMotions {
		f.Do(make(i, "DE"))
	}
	if err := f.Try(make(registry.MaxMotions, "DE")); !errors.Is(err, registry.ErrConflict) {
		t.Fatalf("motion %d of one member: %v", registry.MaxMotions+1, err)
	}
	f.Do(make(registry.MaxMotions, "PL"))
	f.At(f.Time()+f.Policy().VoteDays*86400+2, make(registry.MaxMotions+1, "DE"))
	if n := len(f.Motions()); n != 1 {
		t.Fatalf("%d motions wait, all but one have lapsed", n)
	}
}

// TestARefusalNamesEveryFault: of a policy, a vocabulary and a wording list.
func TestARefusalNamesEveryFault(t *testing.T) {
	f := NewFederation(t, "PL")
	long := strings.Repeat("x", registry.MaxLabel+1)
	policy := func(change func(*registry.Policy)) func() (registry.Kind, any) {
		return func() (registry.Kind, any) { return registry.KindPolicy, NewPolicy(f.State, change) }
	}
	vocabulary := func(change func(*registry.SetVocabulary)) func() (registry.Kind, any) {
		return func() (registry.Kind, any) {
			v := Colours(f.State)
			change(&v)
			return registry.KindVocabulary, v
		}
	}
	for name, c := range map[string]struct {
		command func() (registry.Kind, any)
		says    []string
	}{
		"policy": {policy(func(p *registry.Policy) {
			p.Approvals, p.MajorityBelow, p.Voters, p.VoteDays, p.InvitationDays = 1, 2, 4, 0, 91
			p.Cadence, p.EraseDays, p.Caretakers, p.Languages = map[string]int64{"Crisis!": 0}, 31, 9, []string{"pl", "pl", "P!"}
			p.OriginsPerCountry, p.LargeChange.Listings, p.LapseAfter = 2, 1000, nil
			p.Heads.Burst, p.Heads.PerMinute, p.Heads.Records, p.Heads.Bytes, p.Heads.Record, p.Heads.Delta = 0, 0, 0, 0, 0, 0
			p.TakedownDays = 91
		}), []string{
			"approvals is 1", "majority_below is 2", "voters is 4", "vote_days is 0", "invitation_days is 91", `"Crisis!"`, "cadence: resource",
			"erase_days is 31", "caretakers is 9", `languages: "pl"`, `languages: "P!"`, "en is missing", "origins_per_country", "large_change", "lapse_after",
			"heads.burst", "heads.per_minute", "heads.records", "heads.bytes", "heads.record is", "heads.delta", "takedown_days is 91",
		}},
		"no languages": {policy(func(p *registry.Policy) { p.Languages = nil }), []string{"languages names 0"}},
		"terms": {vocabulary(func(v *registry.SetVocabulary) {
			x := &v.Taxonomies[0]
			x.Code, x.Labels = "Colour", map[string]string{"pl": "Kolor", "E!": "x"}
			x.Terms[0] = registry.Term{Code: "R ed", Labels: map[string]string{"pl": long}, Parent: "nowhere", Successor: "blue"}
			x.Terms[1].Synonyms = map[string][]string{"en": {""}, "!": {"x"}, "pl": nil}
			x.Terms[1].Mappings = []registry.Mapping{{Scheme: "B!", Code: "", Relation: "same"}, {Scheme: "A", Code: "x", Relation: "exact"}}
			x.Terms[2].Deprecated, x.Terms[2].Successor = true, "blue.dark"
			x.Order = []string{"blue"}
		}), []string{
			`"Colour" is no code`, "Colour: the English label", `"E!"`, `"R ed" is no code`, "R ed: the English label", "R ed: the label in pl has 301 bytes",
			`no term "nowhere"`, "only a deprecated term", "blue: a synonym in en is empty", `0 synonyms in "pl"`, `1 synonyms in "!"`, "scheme by its code",
			"the code in B! is empty", "mappings are ordered", `successor "blue.dark" is no current term`, "the order names 1 of 3",
		}},
		"above itself": {vocabulary(func(v *registry.SetVocabulary) { v.Taxonomies[0].Terms[1].Parent = "blue.dark" }), []string{"stands above itself"}},
		"twice": {vocabulary(func(v *registry.SetVocabulary) {
			v.Taxonomies[0].Terms = append(v.Taxonomies[0].Terms, v.Taxonomies[0].Terms[0])
			v.Taxonomies, v.Wording = append(v.Taxonomies, v.Taxonomies[0]), append(v.Wording, v.Wording[0])
		}), []string{`"red" stands in the change twice`, `"colour" is changed twice`, `"en" is changed twice`}},
		"no terms": {vocabulary(func(v *registry.SetVocabulary) { v.Taxonomies[0].Terms = nil }), []string{"colour: 0 terms"}},
		"nothing":  {vocabulary(func(v *registry.SetVocabulary) { *v = registry.SetVocabulary{} }), []string{"changes nothing"}},
		"wording": {vocabulary(func(v *registry.SetVocabulary) {
			v.Wording[0] = registry.WordingChange{Language: "E", Banned: []registry.Banned{{Term: "b", Reason: "r", Instead: ""}, {Term: "a\n", Reason: long + long, Instead: "i"}}}
		}), []string{`"E" is no language tag`, "what to say instead is empty", "the term contains", "the reason has", "banned terms are ordered"}},
	} {
		kind, payload := c.command()
		err := f.Try(f.Sign(kind, payload, "PL"))
		if !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q is not named in: %v", name, s, err)
			}
		}
	}
}

// TestVocabularyChanges: what is not named stays, a term never goes.
func TestVocabularyChanges(t *testing.T) {
	f := NewFederation(t, "PL")
	f.Do(f.Sign(registry.KindVocabulary, Colours(f.State), "PL"))
	first := f.Taxonomies()[0]
	if first.Seq != f.Seq() || f.VocabularySeq() != f.Seq() || len(first.Terms) != 3 || len(f.Wording()) != 1 {
		t.Fatalf("%+v", first)
	}
	// What callers do with what they are given changes nothing.
	first.Terms[0].Labels["en"], first.Labels["en"] = "changed", "changed"
	f.Wording()[0].Banned[0].Term = "changed"
	again := f.Taxonomies()[0]
	if again.Labels["en"] != "Colour" || again.Terms[0].Labels["en"] != "Red" || f.Wording()[0].Banned[0].Term == "changed" {
		t.Fatal("a state has changed")
	}
	before := registry.HashTaxonomy(again)
	change := func(c registry.TaxonomyChange) error {
		c.Code, c.Before = "colour", before
		return f.Try(f.Sign(registry.KindVocabulary, registry.SetVocabulary{Taxonomies: []registry.TaxonomyChange{c}}, "PL"))
	}
	if err := change(registry.TaxonomyChange{Order: []string{"red", "blue"}}); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("a term is left out: %v", err)
	}
	f.Do(f.Sign(registry.KindVocabulary, registry.SetVocabulary{Taxonomies: []registry.TaxonomyChange{{Code: "colour", Before: before, Terms: []registry.Term{
		{Code: "green", Labels: map[string]string{"en": "Green"}},
		{Code: "red", Labels: map[string]string{"en": "Crimson"}},
	}}}}, "PL"))
	now := f.Taxonomies()[0]
	if len(now.Terms) != 4 || now.Terms[0].Labels["en"] != "Crimson" || now.Terms[0].Labels["pl"] != "" || now.Terms[3].Code != "green" || !maps.Equal(now.Labels, again.Labels) {
		t.Errorf("%+v", now)
	}
	if err := change(registry.TaxonomyChange{Order: []string{"blue", "blue.dark", "green", "red"}}); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a change of what has changed since: %v", err)
	}
}

// TestActivate: the kinds of a later version of the rules count when the members
// have gone over to it, and a program that does not know it stops there.
func TestActivate(t *testing.T) {
	pl, de, lt, _ := cast(t)
	s := begin(t, 1, pl)
	s.admit(pl, de)
	s.admit(pl, lt)
	try := func(kind registry.Kind, payload any, by ...*Member) error {
		keys := []*identity.Key{}
		for _, m := range by {
			keys = append(keys, m.Keys.Admin)
		}
		_, c, err := registry.NewCommand(s.State, kind, payload, keys...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Apply(registry.Entry{Time: s.Time(), Command: c})
		return err
	}
	for name, make := range motions {
		kind, payload := make(s.State)
		if err := try(kind, payload, pl, de, lt); !errors.Is(err, registry.ErrConflict) || !strings.Contains(err.Error(), "activate it first") {
			t.Errorf("a %s command under the first rules: %v", name, err)
		}
	}
	if err := try(registry.KindActivate, registry.Activate{Rules: 3}, pl, de); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a version is skipped: %v", err)
	}
	if err := try(registry.KindActivate, registry.Activate{Rules: 1}, pl, de); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the version that holds: %v", err)
	}
	s.do(registry.KindActivate, registry.Activate{Rules: 2}, pl)
	if s.Rules() != 1 {
		t.Fatal("one of three members has gone over to other rules")
	}
	m := s.Motions()[0]
	s.do(registry.KindApprove, registry.Approve{Proposal: m.ID, Hash: m.Hash}, de)
	if s.Rules() != 2 {
		t.Fatal("two of three have not")
	}
	for name, make := range motions {
		kind, payload := make(s.State)
		if err := try(kind, payload, pl, de); err != nil {
			t.Errorf("a %s command: %v", name, err)
		}
	}
	// As long as it waits, whoever does not know the next version goes on.
	if err := try(registry.KindActivate, registry.Activate{Rules: 3}, pl); err != nil {
		t.Errorf("a motion for rules that this program does not know: %v", err)
	}
	if err := try(registry.KindActivate, registry.Activate{Rules: 3}, pl, de); !errors.Is(err, registry.ErrUnknownKind) {
		t.Errorf("rules that this program does not know: %v", err)
	}
}

// FuzzMotion: whatever a member puts into a motion is judged, leaves the state
// before as it was, and leads to one that has an encoding.
func FuzzMotion(f *testing.F) {
	kinds := []registry.Kind{registry.KindPolicy, registry.KindVocabulary, registry.KindActivate, registry.KindClock}
	w := NewFederation(f, "PL")
	for i, payload := range []any{
		NewPolicy(w.State, func(p *registry.Policy) { p.VoteDays = 3 }), Colours(w.State), registry.Activate{Rules: 3},
		registry.SetClock{Reached: w.Time(), Time: w.Time() - 1},
	} {
		raw, err := identity.Marshal(payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), raw)
	}
	before := w.Encode()
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		if len(payload) > registry.MaxCommand/2 {
			return // larger than any command may be
		}
		c := registry.Command{
			Version: registry.Version, Federation: w.Federation(), Kind: kinds[int(kind)%len(kinds)], ID: registry.NewID(), Base: w.Seq(), Payload: payload,
		}
		b, err := c.Sign(w.Members["PL"].Keys.Admin)
		if err != nil {
			return // what is no CBOR cannot be signed
		}
		next, err := w.Apply(registry.Entry{Time: w.Time(), Command: b})
		if string(w.Encode()) != string(before) {
			t.Fatal("the state before has changed")
		}
		if err == nil && len(next.Encode()) == 0 {
			t.Fatal("a state without bytes")
		}
	})
}
