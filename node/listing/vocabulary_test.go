package listing_test

import (
	"slices"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

// TestAgree: what the countries agree on holds beside what the program knows.
func TestAgree(t *testing.T) {
	t.Cleanup(func() { listing.Agree(nil) })
	shipped, kinds := listing.Terms(listing.VocabularyCost), listing.Terms(listing.VocabularyKind)
	listing.Agree(map[string][]listing.Code{
		listing.VocabularyCost: {{Code: "paid"}, {Code: "voucher"}, {Code: "free"}, {Code: "sliding", Deprecated: true}},
		listing.VocabularyKind: {{Code: "sect"}},
		"colour":               {{Code: "red"}},
	})
	if got, want := listing.Terms(listing.VocabularyCost), []string{"paid", "voucher", "free"}; !slices.Equal(got, want) {
		t.Errorf("offered are %v, want %v", got, want)
	}
	for _, c := range append(shipped, "voucher", "sliding") {
		if !listing.Known(listing.VocabularyCost, c) {
			t.Errorf("%s is not known any more", c)
		}
	}
	if !slices.Equal(listing.Terms(listing.VocabularyKind), kinds) || listing.Known(listing.VocabularyKind, "sect") {
		t.Error("a code was added on which the program cannot act")
	}
	if !listing.Known("colour", "red") {
		t.Error("a vocabulary of the federation's own is not known")
	}
	listing.Agree(nil)
	if !slices.Equal(listing.Terms(listing.VocabularyCost), shipped) || listing.Known("colour", "red") {
		t.Error("what was agreed stays when it has ended")
	}
}
