package page_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// Every code that a page shows has its public label in every language.
func TestEveryCodeHasALabel(t *testing.T) {
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	internal := map[string]bool{ // never shown as a label
		listing.VocabularyNumberKind: true, listing.VocabularyChannelStatus: true, listing.VocabularyVisibility: true, listing.VocabularyPrecision: true,
		listing.VocabularyTopicAcceptance: true, listing.VocabularyBasis: true, listing.VocabularyStatus: true, listing.VocabularyLocationType: true,
		listing.VocabularyCrisis: true, // a text, crisis.*
	}
	for _, v := range listing.Vocabularies() {
		if internal[v] {
			continue
		}
		for _, code := range listing.Terms(v) {
			for _, l := range set.Languages() {
				if !l.HasTerm(v, code) {
					t.Errorf("%s: %s %s has no label", l.Tag(), v, code)
				}
			}
		}
	}
	for _, code := range listing.Terms(listing.VocabularyAnonymity) {
		if !set.English().HasTerm("anonymity_short", code) {
			t.Errorf("anonymity %s has no short label", code)
		}
	}
}

// The strip knows each kind of contact that a sheet can have, in the same order.
func TestCrisisKinds(t *testing.T) {
	if have, want := page.CrisisKinds(), listing.Terms(listing.VocabularyCrisis); !slices.Equal(have, want) {
		t.Errorf("the strip has %v, a sheet %v", have, want)
	}
}

// A text that no page uses is one that translators would write for nothing.
func TestEveryTextIsUsed(t *testing.T) {
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html", "../public/*.go", "../public/templates/*.html"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
	}
	source := all.String()
	made := regexp.MustCompile(`^(error\.\d+(\.text)?|crisis\.(emergency|emotional_support|child_helpline|mental_health|victims)|door\.(self|other|professional)(\.hint)?|facet\.(anonymity|channel|open_now|audience|cost|format|age)|report\.(closed|wrong_number|hours|no_answer|language|unsafe)|said\.(service_said|editor_read|editor_tested|unknown)|why\.(usable_from|your_language|anonymous|open_now|fresh|words|some_words|typo))$`)
	check := func(key string) {
		if !made.MatchString(key) && !strings.Contains(source, `"`+key+`"`) {
			t.Errorf("no page uses %q", key)
		}
	}
	for key := range set.English().Text {
		check(key)
	}
	for key := range set.English().Plural {
		check(key)
	}
}
