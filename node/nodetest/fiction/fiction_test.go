package fiction_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/nodetest/fiction"
)

var update = flag.Bool("update", false, "write the golden files anew")

var today = time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC)

// sample is enough for every slot of the pattern in every language and every
// age of a stale listing.
const sample = 6 * fiction.Cycle

func each(t *testing.T, n int, f func(t *testing.T, country string, i int, doc listing.Document)) {
	t.Helper()
	for _, country := range fiction.Countries() {
		for i := range n {
			f(t, country, i, fiction.Listing(7, country, i, today))
		}
	}
}

func typed(t *testing.T, doc listing.Document) *listing.Listing {
	t.Helper()
	l, faults := doc.Listing()
	if len(faults) > 0 {
		t.Fatalf("the document is not of the shape of a listing: %v", faults)
	}
	return l
}

// TestGolden holds the bytes of the first hundred listings of each country:
// whoever changes them changes every figure that was measured with them.
func TestGolden(t *testing.T) {
	var got bytes.Buffer
	for _, country := range fiction.Countries() {
		sum := sha256.New()
		for _, doc := range fiction.Generate(7, country, 100, today) {
			sum.Write(encode(t, doc))
		}
		fmt.Fprintf(&got, "%s %s\n", country, hex.EncodeToString(sum.Sum(nil)))
	}
	file := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the listings have changed; if that is meant, run with -update. Have:\n%s", &got)
	}
}

func encode(t testing.TB, doc listing.Document) []byte {
	t.Helper()
	body, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestSameInputsSameBytes(t *testing.T) {
	first := encode(t, fiction.Listing(1, "BE", 41, today))
	sameDay := today.Add(-15 * time.Hour).In(time.FixedZone("", 3600))
	for _, c := range []struct {
		name string
		doc  listing.Document
		same bool
	}{
		{"again", fiction.Listing(1, "BE", 41, today), true},
		{"at another hour of the day", fiction.Listing(1, "BE", 41, sameDay), true},
		{"with others before it", fiction.Generate(1, "BE", 42, today)[41], true},
		{"with another seed", fiction.Listing(2, "BE", 41, today), false},
		{"on another day", fiction.Listing(1, "BE", 41, today.AddDate(0, 0, 1)), false},
		{"of another country", fiction.Listing(1, "NL", 41, today), false},
	} {
		if same := bytes.Equal(first, encode(t, c.doc)); same != c.same {
			t.Errorf("%s: the same bytes: %v, want %v", c.name, same, c.same)
		}
	}
}

func TestIDs(t *testing.T) {
	const n = 100_000
	seen := make(map[string]bool, n+n/10)
	for i := range n {
		country := fiction.Countries()[i%14]
		id := fiction.ID(7, country, i/14)
		if len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Fatalf("%q has not the form of a random UUID", id)
		}
		if seen[id] {
			t.Fatalf("the id %s comes twice", id)
		}
		seen[id] = true
	}
	each(t, 40, func(t *testing.T, country string, i int, doc listing.Document) {
		if want := fiction.ID(7, country, i); doc["id"] != want {
			t.Errorf("%s %d has the id %v, want %s", country, i, doc["id"], want)
		}
	})
}

// TestNestedIDs: no two objects of one document share an id, channels apart.
func TestNestedIDs(t *testing.T) {
	each(t, sample, func(t *testing.T, country string, i int, doc listing.Document) {
		seen := map[string]bool{}
		walk(doc, "", func(path string, v any) {
			s, ok := v.(string)
			if !ok || !strings.HasSuffix(path, ".id") || strings.HasPrefix(path, ".external_ids") {
				return
			}
			if seen[s] {
				t.Errorf("%s %d: the id %s stands twice, also at %s", country, i, s, path)
			}
			seen[s] = true
		})
	})
}

// walk calls f for every value of a tree that holds no others.
func walk(v any, path string, f func(path string, v any)) {
	switch x := v.(type) {
	case listing.Document:
		walk(map[string]any(x), path, f)
	case map[string]any:
		for k, v := range x {
			walk(v, path+"."+k, f)
		}
	case []any:
		for _, v := range x {
			walk(v, path, f)
		}
	default:
		f(path, v)
	}
}

func TestChecks(t *testing.T) {
	stale := 0
	each(t, sample, func(t *testing.T, country string, i int, doc listing.Document) {
		l := typed(t, doc)
		if faults := l.CheckImport(); len(faults) > 0 {
			t.Errorf("%s %d cannot be imported: %v", country, i, faults)
		}
		faults := l.CheckPublish(today)
		switch {
		case !fiction.Stale(i) && len(faults) > 0:
			t.Errorf("%s %d cannot be published: %v", country, i, faults)
		case fiction.Stale(i) && (len(faults) != 1 || faults[0].Code != listing.CodeStale):
			t.Errorf("%s %d is to be stale and nothing else: %v", country, i, faults)
		case fiction.Stale(i):
			stale++
		}
		if fresh := l.Freshness(today, listing.DefaultCadence); !fiction.Stale(i) && l.Status != listing.Defunct && fresh != listing.Fresh {
			t.Errorf("%s %d is %s, want fresh", country, i, fresh)
		}
	})
	if want := len(fiction.Countries()) * sample / fiction.Cycle * fiction.StalePerCycle; stale != want {
		t.Errorf("%d listings are stale, want %d", stale, want)
	}
}

// TestVariety: what a directory must be able to show is there among
// a few hundred listings of each country.
func TestVariety(t *testing.T) {
	ladder := map[listing.Freshness]bool{}
	for _, country := range fiction.Countries() {
		found := map[string]int{}
		for i := range 3 * sample {
			doc := fiction.Listing(7, country, i, today)
			l := typed(t, doc)
			ladder[l.Freshness(today, listing.DefaultCadence)] = true
			found["kind "+string(l.KindValue())]++
			found["status "+string(l.StatusValue())]++
			found["visibility "+string(l.VisibilityValue())]++
			found["capacity "+l.CapacityValue()]++
			found["precision "+l.PrecisionValue()]++
			for _, c := range l.Channels {
				found["channel "+c.Type]++
				found["anonymity "+c.AnonymityValue()]++
				found["cost "+c.CostValue()]++
				if _, stated := c.BreachConditions(); !stated {
					found["breach not stated"]++
				}
				if c.Hours.AlwaysOpen {
					found["always open"]++
				}
			}
			for name, there := range map[string]bool{
				"alert": l.Alert != "", "companions": len(l.Companions) > 0, "successors": len(l.Successors) > 0,
				"translations": len(l.Translations) > 0, "addresses": len(l.ServiceAtLocations) > 0,
				"private fields": l.FundingUntil != "" && l.AssurerEmail != "",
				"global":         l.Coverage != nil && l.Coverage.Global, "any EU": l.Coverage != nil && l.Coverage.AnyEU,
				"regions": l.Coverage != nil && len(l.Coverage.Regions) > 0,
			} {
				if there {
					found[name]++
				}
			}
		}
		for _, name := range []string{
			"kind help", "kind crisis", "kind professional_resource", "visibility professionals",
			"status active", "status defunct", "status temporarily closed", "capacity closed_to_new", "precision region",
			"channel phone", "channel callback", "channel live_chat", "channel async_message", "channel email", "channel video",
			"channel in_person", "channel web_self_guided", "channel onion_site",
			"anonymity full", "anonymity pseudonymous_ok", "anonymity technical_trace", "anonymity name_required", "anonymity not_stated",
			"cost free", "cost insurance_covered", "cost free_from_country_only", "breach not stated", "always open",
			"alert", "companions", "successors", "translations", "addresses", "private fields", "global", "any EU", "regions",
		} {
			if found[name] == 0 {
				t.Errorf("%s has nothing with: %s", country, name)
			}
		}
	}
	for _, f := range []listing.Freshness{listing.Fresh, listing.Due, listing.Stale, listing.Demoted, listing.Lapsed} {
		if !ladder[f] {
			t.Errorf("nothing is %s", f)
		}
	}
}

// TestPairs: companions name each other and have one organization; successors
// exist and are open.
func TestPairs(t *testing.T) {
	for _, country := range fiction.Countries() {
		byID := map[string]*listing.Listing{}
		for i := range sample {
			l := typed(t, fiction.Listing(7, country, i, today))
			byID[l.ID] = l
		}
		for id, l := range byID {
			for _, c := range l.Companions {
				other := byID[c]
				if other == nil || !slices.Contains(other.Companions, id) || other.Organization.ID != l.Organization.ID {
					t.Errorf("%s: %s and its companion %s do not match", country, id, c)
				}
			}
			for _, s := range l.Successors {
				if other := byID[s]; other == nil || other.Status != listing.Active {
					t.Errorf("%s: the successor %s of %s is not open", country, s, id)
				}
			}
		}
	}
}

func TestOrganizationsAreTheSameEverywhere(t *testing.T) {
	for _, country := range fiction.Countries() {
		byID := map[string][]byte{}
		for i := range sample {
			org := fiction.Listing(7, country, i, today)["organization"].(map[string]any)
			text, err := json.Marshal(org)
			if err != nil {
				t.Fatal(err)
			}
			id := org["id"].(string)
			if before, ok := byID[id]; ok && !bytes.Equal(before, text) {
				t.Errorf("%s: the organization %s differs: %s, %s", country, id, before, text)
			}
			byID[id] = text
		}
	}
}

func TestNothingRealCanBeReached(t *testing.T) {
	each(t, sample, func(t *testing.T, country string, i int, doc listing.Document) {
		l := typed(t, doc)
		for _, p := range l.Phones {
			if !fiction.Invented(p.Number) {
				t.Errorf("%s %d: the number %s may be real", country, i, p.Number)
			}
		}
		for _, c := range l.Channels {
			if (c.Type == "phone" || c.Type == "callback") && !fiction.Invented(c.Value) {
				t.Errorf("%s %d: the number %s may be real", country, i, c.Value)
			}
		}
		walk(doc, "", func(path string, v any) {
			s, ok := v.(string)
			if !ok {
				return
			}
			if at := strings.LastIndexByte(s, '@'); at >= 0 {
				if _, err := mail.ParseAddress(s); err != nil || !reserved(s[at+1:]) {
					t.Errorf("%s %d: %s holds the address %s", country, i, path, s)
				}
			}
			if strings.Contains(s, "://") {
				if u, err := url.Parse(s); err != nil || !reserved(u.Host) {
					t.Errorf("%s %d: %s leads to %s", country, i, path, s)
				}
			}
			// A number within a text would escape the checks above.
			if strings.Contains(s, "+") && !strings.HasSuffix(path, ".value") && !strings.HasSuffix(path, ".number") {
				t.Errorf("%s %d: %s holds %q", country, i, path, s)
			}
		})
	})
}

// reserved tells whether a host is of a domain kept for examples (RFC 2606).
func reserved(host string) bool {
	return strings.HasSuffix("."+host, ".example.org") || strings.HasSuffix("."+host, ".example.net")
}

func TestInvented(t *testing.T) {
	for number, want := range map[string]bool{
		"+44 1632 960123":  true,
		"+44 20 7946 0999": true,
		"+4989 99998000":   true,
		"+46 31 390 06 12": true,
		"+990 000 012345":  true,
		"+44 1632 961123":  false, // the neighbour of the range
		"+44 1632 9601234": false, // a digit more
		"+46 8 465 005 12": false,
		"+990 000 01234":   false,
		"01632 960123":     false, // not international
		"116 123":          false,
		"112":              false,
		"+49 30 2312":      false,
		"":                 false,
	} {
		if got := fiction.Invented(number); got != want {
			t.Errorf("%q: %v, want %v", number, got, want)
		}
	}
}

func TestPublicPart(t *testing.T) {
	each(t, fiction.Cycle, func(t *testing.T, country string, i int, doc listing.Document) {
		public := doc.Public()
		for _, private := range []string{"assurer_email", "funding_until"} {
			if _, there := public[private]; there {
				t.Errorf("%s %d: %s is public", country, i, private)
			}
		}
		// All the rest is of the known fields, in the only form that a record has.
		delete(doc, "assurer_email")
		delete(doc, "funding_until")
		if !bytes.Equal(encode(t, doc), encode(t, public)) {
			t.Errorf("%s %d: the public part lacks more than the private fields", country, i)
		}
		parsed, err := listing.ParseJSON(doc.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encode(t, doc), encode(t, parsed)) {
			t.Errorf("%s %d is another one after JSON", country, i)
		}
	})
}

func TestCountries(t *testing.T) {
	want := []string{"BE", "CH", "CY", "CZ", "DE", "FI", "GB", "IT", "LT", "MT", "NL", "NO", "PL", "SE"}
	if got := fiction.Countries(); !slices.Equal(got, want) {
		t.Fatalf("the countries are %v, want %v", got, want)
	}
	for _, country := range want {
		if fiction.Operator(country) == "" || !listing.Known(listing.VocabularyOperatorType, fiction.OperatorType(country)) {
			t.Errorf("%s: the operator %q has the type %q", country, fiction.Operator(country), fiction.OperatorType(country))
		}
		said := slices.ContainsFunc(fiction.Languages(country), func(tag string) bool {
			return strings.Contains(fiction.Operator(country), marks[tag])
		})
		if !said {
			t.Errorf("%s: %q does not say that it is invented", country, fiction.Operator(country))
		}
		contacts := fiction.Crisis(country, today)
		if len(contacts) != 3 || contacts[0].Value != "112" || !contacts[0].ShortCode {
			t.Fatalf("%s: the crisis contacts are %v", country, contacts)
		}
		for _, c := range contacts[1:] {
			if !fiction.Invented(c.Value) || c.ShortCode || c.Label == "" || len(c.Labels) != len(c.Languages) {
				t.Errorf("%s: the crisis contact %+v", country, c)
			}
		}
	}
	if fiction.Operator("XX") != "" || fiction.OperatorType("XX") != "" || fiction.Languages("XX") != nil ||
		fiction.Crisis("XX", today) != nil || fiction.Words("xx") != nil || fiction.LawNote("xx") != "" || fiction.CrisisNote("xx") != "" {
		t.Error("there is something of a country or language that is not there")
	}
}

func TestPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"unknown country": func() { fiction.Listing(1, "XX", 0, today) },
		"negative number": func() { fiction.Listing(1, "PL", -1, today) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
