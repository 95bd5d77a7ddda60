package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits of vocabularies.
const (
	MaxTaxonomies = 64
	MaxTerms      = 256 // of one taxonomy, deprecated ones included
	MaxLabel      = 300 // bytes of a label, a synonym or a banned term
	MaxSynonyms   = 32  // of one term in one language
	MaxMappings   = 16  // of one term
	MaxLanguages  = 32  // in which one label can be written
	MaxBanned     = 256 // banned terms of one language
	MaxAdvice     = 300 // bytes of a reason for a ban, and of what to say instead
	maxDepth      = 4   // terms above a term
)

// Taxonomy is a vocabulary of the federation, as HSDS calls it: a named list of
// terms. What its codes mean to whom is none of the registry's business.
type Taxonomy struct {
	Code   string            `cbor:"1,keyasint"`
	Labels map[string]string `cbor:"2,keyasint"` // its name by language; English is always there
	Terms  []Term            `cbor:"3,keyasint"` // in the order in which they are offered
	Seq    uint64            `cbor:"4,keyasint"` // the entry that changed it last
}

// Term is one term of a taxonomy. Its code is for ever: a term that is not wanted
// any more is deprecated, so that what was published with it stays readable.
type Term struct {
	Code   string `cbor:"1,keyasint"`
	Parent string `cbor:"2,keyasint,omitempty"` // the wider term in the same taxonomy
	// Labels are the words for it by language (BCP 47), as people are to read
	// them: the allowed ones. English is always there.
	Labels map[string]string `cbor:"3,keyasint"`
	// Synonyms are other words by which people look for it. They are searched for
	// and never shown.
	Synonyms map[string][]string `cbor:"4,keyasint,omitempty"`
	Mappings []Mapping           `cbor:"5,keyasint,omitempty"` // ordered by scheme and code
	// Deprecated terms are read and no longer offered.
	Deprecated bool   `cbor:"6,keyasint,omitempty"`
	Successor  string `cbor:"7,keyasint,omitempty"` // the current term to use instead of a deprecated one
}

// Mapping says what a term is in another scheme.
type Mapping struct {
	Scheme   string `cbor:"1,keyasint"` // a code: jrc, ecsa, hsds, …
	Code     string `cbor:"2,keyasint"` // as that scheme writes it
	Relation string `cbor:"3,keyasint"` // exact, close, broad, narrow or related, after SKOS
}

var relations = []string{"exact", "close", "broad", "narrow", "related"}

// Wording is what texts of one language are not to say.
type Wording struct {
	Language string   `cbor:"1,keyasint"`
	Banned   []Banned `cbor:"2,keyasint"` // ordered by term
	Seq      uint64   `cbor:"3,keyasint"` // the entry that changed it last
}

// Banned is a word or phrase that is not to be used.
type Banned struct {
	Term    string `cbor:"1,keyasint"`
	Reason  string `cbor:"2,keyasint"`
	Instead string `cbor:"3,keyasint"` // what to say
}

// SetVocabulary is the payload of [KindVocabulary]: changes of taxonomies and of
// the wording list, all of them or none.
type SetVocabulary struct {
	Taxonomies []TaxonomyChange `cbor:"1,keyasint,omitempty"`
	Wording    []WordingChange  `cbor:"2,keyasint,omitempty"`
}

// TaxonomyChange adds a taxonomy or changes one.
type TaxonomyChange struct {
	Code string `cbor:"1,keyasint"`
	// Before is the [HashTaxonomy] of what it changes, zero for a new taxonomy:
	// whoever approves knows from what to what.
	Before identity.Hash     `cbor:"2,keyasint"`
	Labels map[string]string `cbor:"3,keyasint,omitempty"` // none: as they are
	Terms  []Term            `cbor:"4,keyasint,omitempty"` // added at the end, or in place of the one of that code
	Order  []string          `cbor:"5,keyasint,omitempty"` // all codes in a new order; none: as they are
}

// WordingChange states the banned terms of one language anew.
type WordingChange struct {
	Language string        `cbor:"1,keyasint"`
	Before   identity.Hash `cbor:"2,keyasint"` // the [HashWording] of what it changes, zero for none
	Banned   []Banned      `cbor:"3,keyasint"`
}

// Taxonomies are all vocabularies, ordered by code.
func (s *State) Taxonomies() []Taxonomy {
	out := make([]Taxonomy, len(s.taxonomies))
	for i, t := range s.taxonomies {
		out[i] = t.clone()
	}
	return out
}

// Wording are the lists of banned terms, ordered by language.
func (s *State) Wording() []Wording {
	out := make([]Wording, len(s.wording))
	for i, w := range s.wording {
		w.Banned = slices.Clone(w.Banned)
		out[i] = w
	}
	return out
}

// VocabularySeq is the last entry that changed a taxonomy or the wording list;
// 0 when there is none.
func (s *State) VocabularySeq() uint64 {
	seq := uint64(0)
	for _, t := range s.taxonomies {
		seq = max(seq, t.Seq)
	}
	for _, w := range s.wording {
		seq = max(seq, w.Seq)
	}
	return seq
}

// HashTaxonomy is how a change names what it changes: the taxonomy without the
// number of its entry.
func HashTaxonomy(t Taxonomy) identity.Hash {
	t.Seq = 0
	return sum(domainTaxonomy, t)
}

// HashWording is how a change names the list that it changes.
func HashWording(w Wording) identity.Hash {
	w.Seq = 0
	return sum(domainWording, w)
}

func sum(domain byte, v any) identity.Hash {
	b, err := identity.Marshal(v)
	if err != nil { // the types hold nothing that cannot be encoded
		panic(err)
	}
	return identity.Sum(domain, b)
}

func (t Taxonomy) clone() Taxonomy {
	t.Labels = maps.Clone(t.Labels)
	t.Terms = slices.Clone(t.Terms)
	for i := range t.Terms {
		t.Terms[i] = t.Terms[i].clone()
	}
	return t
}

func (t Term) clone() Term {
	t.Labels, t.Synonyms, t.Mappings = maps.Clone(t.Labels), maps.Clone(t.Synonyms), slices.Clone(t.Mappings)
	for lang, list := range t.Synonyms {
		t.Synonyms[lang] = slices.Clone(list)
	}
	return t
}

// setVocabulary judges a change, and makes it if it is to be made now.
func (c *change) setVocabulary(payload []byte, now bool) error {
	var p SetVocabulary
	if err := decode(KindVocabulary, payload, &p); err != nil {
		return err
	}
	if len(p.Taxonomies) == 0 && len(p.Wording) == 0 {
		return fmt.Errorf("%w: a change of the vocabularies that changes nothing", ErrMalformed)
	}
	taxonomies, wording := slices.Clone(c.taxonomies), slices.Clone(c.wording)
	var f faults
	named := map[string]bool{}
	for _, ch := range p.Taxonomies {
		if named["taxonomy "+ch.Code] {
			f.add("the vocabulary %q is changed twice", ch.Code)
			continue
		}
		named["taxonomy "+ch.Code] = true
		i, known := slices.BinarySearchFunc(taxonomies, ch.Code, func(t Taxonomy, code string) int { return cmp.Compare(t.Code, code) })
		var was Taxonomy
		if known {
			was = taxonomies[i]
			if HashTaxonomy(was) != ch.Before {
				return fmt.Errorf("%w: the vocabulary %q has changed since this was made; make it anew", ErrConflict, ch.Code)
			}
		} else if ch.Before != (identity.Hash{}) {
			return fmt.Errorf("%w: there is no vocabulary %q to change", ErrConflict, ch.Code)
		}
		next := ch.apply(was, &f)
		next.Seq = c.seq
		next.check(&f)
		if known {
			taxonomies[i] = next
		} else {
			taxonomies = slices.Insert(taxonomies, i, next)
		}
	}
	for _, ch := range p.Wording {
		if named["wording "+ch.Language] {
			f.add("the wording list of %q is changed twice", ch.Language)
			continue
		}
		named["wording "+ch.Language] = true
		i, known := slices.BinarySearchFunc(wording, ch.Language, func(w Wording, lang string) int { return cmp.Compare(w.Language, lang) })
		switch {
		case known && HashWording(wording[i]) != ch.Before:
			return fmt.Errorf("%w: the wording list of %q has changed since this was made; make it anew", ErrConflict, ch.Language)
		case !known && ch.Before != identity.Hash{}:
			return fmt.Errorf("%w: there is no wording list of %q to change", ErrConflict, ch.Language)
		}
		next := Wording{Language: ch.Language, Banned: ch.Banned, Seq: c.seq}
		next.check(&f)
		if known {
			wording[i] = next
		} else {
			wording = slices.Insert(wording, i, next)
		}
	}
	if len(taxonomies) > MaxTaxonomies {
		f.add("%d vocabularies, at most %d are allowed", len(taxonomies), MaxTaxonomies)
	}
	if len(wording) > MaxLanguages {
		f.add("wording lists of %d languages, at most %d are allowed", len(wording), MaxLanguages)
	}
	if err := f.err(); err != nil || !now {
		return err
	}
	c.taxonomies, c.wording = taxonomies, wording
	return nil
}

// apply is the taxonomy after the change. It shares nothing with the one before
// that is written to.
func (ch *TaxonomyChange) apply(was Taxonomy, f *faults) Taxonomy {
	next := Taxonomy{Code: ch.Code, Labels: was.Labels, Terms: slices.Clone(was.Terms)}
	if len(ch.Labels) > 0 {
		next.Labels = ch.Labels
	}
	named := map[string]bool{}
	for _, t := range ch.Terms {
		if named[t.Code] {
			f.add("%s: the term %q stands in the change twice", ch.Code, t.Code)
			continue
		}
		named[t.Code] = true
		if i := next.find(t.Code); i >= 0 {
			next.Terms[i] = t
		} else {
			next.Terms = append(next.Terms, t)
		}
	}
	if len(ch.Order) == 0 {
		return next
	}
	ordered := make([]Term, 0, len(next.Terms))
	for _, code := range ch.Order {
		i := next.find(code)
		if i < 0 || slices.ContainsFunc(ordered, func(t Term) bool { return t.Code == code }) {
			f.add("%s: the order names %q, which is no term of it or named twice", ch.Code, code)
			continue
		}
		ordered = append(ordered, next.Terms[i])
	}
	if len(ordered) != len(next.Terms) {
		f.add("%s: the order names %d of %d terms; a term is deprecated, never left out", ch.Code, len(ordered), len(next.Terms))
		return next
	}
	next.Terms = ordered
	return next
}

func (t *Taxonomy) find(code string) int {
	return slices.IndexFunc(t.Terms, func(o Term) bool { return o.Code == code })
}

// check notes everything that is wrong with the taxonomy.
func (t *Taxonomy) check(f *faults) {
	if !validCode(t.Code, 1) {
		f.add("%q is no code of a vocabulary", short(t.Code))
	}
	checkLabels(f, short(t.Code), t.Labels)
	if len(t.Terms) == 0 || len(t.Terms) > MaxTerms {
		f.add("%s: %d terms, 1 to %d are allowed", short(t.Code), len(t.Terms), MaxTerms)
		return
	}
	for i := range t.Terms {
		t.checkTerm(f, &t.Terms[i])
	}
}

func (t *Taxonomy) checkTerm(f *faults, m *Term) {
	at := short(t.Code) + " " + short(m.Code)
	if !ValidTermCode(m.Code) {
		f.add("%s: %q is no code of a term: lower-case letters, digits, points, hyphens and underscores, 1 to 48", short(t.Code), short(m.Code))
	}
	checkLabels(f, at, m.Labels)
	if len(m.Synonyms) > MaxLanguages {
		f.add("%s: synonyms in %d languages, at most %d are allowed", at, len(m.Synonyms), MaxLanguages)
	}
	for _, lang := range slices.Sorted(maps.Keys(m.Synonyms)) {
		list := m.Synonyms[lang]
		if !ValidLanguage(lang) || len(list) == 0 || len(list) > MaxSynonyms {
			f.add("%s: %d synonyms in %q; 1 to %d in a language are allowed", at, len(list), short(lang), MaxSynonyms)
			continue
		}
		for _, s := range list {
			f.text(at+": a synonym in "+lang, s, MaxLabel)
		}
	}
	t.checkPlace(f, at, m)
	if len(m.Mappings) > MaxMappings {
		f.add("%s: %d mappings, at most %d are allowed", at, len(m.Mappings), MaxMappings)
	}
	for i, p := range m.Mappings {
		if !validCode(p.Scheme, 1) || !slices.Contains(relations, p.Relation) {
			f.add("%s: a mapping names a scheme by its code, and a relation that is one of %s", at, strings.Join(relations, ", "))
		}
		f.text(at+": the code in "+short(p.Scheme), p.Code, MaxText)
		if i > 0 && cmp.Or(cmp.Compare(m.Mappings[i-1].Scheme, p.Scheme), cmp.Compare(m.Mappings[i-1].Code, p.Code)) >= 0 {
			f.add("%s: mappings are ordered by scheme and code, none twice", at)
		}
	}
}

// checkPlace checks what the term says of other terms.
func (t *Taxonomy) checkPlace(f *faults, at string, m *Term) {
	switch i := t.find(m.Successor); {
	case m.Successor == "":
	case !m.Deprecated:
		f.add("%s: only a deprecated term has a successor", at)
	case i < 0 || t.Terms[i].Deprecated:
		f.add("%s: its successor %q is no current term", at, short(m.Successor))
	}
	above := m
	for depth := 0; above.Parent != ""; depth++ {
		i := t.find(above.Parent)
		if i < 0 {
			f.add("%s: there is no term %q above it", at, short(above.Parent))
			return
		}
		if depth == maxDepth {
			f.add("%s: more than %d terms stand above it, or it stands above itself", at, maxDepth)
			return
		}
		above = &t.Terms[i]
	}
}

func checkLabels(f *faults, at string, labels map[string]string) {
	if labels["en"] == "" {
		f.add("%s: the English label is missing", at)
	}
	if len(labels) > MaxLanguages {
		f.add("%s: labels in %d languages, at most %d are allowed", at, len(labels), MaxLanguages)
		return
	}
	for _, lang := range slices.Sorted(maps.Keys(labels)) {
		if !ValidLanguage(lang) {
			f.add("%s: %q is no language tag", at, short(lang))
		}
		if labels[lang] != "" || lang != "en" {
			f.text(at+": the label in "+short(lang), labels[lang], MaxLabel)
		}
	}
}

func (w *Wording) check(f *faults) {
	if !ValidLanguage(w.Language) {
		f.add("wording: %q is no language tag", short(w.Language))
	}
	if len(w.Banned) > MaxBanned {
		f.add("wording %s: %d banned terms, at most %d are allowed", short(w.Language), len(w.Banned), MaxBanned)
		return
	}
	for i, b := range w.Banned {
		at := "wording " + short(w.Language) + " " + short(b.Term)
		f.text(at+": the term", b.Term, MaxLabel)
		f.text(at+": the reason", b.Reason, MaxAdvice)
		f.text(at+": what to say instead", b.Instead, MaxAdvice)
		if i > 0 && w.Banned[i-1].Term >= b.Term {
			f.add("%s: banned terms are ordered, none twice", at)
		}
	}
}

// ValidTermCode reports whether s has the form of a term's code.
func ValidTermCode(s string) bool {
	return s != "" && len(s) <= 48 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.' && r != '-' && r != '+'
	})
}

// ValidLanguage reports whether s has the form of a language tag (BCP 47), in
// lower case.
func ValidLanguage(s string) bool {
	return len(s) >= 2 && len(s) <= 16 && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// short cuts what is quoted in an error.
func short(s string) string {
	if len(s) > 48 {
		return strings.ToValidUTF8(s[:48], "") + "…"
	}
	return s
}
