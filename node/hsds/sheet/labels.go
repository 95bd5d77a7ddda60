package sheet

import (
	"sync"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
)

// languageNames and countryNames stand for what is no closed vocabulary: a name is
// turned into its code, anything else is left as it is.
const (
	languageNames = "name of a language"
	countryNames  = "name of a country"
)

// labels are the codes by what people call them, in all languages of the program:
// vocabulary → folded label → code. A label that means two codes is left out.
var labels = sync.OnceValue(func() map[string]map[string]string {
	all := map[string]map[string]string{}
	set, err := locale.New()
	if err != nil {
		return all // part of this program, seen by every test of its texts
	}
	add := func(vocabulary, label, code string) {
		if all[vocabulary] == nil {
			all[vocabulary] = map[string]string{}
		}
		key := fold(label)
		if old, there := all[vocabulary][key]; there && old != code {
			code = ""
		}
		all[vocabulary][key] = code
	}
	for _, l := range set.Languages() {
		for _, v := range listing.Vocabularies() {
			for _, code := range listing.Terms(v) {
				if l.HasTerm(v, code) {
					add(v, l.Term(v, code), code)
				}
			}
		}
		for _, c := range l.LanguageChoices() {
			add(languageNames, c.Name, c.Code)
		}
		for _, c := range l.CountryChoices() {
			add(countryNames, c.Name, c.Code)
		}
	}
	return all
})
