package public_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// inbox takes reports.
type inbox struct {
	got []string
	err error
}

func (i *inbox) Reads(country string) bool { return country != "LT" }

func (i *inbox) Report(_ context.Context, id, choice, text string) error {
	if i.err == nil {
		i.got = append(i.got, id+" "+choice+" "+text)
	}
	return i.err
}

func ofCountry(t *testing.T, c *webtest.Catalog, country string) string {
	t.Helper()
	i := slices.IndexFunc(c.Listings, func(p listing.Published) bool { return p.Country == country })
	if i < 0 {
		t.Fatalf("no listing of %s", country)
	}
	return c.Listings[i].Listing.ID
}

func TestReportAMistake(t *testing.T) {
	c := webtest.New(t, 3, "PL", "DE", "LT")
	for _, country := range []string{"PL", "DE", "LT"} {
		c.AddSheet(t, country, webtest.Sheet)
	}
	box, log := &inbox{}, &bytes.Buffer{}
	build := func(change func(*public.Options)) func(o *public.Options) {
		return func(o *public.Options) {
			o.Reports, o.Logger = box, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			if change != nil {
				change(o)
			}
		}
	}
	plain := site(t, c, build(nil))
	words := site(t, c, build(func(o *public.Options) { o.ReportText = true }))
	police := site(t, c, build(func(o *public.Options) {
		o.ReportText = true
		o.Operator = func() page.Operator { return page.Operator{Name: "Police", Country: "PL", Authority: true} }
	}))
	id := ofCountry(t, c, "DE")
	form := url.Values{"choice": {"unsafe"}, "text": {" they ask for money\r\n"}}

	t.Run("form", func(t *testing.T) {
		for _, l := range texts(t).Languages() {
			w := get(words, "/"+l.Tag()+"/s/"+id)
			private(t, w)
			body := w.Body.String()
			_, part, _ := strings.Cut(body, `id="mistake"`)
			wanted := []string{`method="post" action="/` + l.Tag() + `/report/` + id + `"`, `maxlength="500"`, l.CountryName("DE"), `href="tel:112"`, l.Say("report.kept")}
			for _, choice := range []string{"closed", "wrong_number", "hours", "no_answer", "language", "unsafe"} {
				wanted = append(wanted, `value="`+choice+`"`)
			}
			for _, m := range c.Members {
				if m.Code == "DE" {
					wanted = append(wanted, m.Operator)
				}
			}
			for _, want := range wanted {
				if !strings.Contains(part, want) {
					t.Errorf("%s: %q is not at the form", l.Tag(), want)
				}
			}
			if other := strings.Index(part, "990 000"); other >= 0 && other < strings.Index(part, "tel:112") {
				t.Errorf("%s: the emergency number does not come first", l.Tag())
			}
			if crisis, choice := strings.Index(part, "tel:112"), strings.Index(part, `name="choice"`); crisis > choice {
				t.Errorf("%s: the crisis contacts do not come first", l.Tag())
			}
		}
		for name, h := range map[string]string{"not allowed": get(plain, "/en/s/"+id).Body.String(), "an authority": get(police, "/en/s/"+id).Body.String()} {
			if strings.Contains(h, "<textarea") || !strings.Contains(h, `value="unsafe"`) {
				t.Errorf("%s: the form takes words, or nothing at all", name)
			}
		}
		if body := get(plain, "/en/s/"+ofCountry(t, c, "LT")).Body.String(); strings.Contains(body, "/report/") || !strings.Contains(body, "listings@example.org") {
			t.Error("where nobody reads reports there is a form, or no address")
		}
	})
	for _, x := range []struct {
		name, path string
		on         string // plain, words or police
		form       url.Values
		status     int
		has, got   string
	}{
		{"sent", "/en/report/" + id, "plain", url.Values{"choice": {"hours"}}, 200, "Thank you", id + " hours "},
		{"words that are not allowed", "/de/report/" + id, "plain", form, 200, "Danke", id + " unsafe "},
		{"words to an authority", "/en/report/" + id, "police", form, 200, "Thank you", id + " unsafe "},
		{"words", "/pl/report/" + id, "words", form, 200, "Dziękujemy", id + " unsafe they ask for money"},
		{"nothing chosen", "/en/report/" + id, "words", url.Values{"text": {"kept <b>"}}, 400, "kept &lt;b&gt;</textarea>", ""},
		{"an unknown choice", "/en/report/" + id, "words", url.Values{"choice": {"x"}}, 400, "Please choose", ""},
		{"too long", "/en/report/" + id, "words", url.Values{"choice": {"hours"}, "text": {strings.Repeat("ä", 501)}}, 400, `value="hours" required checked`, ""},
		{"much too long", "/en/report/" + id, "words", url.Values{"text": {strings.Repeat("x", 9000)}}, 413, "too much text", ""},
		{"no form", "/en/report/" + id, "words", nil, 400, "", ""},
		{"no such service", "/en/report/none", "words", form, 404, "", ""},
		{"nobody reads it", "/en/report/" + ofCountry(t, c, "LT"), "words", form, 404, "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			box.got = nil
			w := ask(map[string]http.Handler{"plain": plain, "words": words, "police": police}[x.on], "POST", x.path, x.form)
			private(t, w)
			if w.Code != x.status || !strings.Contains(w.Body.String(), x.has) {
				t.Errorf("status %d, want %d; %q is there: %v", w.Code, x.status, x.has, strings.Contains(w.Body.String(), x.has))
			}
			if w.Header().Get("X-Robots-Tag") == "" {
				t.Error("it may be indexed")
			}
			if have := strings.Join(box.got, "|"); have != x.got {
				t.Errorf("taken: %q, want %q", have, x.got)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		for _, err := range []error{public.ErrNotReported, errors.New("disk")} {
			box.err = err
			if w := ask(words, "POST", "/en/report/"+id, form); w.Code != 503 || !strings.Contains(w.Body.String(), "try again tomorrow") || !strings.Contains(w.Body.String(), "they ask for money") {
				t.Errorf("%v: status %d, or the reader's words are lost", err, w.Code)
			}
		}
		box.err = nil
	})
	t.Run("log", func(t *testing.T) {
		for _, word := range []string{"money", id, "unsafe"} {
			if strings.Contains(log.String(), word) {
				t.Errorf("%q is in the log", word)
			}
		}
		if !strings.Contains(log.String(), "could not be kept") {
			t.Error("a fault of the disk is not in the log")
		}
	})
	if w := get(plain, "/en/report/"+id); w.Code != 303 || w.Header().Get("Location") != "/en/s/"+id {
		t.Errorf("the address by GET: %d to %s", w.Code, w.Header().Get("Location"))
	}
	if body := get(plain, "/en/safety").Body.String(); !strings.Contains(body, "at most 30 days") {
		t.Error("the safety page does not tell of reports")
	}
}
