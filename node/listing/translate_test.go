package listing_test

import (
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

// A translation is outdated once its original says something else, until it says
// something else itself, or somebody says that it is right.
func TestMarkTranslations(t *testing.T) {
	const before = `{"description": "Old words", "channels": [{"id": "c0"}, {"id": "c1", "label": "Old label"}], "translations": {"lt": {
		"description": {"text": "Seni", "by": "human"}, "channels.c1.label": {"text": "Etiketė", "by": "human"}, "channels.c9.label": {"text": "Niekas", "by": "human"}, "name": {"text": "Vardas", "by": "human", "outdated": true}}}}`
	for name, x := range map[string]struct {
		now  string
		want map[string]bool // by path
	}{
		"nothing changed":    {before, map[string]bool{"name": true}},
		"the mark is absent": {`{"description": "Old words", "translations": {"lt": {"description": {"text": "Seni"}, "name": {"text": "Vardas"}}}}`, map[string]bool{"name": true}},
		"it is right":        {`{"translations": {"lt": {"name": {"text": "Vardas", "outdated": false}}}}`, nil},
		"other words":        {`{"description": "New words", "translations": {"lt": {"description": {"text": "Seni"}}}}`, map[string]bool{"description": true}},
		"no words":           {`{"translations": {"lt": {"description": {"text": "Seni"}}}}`, map[string]bool{"description": true}},
		"both anew":          {`{"description": "New words", "translations": {"lt": {"description": {"text": "Nauji", "outdated": true}}}}`, nil},
		"in a list":          {`{"channels": [{"id": "c1", "label": "New label"}], "translations": {"lt": {"channels.c1.label": {"text": "Etiketė"}}}}`, map[string]bool{"channels.c1.label": true}},
		"another language":   {`{"description": "New words", "translations": {"fi": {"description": {"text": "Uudet"}}}}`, nil},
		"strange":            {`{"translations": {"lt": {"description": 7, "channels.c9.label": {"text": "Niekas"}}, "pl": [], "de": null}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			old, err := listing.ParseJSON([]byte(before))
			if err != nil {
				t.Fatal(err)
			}
			now, err := listing.ParseJSON([]byte(x.now))
			if err != nil {
				t.Fatal(err)
			}
			now.MarkTranslations(old)
			l, _ := now.Listing()
			for tag, texts := range l.Translations {
				for path, tr := range texts {
					if tr.Outdated != x.want[path] {
						t.Errorf("%s of %s is outdated: %t, want %t", path, tag, tr.Outdated, x.want[path])
					}
				}
			}
		})
	}
}

// An import marks before anybody has looked whether texts are texts.
func TestMarkTranslationsOfNoTexts(t *testing.T) {
	for _, text := range []string{`[1]`, `{"a": 1}`, `null`, `7`} {
		d := func() listing.Document {
			d, err := listing.ParseJSON([]byte(`{"name": ` + text + `, "translations": {"lt": {"name": {"text": ` + text + `}}}}`))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		now := d()
		now.MarkTranslations(d())
		if string(now.JSON()) != string(d().JSON()) {
			t.Errorf("%s became %s", text, now.JSON())
		}
	}
}
