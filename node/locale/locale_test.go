package locale_test

import (
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/nicksnyder/go-i18n/v2/i18n"

	"github.com/2ps-project/waymark/node/locale"
)

func load(t *testing.T) *locale.Set {
	t.Helper()
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// forms are the plural categories of CLDR 32 that a language must have.
var forms = map[string][]string{
	"en": {"one", "other"}, "de": {"one", "other"}, "it": {"one", "other"}, "el": {"one", "other"},
	"nl": {"one", "other"}, "fr": {"one", "other"}, "no": {"one", "other"}, "sv": {"one", "other"}, "fi": {"one", "other"},
	"pl": {"few", "many", "one", "other"}, "cs": {"few", "many", "one", "other"},
	"lt": {"few", "many", "one", "other"}, "mt": {"few", "many", "one", "other"},
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func holes(s string) []string {
	h := placeholder.FindAllString(s, -1)
	sort.Strings(h)
	return slices.Compact(h)
}

func keys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}

func sameKeys[V any](t *testing.T, where string, want, have map[string]V) {
	t.Helper()
	for k := range want {
		if _, ok := have[k]; !ok {
			t.Errorf("%s: %q is missing", where, k)
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: %q is not in English", where, k)
		}
	}
}

func TestEveryOfferedLanguageIsComplete(t *testing.T) {
	set := load(t)
	en := set.English()
	for _, l := range set.Languages() {
		t.Run(l.Tag(), func(t *testing.T) {
			sameKeys(t, "text", en.Text, l.Text)
			sameKeys(t, "plural", en.Plural, l.Plural)
			sameKeys(t, "terms", en.Terms, l.Terms)
			sameKeys(t, "languages", en.Languages, l.Languages)
			sameKeys(t, "countries", en.Countries, l.Countries)
			for v := range en.Terms {
				sameKeys(t, "terms."+v, en.Terms[v], l.Terms[v])
			}
			for k, s := range l.Text {
				if want, have := holes(en.Text[k]), holes(s); !slices.Equal(want, have) {
					t.Errorf("text %q has the placeholders %v, English has %v", k, have, want)
				}
			}
			for k, f := range l.Plural {
				if want, have := forms[l.Tag()], keys(f); !slices.Equal(want, have) {
					t.Errorf("plural %q has the forms %v, the language needs %v", k, have, want)
				}
				for form, s := range f {
					if want, have := holes(en.Plural[k]["other"]), holes(s); !slices.Equal(want, have) {
						t.Errorf("plural %q %s has the placeholders %v, English has %v", k, form, have, want)
					}
				}
			}
		})
	}
}

func each(l *locale.Language, do func(where, s string)) {
	for k, s := range l.Text {
		do("text "+k, s)
	}
	for k, f := range l.Plural {
		for form, s := range f {
			do("plural "+k+" "+form, s)
		}
	}
	for v, terms := range l.Terms {
		for code, s := range terms {
			do("terms "+v+" "+code, s)
		}
	}
	for k, s := range l.Languages {
		do("language "+k, s)
	}
	for k, s := range l.Countries {
		do("country "+k, s)
	}
}

// Words that put a label on a person. English stems; the other languages have
// their own. A label on material or on acts is not meant.
var labels = map[string][]string{
	"en": {"paedophil", "pedophil", "predator", "pervert", "offender", "perpetrator", "child porn"},
	"pl": {"pedofil", "zboczeniec", "zboczeńc", "dewiant", "sprawc", "przestępca", "przestępcy", "pornografia dziec"},
	"de": {"pädophil", "täter", "pervers", "kinderschänder", "kinderporn"},
	"lt": {"pedofil", "iškrypėl", "smurtautoj", "nusikaltėl", "vaikų pornograf"},
	"it": {"pedofil", "predator", "pervertit", "delinquent", "pornografia infantile"},
	"el": {"παιδόφιλ", "παιδεραστ", "δράστ", "ανώμαλ", "παιδική πορνογραφία"},
	"cs": {"pedofil", "úchyl", "pachatel", "zvrhl", "dětská pornografie"},
	"nl": {"pedofiel", "dader", "pervers", "zedendelinquent", "kinderporno"},
	"fr": {"pédophil", "prédat", "pervers", "délinquant", "pornographie enfantine"},
	"no": {"pedofil", "overgriper", "pervers", "gjerningsmann", "barneporno"},
	"sv": {"pedofil", "förövare", "pervers", "gärningsman", "barnporr"},
	"fi": {"pedofiil", "hyväksikäyttäj", "perverss", "rikollinen", "lapsiporno"},
	"mt": {"pedofil", "predatur", "pervert", "kriminal sesswali", "pornografija tat-tfal"},
}

func TestTextsArePlain(t *testing.T) {
	for _, l := range load(t).Languages() {
		t.Run(l.Tag(), func(t *testing.T) {
			if labels[l.Tag()] == nil {
				t.Fatal("this language has no list of words that label people; add one to this test")
			}
			each(l, func(where, s string) {
				switch {
				case strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s:
					t.Errorf("%s: %q is blank or has blanks around it", where, s)
				case strings.ContainsAny(s, "<>&"):
					t.Errorf("%s: %q holds HTML or what looks like it", where, s)
				case strings.ContainsAny(s, "!\t\n\r"):
					t.Errorf("%s: %q shouts or is broken over lines", where, s)
				case strings.Count(s, "{") != len(placeholder.FindAllString(s, -1)):
					t.Errorf("%s: %q has a brace that is no placeholder", where, s)
				}
				for _, w := range labels[l.Tag()] {
					if strings.Contains(strings.ToLower(s), w) {
						t.Errorf("%s: %q puts a label on a person: %q", where, s, w)
					}
				}
				for sentence := range strings.SplitSeq(s, ". ") {
					if n := len(strings.Fields(sentence)); n > 32 {
						t.Errorf("%s: a sentence of %d words is too long: %q", where, n, sentence)
					}
				}
			})
		})
	}
}

// The plural rules are those of x/text; go-i18n carries newer CLDR data and
// must agree on every whole number.
func TestPluralRulesAgreeWithNewerData(t *testing.T) {
	for tag := range forms {
		if tag == "mt" {
			continue // newer data split "two" from "few"; the texts are the same
		}
		lang := language.Make(tag)
		bundle := i18n.NewBundle(lang)
		m := &i18n.Message{ID: "m", Zero: "zero", One: "one", Two: "two", Few: "few", Many: "many", Other: "other"}
		if err := bundle.AddMessages(lang, m); err != nil {
			t.Fatal(err)
		}
		local := i18n.NewLocalizer(bundle, tag)
		for n := range 250 {
			want, err := local.Localize(&i18n.LocalizeConfig{MessageID: "m", PluralCount: n})
			if err != nil {
				t.Fatal(err)
			}
			if have := locale.Form(tag, n); have != want {
				t.Errorf("%s: %d is %s, want %s", tag, n, have, want)
			}
		}
	}
}

func TestCount(t *testing.T) {
	set := load(t)
	for _, c := range []struct {
		tag  string
		n    int
		want string
	}{
		{"en", 0, "0 services"}, {"en", 1, "1 service"}, {"en", 1234, "1,234 services"},
		{"de", 1, "1 Angebot"}, {"de", 12000, "12.000 Angebote"},
		{"pl", 1, "1 usługa"}, {"pl", 2, "2 usługi"}, {"pl", 5, "5 usług"}, {"pl", 12, "12 usług"}, {"pl", 22, "22 usługi"}, {"pl", 0, "0 usług"},
		{"pl", 1234, "1234 usługi"}, {"pl", 12345, "12\u00a0345 usług"},
		{"lt", 1, "1 paslauga"}, {"lt", 2, "2 paslaugos"}, {"lt", 10, "10 paslaugų"}, {"lt", 11, "11 paslaugų"}, {"lt", 21, "21 paslauga"}, {"lt", 22, "22 paslaugos"},
	} {
		l, _ := set.Get(c.tag)
		if have := l.Count("services", c.n); have != c.want {
			t.Errorf("%s %d: %q, want %q", c.tag, c.n, have, c.want)
		}
	}
}

func TestMatch(t *testing.T) {
	set := load(t)
	for _, c := range []struct{ accept, want string }{
		{"", "en"}, {"pl", "pl"}, {"pl-PL,pl;q=0.9,en;q=0.5", "pl"}, {"de-AT", "de"}, {"de-CH,fr;q=0.8", "de"},
		{"lt,en;q=0.9", "lt"}, {"ja", "en"}, {"ja,lt;q=0.1", "lt"}, {"pl;q=0,de", "de"}, {"*", "en"},
		{"en-GB,en;q=0.9,pl;q=0.8", "en"}, {"\x00garbage;;;q=x", "en"}, {strings.Repeat("xx,", 5000) + "pl", "en"},
	} {
		if have := set.Match(c.accept).Tag(); have != c.want {
			t.Errorf("%q: %s, want %s", c.accept, have, c.want)
		}
	}
}

func TestNorwegianIsFoundUnderBothWrittenForms(t *testing.T) {
	en := loadFile(t, "en")
	set, err := locale.Read(fstest.MapFS{
		"texts/en.toml": {Data: en},
		"texts/no.toml": {Data: []byte(strings.Replace(string(en), `name = "English"`, `name = "Norsk"`, 1))},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"nb", "nn", "no", "nn-NO,en;q=0.5", "nb-NO,nb;q=0.9,en;q=0.1"} {
		if have := set.Match(accept).Tag(); have != "no" {
			t.Errorf("%q: %s, want no", accept, have)
		}
	}
	for _, tag := range []string{"nb", "nn", "no"} {
		if l, ok := set.Get(tag); !ok || l.Name() != "Norsk" {
			t.Errorf("%s is not found", tag)
		}
	}
}

func TestBrokenTextsAreRefused(t *testing.T) {
	en := loadFile(t, "en")
	for name, files := range map[string]fstest.MapFS{
		"no English":     {"texts/pl.toml": {Data: en}},
		"no TOML":        {"texts/en.toml": {Data: []byte("[[")}},
		"unknown table":  {"texts/en.toml": {Data: append([]byte("colour = 1\n"), en...)}},
		"eleven months":  {"texts/en.toml": {Data: []byte(strings.Replace(string(en), `"January", `, "", 1))}},
		"no such tag":    {"texts/en.toml": {Data: en}, "texts/english.toml": {Data: en}},
		"nothing at all": {},
	} {
		if _, err := locale.Read(files); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDates(t *testing.T) {
	set := load(t)
	day := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	for tag, want := range map[string]string{
		"en": "3 November 2026", "pl": "3 listopada 2026", "de": "3. November 2026", "lt": "2026 m. lapkričio 3 d.",
	} {
		l, _ := set.Get(tag)
		if have := l.Date(day); have != want {
			t.Errorf("%s: %q, want %q", tag, have, want)
		}
		if have := l.DateText("2026-11-03"); have != want {
			t.Errorf("%s: %q, want %q", tag, have, want)
		}
		if have := l.DateText("<soon>"); have != "<soon>" {
			t.Errorf("%s: %q", tag, have)
		}
	}
}

// Where our names differ from x/text (CLDR 32, of 2017), on purpose.
var otherName = map[string]string{
	"en TR": "renamed in 2022",
	"el NL": "CLDR names it after one of its provinces until 2018",
	"fr se": "CLDR wrote an older form until 2018",
	"mt CH": "CLDR had no article yet",
	"lt nl": "named after the country since it is called Nyderlandai",
}

func TestNamesAgreeWithCLDR(t *testing.T) {
	check := func(l *locale.Language, code, name, cldr string) {
		t.Helper()
		_, excepted := otherName[l.Tag()+" "+code]
		switch same := strings.EqualFold(name, cldr); {
		case !same && !excepted:
			t.Errorf("%s: %s is %q, CLDR has %q", l.Tag(), code, name, cldr)
		case same && excepted:
			t.Errorf("%s: %s is as in CLDR; the exception can go", l.Tag(), code)
		}
	}
	for _, l := range load(t).Languages() {
		tag := language.Make(l.Tag())
		regions, tongues := display.Regions(tag), display.Languages(tag)
		for code, name := range l.Countries {
			check(l, code, name, regions.Name(language.MustParseRegion(code)))
		}
		for code, name := range l.Languages {
			if code != "no" { // x/text reads it as bokmål
				check(l, code, name, tongues.Name(language.Make(code)))
			}
		}
	}
}

func TestMissingThingsStayVisible(t *testing.T) {
	pl, _ := load(t).Get("pl")
	for _, c := range []struct{ have, want string }{
		{pl.Say("no.such.key"), "no.such.key"},
		{pl.Term("audience", "self.new_code"), "self: new code"},
		{pl.CountryName("XX"), "XX"},
		{pl.LanguageName("de-AT"), "niemiecki"},
		{pl.LanguageName("xx"), "xx"},
		{pl.Join([]string{"a", "b", "c"}), "a, b i c"},
		{pl.Join(nil), ""},
	} {
		if c.have != c.want {
			t.Errorf("%q, want %q", c.have, c.want)
		}
	}
}
