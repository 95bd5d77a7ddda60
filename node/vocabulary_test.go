package node

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
)

func seedOf(t *testing.T) vocabulary {
	t.Helper()
	texts, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	v, err := seedVocabulary(texts)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSeedVocabulary: every code that people read has its words in all languages
// of the policy, and each language has a wording list.
func TestSeedVocabulary(t *testing.T) {
	v, languages := seedOf(t), registry.DefaultPolicy().Languages
	if len(v.Taxonomies) != 20 || len(v.Wording) != len(languages) {
		t.Fatalf("%d vocabularies, %d wording lists", len(v.Taxonomies), len(v.Wording))
	}
	synonyms := map[string]int{}
	for _, x := range v.Taxonomies {
		if codes := listing.Shipped(x.Code); len(codes) != len(x.Terms) {
			t.Errorf("%s: %d terms for %d codes", x.Code, len(x.Terms), len(codes))
		}
		for _, l := range languages {
			if x.Labels[l] == "" {
				t.Errorf("%s has no name in %s", x.Code, l)
			}
			for _, m := range x.Terms {
				if m.Labels[l] == "" {
					t.Errorf("%s %s has no label in %s", x.Code, m.Code, l)
				}
				synonyms[l] += len(m.Synonyms[l])
			}
		}
	}
	for _, l := range languages {
		if synonyms[l] < 30 {
			t.Errorf("%d synonyms in %s", synonyms[l], l)
		}
		if !slices.ContainsFunc(v.Wording, func(w registry.Wording) bool { return w.Language == l && len(w.Banned) >= 5 }) {
			t.Errorf("no wording list in %s", l)
		}
	}
}

// TestNoLabelSaysWhatIsBanned: the labels keep to the wording list.
func TestNoLabelSaysWhatIsBanned(t *testing.T) {
	v := seedOf(t)
	for _, f := range banned(v) {
		t.Error(f)
	}
	v.Taxonomies[0].Terms[0].Labels["de"] = "Pädophile Menschen, Kinderpornografie"
	if f := banned(v); len(f) != 1 {
		t.Errorf("a label with a banned term: %v", f)
	}
}

// TestAFounderBeginsWithTheSeed: what a founder agrees on is the seed, whole, and
// nothing is left to change.
func TestAFounderBeginsWithTheSeed(t *testing.T) {
	pl := registrytest.New(t, "PL")
	_, s := pl.Found(t)
	v := seedOf(t)
	entries, err := foundingEntries(s, v, pl.Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, e := range entries {
		size += len(e.Command)
		if s, err = s.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d commands, %d bytes", len(entries), size)
	now := vocabulary{Taxonomies: s.Taxonomies(), Wording: s.Wording()}
	if left, err := changes(now, v); err != nil || len(left) != 0 {
		t.Fatalf("%d changes are left: %v", len(left), err)
	}
	// A term that changes is one small change, and what is moved keeps its words.
	v = seedOf(t)
	i := slices.IndexFunc(v.Taxonomies, func(x registry.Taxonomy) bool { return x.Code == listing.VocabularyCost })
	v.Taxonomies[i].Terms[0].Labels["en"] = "No charge"
	slices.Reverse(v.Taxonomies[i].Terms)
	left, err := changes(now, v)
	if err != nil || len(left) != 1 || len(left[0].Taxonomies) != 1 || len(left[0].Taxonomies[0].Terms) != 1 {
		t.Fatalf("%v %v", left, err)
	}
	_, c, err := registry.NewCommand(s, registry.KindVocabulary, left[0], pl.Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.Apply(registry.Entry{Time: s.Time() + int64(time.Hour/time.Second), Command: c}); err != nil {
		t.Fatal(err)
	}
	if left, err := changes(vocabulary{Taxonomies: s.Taxonomies(), Wording: s.Wording()}, v); err != nil || len(left) != 0 {
		t.Fatalf("%d changes are left: %v", len(left), err)
	}
	// Too much for one command is refused before anything is signed.
	v.Taxonomies[i].Terms = nil
	long := map[string]string{"en": string(make([]byte, registry.MaxLabel))}
	for range registry.MaxTerms {
		v.Taxonomies[i].Terms = append(v.Taxonomies[i].Terms, registry.Term{Labels: long})
	}
	if _, err := changes(now, v); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("a change that fits into no command: %v", err)
	}
}
