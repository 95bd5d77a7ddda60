package search_test

import (
	"html/template"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/search"
)

// marked writes pieces with hits in brackets.
func marked(pieces []search.Piece) string {
	var b strings.Builder
	for _, p := range pieces {
		if p.Hit {
			b.WriteString("[" + p.Text + "]")
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

func TestHighlight(t *testing.T) {
	for _, c := range []struct{ name, asked, page, text, language, want string }{
		{"as written", "terapia", "pl", "Terapia, dla dorosłych", "pl", "[Terapia], dla dorosłych"},
		{"inflected, without marks", "mlodziezy", "pl", "Czat dla młodzieży i rodziców", "pl", "Czat dla [młodzieży] i rodziców"},
		{"decomposed marks stay whole", "zażółć", "pl", "„zaz\u0307o\u0301\u0142c\u0301”", "pl", "„[zaz\u0307o\u0301\u0142c\u0301]”"},
		{"a part of a compound", "Beratung", "de", "Eine Beratungsstelle", "de", "Eine [Beratungsstelle]"},
		{"the beginning of the last word", "help li", "en", "a lighthouse and a lion", "en", "a lighthouse and a lion"},
		{"the beginning of a longer last word", "ligh", "en", "a lighthouse", "en", "a [lighthouse]"},
		{"a concept in another language", "therapy", "en", "Leczenie i terapeuci", "pl", "[Leczenie] i [terapeuci]"},
		{"words that carry nothing", "the child", "en", "the child of the house", "en", "the [child] of the house"},
		{"a phrase", `"day and night"`, "en", "Night and day, day and night", "en", "Night and day, [day] [and] [night]"},
		{"two words that are one", "help line", "en", "A helpline", "en", "A [helpline]"},
		{"nothing", "zzzz", "en", "a text", "en", "a text"},
		{"no text", "a", "en", "", "en", ""},
	} {
		if got := marked(search.NewHighlighter(c.asked, c.page, nil).Pieces(c.text, c.language)); got != c.want {
			t.Errorf("%s: %q in %q: %q, want %q", c.name, c.asked, c.text, got, c.want)
		}
	}
	h := search.NewHighlighter("terpaia", "pl", []search.Correction{{Asked: "terpaia", Meant: "terapia"}})
	if got := marked(h.Pieces("Krótka terapia", "pl")); got != "Krótka [terapia]" {
		t.Errorf("what was meant is not marked: %q", got)
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("wiele słów o niczym. ", 30) + "Tutaj jest terapia dla dorosłych. " + strings.Repeat("Znowu nic ciekawego. ", 30)
	got := marked(search.NewHighlighter("terapia", "pl", nil).Excerpt(long, "pl", 80))
	if !strings.Contains(got, "[terapia]") || !strings.HasPrefix(got, "…") || !strings.HasSuffix(got, "…") || utf8.RuneCountInString(got) > 90 {
		t.Errorf("the excerpt is %q", got)
	}
	if got := marked(search.NewHighlighter("zzzz", "pl", nil).Excerpt(long, "pl", 40)); !strings.HasPrefix(got, "wiele") || utf8.RuneCountInString(got) > 45 {
		t.Errorf("the excerpt without a hit is %q", got)
	}
}

// TestHighlightIsSafeInHTML writes what attackers write into texts and
// questions through a template, as pages do.
func TestHighlightIsSafeInHTML(t *testing.T) {
	page := template.Must(template.New("").Parse(`{{range .}}{{if .Hit}}<mark>{{.Text}}</mark>{{else}}{{.Text}}{{end}}{{end}}`))
	for _, evil := range []string{
		`<script>alert("x")</script>`, `"><img src=x onerror=alert(1)>`, `</mark><script>`, `&lt;b&gt;`, `'; DROP TABLE`, "<mark>alert</mark>",
		"a\x00b<c>", "\xff\xfe<script>", "<scr\u00adipt>alert</scr\u00adipt>", "\u202e<script>\u202c",
	} {
		for _, asked := range []string{"alert", "script", evil, `"` + evil + `"`, "img x"} {
			var b strings.Builder
			if err := page.Execute(&b, search.NewHighlighter(asked, "en", nil).Pieces(evil+" some text "+evil, "en")); err != nil {
				t.Fatal(err)
			}
			bare := strings.NewReplacer("<mark>", "", "</mark>", "").Replace(b.String())
			if strings.ContainsAny(bare, "<>") {
				t.Errorf("%q in %q becomes %q", asked, evil, b.String())
			}
		}
	}
}

func TestMeant(t *testing.T) {
	c := []search.Correction{{Asked: "terpaia", Meant: "terapia"}}
	for asked, want := range map[string]string{"Terpaia, Kraków": "terapia, Kraków", "terapia": "terapia", "": "", "a \"terpaia\" b": "a \"terapia\" b"} {
		if got := search.Meant(asked, c); got != want {
			t.Errorf("%q: %q, want %q", asked, got, want)
		}
	}
}

// FuzzQuestion reads any bytes as a question and marks it in any text: it ends
// at once, within the bounds, and the pieces are the text.
func FuzzQuestion(f *testing.F) {
	for _, seed := range []string{"terapia Kraków", `"a b" c`, "\xff\xfe", strings.Repeat(`"`, 1000), strings.Repeat("a b ", 25000), "\u202e\u200f\u0000", "ß ǆ ﬃ İ"} {
		f.Add(seed, "Ein Text für Beratungsstellen "+seed)
	}
	f.Fuzz(func(t *testing.T, asked, text string) {
		for _, lang := range []string{"de", "fi", "mt", "xx"} {
			if n := search.WordsOf(asked, lang); n > search.MaxWords {
				t.Fatalf("%q has %d words", asked, n)
			}
			h := search.NewHighlighter(asked, lang, []search.Correction{{Asked: "a", Meant: "b"}})
			var whole strings.Builder
			for _, p := range h.Pieces(text, lang) {
				whole.WriteString(p.Text)
			}
			if whole.String() != text {
				t.Fatalf("the pieces of %q are %q", text, whole.String())
			}
			h.Excerpt(text, lang, 50)
		}
	})
}
