package registrytest

import (
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Colours is a change that adds a small vocabulary with everything that a term
// can have, and a wording list; or states both anew where they are known.
func Colours(s *registry.State) registry.SetVocabulary {
	before := func(known bool, h func() identity.Hash) identity.Hash {
		if known {
			return h()
		}
		return identity.Hash{}
	}
	all, lists := s.Taxonomies(), s.Wording()
	t := slices.IndexFunc(all, func(t registry.Taxonomy) bool { return t.Code == "colour" })
	w := slices.IndexFunc(lists, func(w registry.Wording) bool { return w.Language == "en" })
	return registry.SetVocabulary{
		Taxonomies: []registry.TaxonomyChange{{
			Code:   "colour",
			Before: before(t >= 0, func() identity.Hash { return registry.HashTaxonomy(all[t]) }),
			Labels: map[string]string{"en": "Colour", "pl": "Kolor"},
			Terms: []registry.Term{
				{Code: "red", Labels: map[string]string{"en": "Red", "pl": "Czerwony"}},
				{
					Code: "blue", Labels: map[string]string{"en": "Blue"}, Synonyms: map[string][]string{"en": {"azure", "navy"}},
					Mappings: []registry.Mapping{{Scheme: "css", Code: "#00f", Relation: "close"}},
				},
				{Code: "blue.dark", Parent: "blue", Labels: map[string]string{"en": "Dark blue"}},
			},
		}},
		Wording: []registry.WordingChange{{
			Language: "en",
			Before:   before(w >= 0, func() identity.Hash { return registry.HashWording(lists[w]) }),
			Banned:   []registry.Banned{{Term: "colourblind", Reason: "It names a person by one trait.", Instead: "person who sees colours differently"}},
		}},
	}
}

// NewPolicy is a motion that sets the policy as change makes it.
func NewPolicy(s *registry.State, change func(*registry.Policy)) registry.SetPolicy {
	p := s.Policy()
	change(&p)
	return registry.SetPolicy{Before: registry.HashPolicy(s.Policy()), Policy: p}
}
