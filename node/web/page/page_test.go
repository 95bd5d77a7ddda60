package page_test

import (
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

func options(t *testing.T, template string) page.Options {
	t.Helper()
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	return page.Options{
		Locale: set, Operator: func() page.Operator { return page.Operator{Name: "Example", Country: "PL"} },
		Pages: fstest.MapFS{"x.html": {Data: []byte(template)}},
	}
}

func TestBrokenTemplatesStopTheStart(t *testing.T) {
	for name, template := range map[string]string{
		"does not parse":            `{{define "main:x"}}{{if}}{{end}}`,
		"unknown function":          `{{define "main:x"}}{{shout "x"}}{{end}}`,
		"unknown text":              `{{define "main:x"}}{{say "no.such.text"}}{{end}}`,
		"unknown text, inside":      `{{define "main:x"}}{{range .A}}{{with .B}}<p title="{{say "no.such.text"}}">{{end}}{{else}}x{{end}}{{end}}`,
		"unknown text, in else":     `{{define "main:x"}}{{if .A}}x{{else}}{{count "no.such.count" 3}}{{end}}{{end}}`,
		"unknown text, as argument": `{{define "main:x"}}{{template "y" (printf (say "no.such.text"))}}{{end}}{{define "y"}}{{.}}{{end}}`,
	} {
		if _, err := page.New(options(t, template)); !errors.Is(err, page.ErrTemplate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := page.New(page.Options{}); err == nil {
		t.Error("nothing at all is accepted")
	}
}

func TestNothingIsWrittenWhenAPageFails(t *testing.T) {
	r, err := page.New(options(t, `{{define "main:x"}}{{.Missing.Field}}{{end}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	set, _ := locale.New()
	if err := r.Render(w, 200, "x", page.Page{Language: set.English(), Body: struct{}{}}); err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("err %v, %d bytes written", err, w.Body.Len())
	}
}

func TestCrisisContacts(t *testing.T) {
	opt := options(t, `{{define "main:x"}}{{end}}`)
	opt.Crisis = func(_ *locale.Language, country string) []page.CrisisContact {
		if country != "LT" {
			return nil
		}
		return []page.CrisisContact{
			{Kind: "unheard_of", Number: "999"}, {Kind: "emotional_support", Number: "116 123", Href: "tel:116123", Date: "2026-11-01"},
			{Kind: "emergency", Number: "112", Href: "tel:112", Date: "2026-11-02"}, {Kind: "victims", Number: "javascript:1", Name: "<b>"}, {Kind: "victims", Number: " "},
		}
	}
	r, err := page.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	set, _ := locale.New()
	if err := r.Render(w, 200, "x", page.Page{Language: set.English(), Country: "LT"}); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	for want, there := range map[string]bool{
		`<a class="number" href="tel:112"><bdi>112</bdi></a>`: true, `href="tel:116123"><bdi>116 123</bdi></a>`: true, "Call 112.": false, "999": false, "<b>": false, `href="javascript`: false, "Numbers for: Lithuania": true,
		"checked 1 November 2026": true, "checked 2 November 2026": true,
	} {
		if strings.Contains(body, want) != there {
			t.Errorf("%s on the page: %v, want %v", want, !there, there)
		}
	}
}

// The stylesheet holds for scripts that run the other way: it names no left and no
// right, and where four lengths are given the two sides are alike. It is at most
// 15 kB, the script 2 kB.
func TestStylesheet(t *testing.T) {
	r, err := page.New(options(t, `{{define "main:x"}}{{end}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Assets() {
		most := map[string]int{"text/css; charset=utf-8": 15_000, "text/javascript; charset=utf-8": 2000}[a.ContentType]
		if most == 0 {
			continue
		}
		if len(a.Body) > most {
			t.Errorf("%s has %d bytes, at most %d", a.Path, len(a.Body), most)
		}
		if !strings.HasPrefix(a.ContentType, "text/css") {
			continue
		}
		for _, d := range regexp.MustCompile(`[{;]\s*([a-z-]+):\s*([^;}]+)`).FindAllStringSubmatch(string(a.Body), -1) {
			sides := strings.Fields(d[2])
			switch name := d[1]; {
			case regexp.MustCompile(`(^|-)(left|right)(-|$)`).MatchString(name), regexp.MustCompile(`\b(left|right)\b`).MatchString(d[2]):
				t.Errorf("%s: %s knows left from right", name, d[2])
			case (name == "padding" || name == "margin" || name == "inset" || name == "border-width") && len(sides) == 4 && sides[1] != sides[3]:
				t.Errorf("%s: %s has two sides that differ", name, d[2])
			}
		}
	}
}

func TestClip(t *testing.T) {
	for _, x := range []struct {
		n        int
		in, want string
	}{{3, "abc", "abc"}, {3, "abcd", "abc…"}, {0, "", ""}, {2, "żółć", "żó…"}, {4, "abc def", "abc…"}} {
		if have := page.Clip(x.n, x.in); have != x.want {
			t.Errorf("Clip(%d, %q) = %q, want %q", x.n, x.in, have, x.want)
		}
	}
}

// A reader in a crisis must understand what a number is for, whatever the
// language in which the line has its name.
func TestCrisisStripSpeaksTheLanguageOfThePage(t *testing.T) {
	opt := options(t, `{{define "main:x"}}{{end}}`)
	opt.Crisis = func(*locale.Language, string) []page.CrisisContact {
		return []page.CrisisContact{
			{Kind: "emergency", Number: "112", Href: "tel:112", Name: "Nagły wypadek", Language: "pl"},
			{Kind: "emotional_support", Number: "+990 000 012345", Name: "Telefon zaufania", Language: "pl"},
			{Kind: "child_helpline", Number: "+990 000 012346", Name: "Example Line"},
		}
	}
	r, err := page.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	set, _ := locale.New()
	if err := r.Render(w, 200, "x", page.Page{Language: set.English()}); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	for want, there := range map[string]bool{
		`<li>Emergency <a class="number" href="tel:112"><bdi>112</bdi></a></li>`: true, "Nagły wypadek": false,
		"<li>Someone to talk to in a crisis ": true, `<small>· <bdi lang="pl">Telefon zaufania</bdi></small>`: true,
		"<li>Helpline for children and teenagers ": true, "· <bdi>Example Line</bdi>": true,
	} {
		if strings.Contains(body, want) != there {
			t.Errorf("%s on the page: %v, want %v", want, !there, there)
		}
	}
}
