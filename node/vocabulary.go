package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/listing/seed"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
)

// vocabulary is what the countries have agreed on, or what they begin with: the
// same forms for both, so that nothing else here knows the difference.
type vocabulary struct {
	Taxonomies []registry.Taxonomy // ordered by code
	Wording    []registry.Wording  // ordered by language
	Seq        uint64              // the entry that changed it last; 0: it is the program's own
}

// seedVocabulary is what a federation begins with: the codes of package listing
// with the words of package locale.
func seedVocabulary(texts *locale.Set) (vocabulary, error) {
	mappings, err := seed.Mappings()
	if err != nil {
		return vocabulary{}, err
	}
	var out vocabulary
	for _, name := range listing.Vocabularies() {
		t := registry.Taxonomy{Code: name, Labels: map[string]string{}}
		for _, w := range texts.Words() {
			if s := w.Names[name]; s != "" {
				t.Labels[w.Language] = s
			}
		}
		if len(t.Labels) == 0 {
			continue // nobody reads it as words
		}
		for _, code := range listing.Shipped(name) {
			t.Terms = append(t.Terms, seedTerm(texts, name, code, mappings[name][code]))
		}
		out.Taxonomies = append(out.Taxonomies, t)
	}
	for _, w := range texts.Words() {
		list := registry.Wording{Language: w.Language}
		for _, b := range w.Banned {
			list.Banned = append(list.Banned, registry.Banned{Term: b.Term, Reason: b.Reason, Instead: b.Instead})
		}
		slices.SortFunc(list.Banned, func(a, b registry.Banned) int { return cmp.Compare(a.Term, b.Term) })
		out.Wording = append(out.Wording, list)
	}
	slices.SortFunc(out.Wording, func(a, b registry.Wording) int { return cmp.Compare(a.Language, b.Language) })
	return out, nil
}

func seedTerm(texts *locale.Set, name, code string, mappings []seed.Mapping) registry.Term {
	t := registry.Term{Code: code, Labels: map[string]string{}}
	for _, w := range texts.Words() {
		if s := w.Terms[name][code]; s != "" {
			t.Labels[w.Language] = s
		}
		if list := w.Synonyms[name][code]; len(list) > 0 {
			if t.Synonyms == nil {
				t.Synonyms = map[string][]string{}
			}
			t.Synonyms[w.Language] = list
		}
	}
	for _, m := range mappings {
		t.Mappings = append(t.Mappings, registry.Mapping{Scheme: m.Scheme, Code: m.Code, Relation: m.Relation})
	}
	return t
}

// vocabulary is what holds here now: what the countries have agreed on, and for
// vocabularies on which they have not, the program's own.
func (n *Node) vocabulary() vocabulary {
	own := n.seed
	s := n.state()
	if s == nil || s.VocabularySeq() == 0 {
		return own
	}
	out := vocabulary{Taxonomies: s.Taxonomies(), Wording: s.Wording(), Seq: s.VocabularySeq()}
	for _, t := range own.Taxonomies {
		if !slices.ContainsFunc(out.Taxonomies, func(o registry.Taxonomy) bool { return o.Code == t.Code }) {
			out.Taxonomies = append(out.Taxonomies, t)
		}
	}
	slices.SortFunc(out.Taxonomies, func(a, b registry.Taxonomy) int { return cmp.Compare(a.Code, b.Code) })
	return out
}

// learn has codes, labels and search go by the vocabulary of now, if it is another
// one than before. Its caller sees to it that one does it at a time.
func (n *Node) learn() {
	v := n.vocabulary()
	if v.Seq == n.learned {
		return
	}
	n.learned = v.Seq
	n.forHSDS.Store(v.hsds())
	if v.Seq > 0 { // other nodes of this process may know more than one that has nothing
		listing.Agree(v.codes())
	}
	n.locale.SetLabels(v.labels())
	n.index.SetLabels(v.searchLabels())
}

func (v vocabulary) codes() map[string][]listing.Code {
	out := make(map[string][]listing.Code, len(v.Taxonomies))
	for _, t := range v.Taxonomies {
		list := make([]listing.Code, 0, len(t.Terms))
		for _, m := range t.Terms {
			list = append(list, listing.Code{Code: m.Code, Deprecated: m.Deprecated})
		}
		out[t.Code] = list
	}
	return out
}

func (v vocabulary) labels() locale.Labels {
	out := make(locale.Labels, len(v.Taxonomies))
	for _, t := range v.Taxonomies {
		out[t.Code] = make(map[string]map[string]string, len(t.Terms))
		for _, m := range t.Terms {
			out[t.Code][m.Code] = m.Labels
		}
	}
	return out
}

// hsdsVocabulary is what the API calls the codes.
func (n *Node) hsdsVocabulary() hsds.Vocabulary {
	if v := n.forHSDS.Load(); v != nil {
		return *v
	}
	v := n.seed.hsds()
	n.forHSDS.CompareAndSwap(nil, v)
	return *v
}

// hsds is the vocabulary with its English names, as taxonomies of HSDS.
func (v vocabulary) hsds() *hsds.Vocabulary {
	list := make([]hsds.Taxonomy, 0, len(v.Taxonomies))
	for _, t := range v.Taxonomies {
		x := hsds.Taxonomy{Code: t.Code, Name: t.Labels["en"]}
		if v.Seq > 0 {
			x.Version = strconv.FormatUint(t.Seq, 10)
		}
		for _, m := range t.Terms {
			x.Terms = append(x.Terms, hsds.Term{Code: m.Code, Name: m.Labels["en"], Parent: m.Parent})
		}
		list = append(list, x)
	}
	out := hsds.NewVocabulary(list)
	return &out
}

// facets are the vocabularies whose words find listings.
var facets = map[string]search.Facet{
	listing.VocabularyAudience: search.Audience, listing.VocabularyChannel: search.Channel, listing.VocabularyAnonymity: search.Anonymity,
	listing.VocabularyCost: search.Cost, listing.VocabularyFormat: search.Format, listing.VocabularyServiceType: search.ServiceType,
}

// searchLabels are the labels and synonyms of every language, so that whoever
// searches for "anonymous chat" finds the code.
func (v vocabulary) searchLabels() []search.Label {
	var out []search.Label
	for _, t := range v.Taxonomies {
		facet, ok := facets[t.Code]
		if !ok {
			continue
		}
		for _, m := range t.Terms {
			add := func(lang, text string) {
				out = append(out, search.Label{Facet: facet, Code: m.Code, Language: lang, Text: text})
			}
			for lang, text := range m.Labels {
				add(lang, text)
			}
			for lang, list := range m.Synonyms {
				for _, text := range list {
					add(lang, text)
				}
			}
		}
	}
	// The index goes by what is in the list, not by where: the order is for people.
	slices.SortFunc(out, func(a, b search.Label) int {
		return cmp.Or(cmp.Compare(a.Facet, b.Facet), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Language, b.Language), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// changes are what makes one vocabulary of another, in commands that are small
// enough: each is worth something alone. Vocabularies that are not in to stay.
func changes(from, to vocabulary) ([]registry.SetVocabulary, error) {
	var out []registry.SetVocabulary
	var last registry.SetVocabulary
	add := func(with func(*registry.SetVocabulary), what string) error {
		next := registry.SetVocabulary{Taxonomies: slices.Clone(last.Taxonomies), Wording: slices.Clone(last.Wording)}
		with(&next)
		if size, err := sizeOf(next); err != nil || size <= roomForChange {
			last = next
			return err
		}
		if len(last.Taxonomies)+len(last.Wording) > 0 {
			out = append(out, last)
		}
		last = registry.SetVocabulary{}
		with(&last)
		if size, err := sizeOf(last); err != nil || size > roomForChange {
			return fmt.Errorf("the change of %s has %d bytes, at most %d fit into one: %w", what, size, roomForChange, cmp.Or(err, registry.ErrMalformed))
		}
		return nil
	}
	for _, t := range to.Taxonomies {
		ch, changed := changeOf(from, t)
		if !changed {
			continue
		}
		if err := add(func(s *registry.SetVocabulary) { s.Taxonomies = append(s.Taxonomies, ch) }, t.Code); err != nil {
			return nil, err
		}
	}
	for _, w := range to.Wording {
		ch := registry.WordingChange{Language: w.Language, Banned: w.Banned}
		if i := slices.IndexFunc(from.Wording, func(o registry.Wording) bool { return o.Language == w.Language }); i >= 0 {
			if ch.Before = registry.HashWording(from.Wording[i]); ch.Before == registry.HashWording(w) {
				continue
			}
		} else if len(w.Banned) == 0 {
			continue
		}
		if err := add(func(s *registry.SetVocabulary) { s.Wording = append(s.Wording, ch) }, "the wording list of "+w.Language); err != nil {
			return nil, err
		}
	}
	if len(last.Taxonomies)+len(last.Wording) > 0 {
		out = append(out, last)
	}
	return out, nil
}

// roomForChange is what a command leaves for a change: signatures of many members
// and the envelope take the rest.
const roomForChange = registry.MaxCommand - 8<<10

func sizeOf(s registry.SetVocabulary) (int, error) {
	b, err := identity.Marshal(s)
	return len(b), err
}

// changeOf is what makes the taxonomy of the same code in from into t.
func changeOf(from vocabulary, t registry.Taxonomy) (registry.TaxonomyChange, bool) {
	i := slices.IndexFunc(from.Taxonomies, func(o registry.Taxonomy) bool { return o.Code == t.Code })
	if i < 0 {
		return registry.TaxonomyChange{Code: t.Code, Labels: t.Labels, Terms: t.Terms}, true
	}
	was := from.Taxonomies[i]
	before := registry.HashTaxonomy(was)
	if before == registry.HashTaxonomy(t) {
		return registry.TaxonomyChange{}, false
	}
	ch := registry.TaxonomyChange{Code: t.Code, Before: before, Labels: t.Labels}
	order := make([]string, 0, len(t.Terms))
	for _, m := range t.Terms {
		order = append(order, m.Code)
		at := slices.IndexFunc(was.Terms, func(o registry.Term) bool { return o.Code == m.Code })
		if at < 0 || !sameTerm(was.Terms[at], m) {
			ch.Terms = append(ch.Terms, m)
		}
	}
	ch.Order = order
	return ch, true
}

func sameTerm(a, b registry.Term) bool {
	x, errX := identity.Marshal(a)
	y, errY := identity.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// foundingEntries are what a founder agrees on with itself: the vocabularies
// that the program comes with. Each is signed for the state that the ones before
// lead to; the entries are those of the registry from then on.
func foundingEntries(s *registry.State, v vocabulary, admin *identity.Key) ([]registry.Entry, error) {
	list, err := changes(vocabulary{}, v)
	if err != nil {
		return nil, err
	}
	var out []registry.Entry
	for _, ch := range list {
		_, command, err := registry.NewCommand(s, registry.KindVocabulary, ch, admin)
		if err != nil {
			return nil, err
		}
		e := registry.Entry{Time: s.Time(), Command: command}
		if s, err = s.Apply(e); err != nil {
			return nil, fmt.Errorf("the vocabularies of the beginning: %w", err)
		}
		out = append(out, e)
	}
	return out, nil
}

// banned are the labels that say what the wording list of their language bans, a
// sentence each. Synonyms may: they are what people write.
func banned(v vocabulary) []string {
	by := map[string][]registry.Banned{}
	for _, w := range v.Wording {
		by[w.Language] = w.Banned
	}
	var out []string
	look := func(at string, labels map[string]string) {
		for _, lang := range slices.Sorted(maps.Keys(labels)) {
			for _, b := range by[lang] {
				if strings.Contains(strings.ToLower(labels[lang]), strings.ToLower(b.Term)) {
					out = append(out, fmt.Sprintf("%s: the label in %s says %q; say %s", at, lang, b.Term, b.Instead))
				}
			}
		}
	}
	for _, t := range v.Taxonomies {
		look(t.Code, t.Labels)
		for _, m := range t.Terms {
			look(t.Code+" "+m.Code, m.Labels)
		}
	}
	return out
}
