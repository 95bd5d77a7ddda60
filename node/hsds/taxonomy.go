package hsds

import (
	"cmp"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// Taxonomy is a vocabulary of the federation as HSDS has it.
type Taxonomy struct {
	Code        string // "audience"
	Name        string // in English
	Description string
	Version     string
	Terms       []Term // in the order in which they are offered
}

// Term is a term of a [Taxonomy].
type Term struct {
	Code        string // "self.unsure"
	Name        string // in English; "" = the code in words
	Description string
	Parent      string // the code of the term above; "" = at the top
	URI         string
}

// Vocabulary is what the federation's taxonomies are at the moment. The zero
// value knows the codes of the profile and no labels.
type Vocabulary struct {
	taxonomies []Taxonomy
	short      map[[2]string]map[string]any // taxonomy and code → [Vocabulary.shortTerm]
}

// NewVocabulary takes the taxonomies of a federation. Codes of the profile that
// they lack are there too.
func NewVocabulary(list []Taxonomy) Vocabulary {
	v := Vocabulary{taxonomies: slices.Clone(list), short: map[[2]string]map[string]any{}}
	for i := range v.taxonomies {
		v.taxonomies[i].Terms = slices.Clone(v.taxonomies[i].Terms)
	}
	for _, name := range listing.Vocabularies() {
		t := v.find(name)
		if t == nil {
			v.taxonomies = append(v.taxonomies, Taxonomy{Code: name})
			t = &v.taxonomies[len(v.taxonomies)-1]
		}
		codes := listing.Terms(name)
		if name == listing.VocabularyBreach {
			codes = append(codes, listing.NotStated) // what is said where a service says nothing
		}
		for _, code := range codes {
			if !slices.ContainsFunc(t.Terms, func(x Term) bool { return x.Code == code }) {
				t.Terms = append(t.Terms, Term{Code: code})
			}
		}
	}
	slices.SortFunc(v.taxonomies, func(a, b Taxonomy) int { return cmp.Compare(a.Code, b.Code) })
	for _, t := range v.taxonomies {
		for _, x := range t.Terms {
			v.short[[2]string{t.Code, x.Code}] = v.makeShort(t.Code, x.Code)
		}
	}
	return v
}

func (v Vocabulary) find(code string) *Taxonomy {
	for i := range v.taxonomies {
		if v.taxonomies[i].Code == code {
			return &v.taxonomies[i]
		}
	}
	return nil
}

// shortTerm is a term as it stands in a service: without its taxonomy, which
// stands once, under /taxonomies. It is not to be changed.
func (v Vocabulary) shortTerm(taxonomy, code string) map[string]any {
	if t, ok := v.short[[2]string{taxonomy, code}]; ok {
		return t
	}
	return v.makeShort(taxonomy, code)
}

func (v Vocabulary) makeShort(taxonomy, code string) map[string]any {
	t := v.term(taxonomy, code)
	delete(t, "taxonomy_detail")
	complete("taxonomy_term", t, seed{name: TermID(taxonomy, code)}) // so that nobody need do it where it stands
	return t
}

// TaxonomyID is the id of a taxonomy of the profile: the same everywhere.
func TaxonomyID(taxonomy string) string {
	if id, ok := shippedIDs[[2]string{taxonomy}]; ok {
		return id
	}
	return madeID("taxonomy", taxonomy)
}

// TermID is the id of a term of a taxonomy of the profile.
func TermID(taxonomy, code string) string {
	if id, ok := shippedIDs[[2]string{taxonomy, code}]; ok {
		return id
	}
	return madeID("term", taxonomy, code)
}

// shippedIDs are those of the codes that every listing carries: taxonomy and code,
// or a taxonomy alone.
var shippedIDs = func() map[[2]string]string {
	ids := map[[2]string]string{}
	for _, name := range listing.Vocabularies() {
		ids[[2]string{name}] = madeID("taxonomy", name)
		for _, code := range append(listing.Terms(name), listing.NotStated) {
			ids[[2]string{name, code}] = madeID("term", name, code)
		}
	}
	return ids
}()

// Label is the English name of a code.
func (v Vocabulary) Label(taxonomy, code string) string {
	if t := v.find(taxonomy); t != nil {
		for _, x := range t.Terms {
			if x.Code == code && x.Name != "" {
				return x.Name
			}
		}
	}
	return words(code)
}

// words writes a code as words: "self.not_offended" is "self: not offended".
func words(code string) string {
	return strings.ReplaceAll(strings.ReplaceAll(code, ".", ": "), "_", " ")
}

// Taxonomies returns the taxonomies as HSDS objects.
func (v Vocabulary) Taxonomies() []map[string]any {
	out := make([]map[string]any, 0, len(v.taxonomies))
	for i := range v.taxonomies {
		out = append(out, v.taxonomies[i].object())
	}
	return out
}

func (t *Taxonomy) object() map[string]any {
	o := map[string]any{
		"id": TaxonomyID(t.Code), "name": cmp.Or(t.Name, words(t.Code)),
		"description": cmp.Or(t.Description, "Codes of the profile hsds-2ps: "+words(t.Code)+"."),
	}
	if t.Version != "" {
		o["version"] = t.Version
	}
	return o
}

// Terms returns all terms of all taxonomies as HSDS objects.
func (v Vocabulary) Terms() []map[string]any {
	var out []map[string]any
	for i := range v.taxonomies {
		for _, x := range v.taxonomies[i].Terms {
			out = append(out, v.term(v.taxonomies[i].Code, x.Code))
		}
	}
	return out
}

// term returns one term as an HSDS object; a code that nobody knows too.
func (v Vocabulary) term(taxonomy, code string) map[string]any {
	t := v.find(taxonomy)
	if t == nil {
		t = &Taxonomy{Code: taxonomy}
	}
	x := Term{Code: code}
	if i := slices.IndexFunc(t.Terms, func(x Term) bool { return x.Code == code }); i >= 0 {
		x = t.Terms[i]
	}
	name := cmp.Or(x.Name, words(code))
	o := map[string]any{
		"id": TermID(taxonomy, code), "code": code, "name": name, "description": cmp.Or(x.Description, name),
		"taxonomy": cmp.Or(t.Name, words(taxonomy)), "taxonomy_id": TaxonomyID(taxonomy), "taxonomy_detail": t.object(), "language": "en",
	}
	if x.Parent != "" {
		o["parent_id"] = TermID(taxonomy, x.Parent)
	}
	if x.URI != "" {
		o["term_uri"] = x.URI
	}
	return o
}
