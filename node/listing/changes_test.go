package listing_test

import (
	"testing"

	"github.com/2ps-project/waymark/node/listing"
)

func TestPlaceText(t *testing.T) {
	const text = "DE.1.40~PL.2.7-90"
	p, err := listing.ParsePlace(text)
	if err != nil || p.String() != text || p["PL"] != (listing.Mark{Epoch: 2, Seq: 7, Live: 90}) {
		t.Errorf("%v %v", p, err)
	}
	for _, bad := range []string{"", "x", "PL", "PL.1", "pl.1.2", "PL.1.2.3", "PL.-1.2", "PL.1.9-8", "PL.1.2-", "PL.1.2~", "PL.1.99999999999999999999999"} {
		if _, err := listing.ParsePlace(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("DE.1.40~PL.2.7-90")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := listing.ParsePlace(text)
		if err != nil {
			return
		}
		again, err := listing.ParsePlace(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q comes back as %q: %v", p, again, err)
		}
	})
}
