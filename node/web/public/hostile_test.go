package public_test

import (
	"cmp"
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// evils are what somebody may write into every field of a listing, a sheet or a
// remark.
var evils = map[string]string{
	"script":    `"><script>alert(1)</script><img src=x onerror=alert(1)>`,
	"template":  `{{.}} ${x} <%= x %> ' " &quot; </title></dl></main>`,
	"long":      strings.Repeat("długa nazwa ", 19),
	"unbroken":  strings.Repeat("W", 280),
	"rtl":       "\u202eevil\u202c مرحبا שלום \u2067x",
	"combining": strings.Repeat("a\u0301\u0323\u0489", 35),
	"link":      `javascript:alert(1)`,
	"data link": `data:text/html,<script>alert(1)</script>`,
	"formula":   `=HYPERLINK("https://evil.example.org/","x")`,
	"huge":      "x",
}

// hostile is a listing with such a text wherever one can stand.
func hostile(name, evil string) listing.Document {
	fact := map[string]any{"value": evil, "text": evil, "basis": evil, "source_url": evil, "as_of": evil, "jurisdiction": evil}
	var channels []any
	for i, kind := range []string{"phone", "email", "live_chat", "other", evil} {
		channels = append(channels, map[string]any{
			"id": fmt.Sprint("c", i), "type": kind, "value": evil, "label": evil, "languages": []any{evil, "pl"}, "interpreter": evil, "response_time": evil,
			"hours":     map[string]any{"zone": evil, "weekly": []any{map[string]any{"day": "MO", "opens": evil, "closes": evil}}, "as_of": evil, "exceptions": []any{map[string]any{"date": evil, "opens": evil}}},
			"free_from": []any{evil}, "cost": fact, "anonymity": fact, "retention": fact,
			"breach": map[string]any{"conditions": []any{evil, "court_order"}, "value": evil, "text": evil, "basis": evil, "source_url": evil, "as_of": evil, "jurisdiction": evil},
		})
	}
	d := document(listing.Document{
		"id": page.Clip(40, "x"+evil), "name": evil, "description": evil, "alert": evil, "alert_until": evil, "url": evil, "application_process": evil,
		"eligibility_description": evil, "audience": []any{evil, "self.unsure"}, "service_types": []any{evil}, "channels": channels, "status": "active",
		"organization": map[string]any{"id": "o", "name": evil, "website": evil}, "source": evil, "guardian_consent": evil, "gender": evil,
		"coverage": map[string]any{"countries": []any{evil, "PL"}, "regions": []any{evil}, "language_communities": []any{evil}}, "region": map[string]any{"name": evil},
		"companions": []any{evil, "other"}, "successors": []any{evil}, "defunct_since": evil, "referral": []any{evil},
		"prevention_levels": []any{evil}, "objectives": []any{evil}, "evidence": evil, "fees_description": evil, "interpretation_services": evil,
		"verification": map[string]any{"method": evil, "date": evil}, "text_language": evil,
	})
	if name == "huge" {
		d["name"], d["description"], d["application_process"] = strings.Repeat("długa nazwa ", 900), strings.Repeat("W", 20000), strings.Repeat("słowo\n", 2000)
	}
	return d
}

// flood puts a text into every field that can hold one, however deep.
func flood(v reflect.Value, evil string, depth int) {
	switch {
	case !v.CanSet() || depth > 9:
	case v.Kind() == reflect.String:
		v.SetString(evil)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(16)
	case v.CanFloat():
		v.SetFloat(16)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		flood(v.Elem(), evil, depth+1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			flood(v.Index(i), evil, depth+1)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			flood(v.Field(i), evil, depth+1)
		}
	}
}

func flooded[T any](evil string) *T {
	v := new(T)
	flood(reflect.ValueOf(v).Elem(), evil, 0)
	return v
}

// hostileSheet says it in every field; its contacts are such as are shown.
func hostileSheet(evil string) *listing.Sheet {
	s := flooded[listing.Sheet](evil)
	kinds := page.CrisisKinds()
	s.Crisis = make([]listing.CrisisContact, len(kinds))
	for i := range s.Crisis {
		s.Crisis[i] = *flooded[listing.CrisisContact](evil)
		s.Crisis[i].Kind, s.Crisis[i].AsOf, s.Crisis[i].Method = kinds[i], []string{"2026-11-01", "2026-08-01", "2025-01-01"}[i%3], "called"
	}
	return s
}

// Somebody else's data must not break out of its place, wherever it stands, on
// any page in any language.
func TestHostileListing(t *testing.T) {
	for name, evil := range evils {
		t.Run(name, func(t *testing.T) {
			c := webtest.New(t, 0, "PL")
			id := c.Add(t, "PL", hostile(name, evil)).ID
			c.Add(t, "PL", document(listing.Document{"id": "other", "name": evil, "companions": []any{id}}))
			every := c.Listings[0]
			every.Listing = flooded[listing.Listing](evil)
			every.Listing.ID, every.Listing.Status, every.Listing.Visibility, every.Listing.Kind, every.Listing.AddressPrecision = "every", listing.Active, "public", "help", "full"
			every.Listing.Audience = []string{evil, "self.unsure"}
			c.Listings = append(c.Listings, every)
			c.Add(t, "PL", document(listing.Document{"id": "hidden", "name": evil}))
			c.Hidden = map[string]listing.Hiding{"hidden": *flooded[listing.Hiding](evil)}
			o := *flooded[listing.Overlay](evil)
			for i := range 3 {
				p := &c.Listings[i]
				p.Notes, p.Alerts, p.Statuses = []listing.Remark{{Overlay: o, Country: "DE"}}, []listing.Remark{{Overlay: o, Country: evil}}, []listing.Remark{{Overlay: o, Country: evil}}
			}
			c.Sheets = map[string]*listing.Sheet{"PL": hostileSheet(evil)}
			c.Members[0].Operator, c.Members[0].State = evil, evil
			h := site(t, c, func(o *public.Options) {
				o.Operator = func() page.Operator {
					return page.Operator{Name: evil, Country: "PL", Authority: true, Services: []string{evil}, Contact: evil, Others: []page.Elsewhere{{Country: evil, Name: evil, URL: "https://de.example.org/"}}}
				}
				o.Reports, o.ReportText = &inbox{}, true
				o.Accessibility = *flooded[public.Accessibility](evil)
			})
			for _, l := range texts(t).Languages() {
				home, one := "/"+l.Tag(), "/s/"+url.PathEscape(id)
				for place, w := range map[string]*httptest.ResponseRecorder{
					"start": get(h, home+"/"), "safety": get(h, home+"/safety"), "accessibility": get(h, home+"/accessibility"), "embed": get(h, home+"/embed"), "way out": get(h, "/leave"),
					"hidden": get(h, home+"/s/hidden"), "every field": get(h, home+"/s/every"), "poster of every field": get(h, home+"/s/every/poster"),
					"report": ask(h, "POST", home+"/report/every", url.Values{"choice": {evil}, "text": {evil}}), "sent": ask(h, "POST", home+"/report/every", url.Values{"choice": {"hours"}, "text": {evil}}),
					"service": get(h, home+one), "poster": get(h, home+one+"/poster"), "country": get(h, home+"/in/pl"), "results": ask(h, "POST", home+"/search", url.Values{}),
					"professional": ask(h, "POST", home+"/search", url.Values{"country": {"DE"}, "door": {"professional"}, "audience": {"self.unsure"}}),
					"words":        ask(h, "POST", home+"/search", url.Values{"q": {evil}, "country": {evil}, "language": {evil}, "channel": {evil}}),
				} {
					if status := cmp.Or(map[string]int{"hidden": 404, "report": 400}[place], 200); w.Code != status {
						t.Fatalf("%s %s: status %d", l.Tag(), place, w.Code)
					}
					if n := wire(t, w.Body.String()); n > maxPage {
						t.Errorf("%s %s: %d bytes on the wire", l.Tag(), place, n)
					}
					body := theScript.ReplaceAllString(w.Body.String(), "")
					for _, banned := range []string{"<script", "<img", `href="javascript:`, `href="data:`, `action="javascript`, "#ZgotmplZ"} {
						if strings.Contains(body, banned) {
							t.Errorf("%s %s: %s got through", l.Tag(), place, banned)
						}
					}
					if place == "way out" {
						continue // it has no frame like the others
					}
					for tag, n := range map[string]int{"</main>": 1, "</title>": 1, "<h1": 1} {
						if have := strings.Count(body, tag); have != n {
							t.Errorf("%s %s: %d times %s", l.Tag(), place, have, tag)
						}
					}
				}
			}
			table := ask(h, "POST", "/en/search", url.Values{"as": {"table"}})
			for _, line := range strings.Split(table.Body.String(), "\r\n") {
				if strings.HasPrefix(line, "=") || strings.Contains(line, ",=") || strings.Contains(line, `,"=`) || strings.HasPrefix(line, `"=`) {
					t.Errorf("a spreadsheet takes this for a formula: %.200s", line)
				}
			}
		})
	}
}

// Nothing that was left out reads as a blank: it is said that it is not stated.
func TestEmptyListing(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	c.Add(t, "PL", listing.Document{"id": "empty", "name": "Leer", "status": "active"})
	c.Add(t, "PL", listing.Document{"id": "bare", "name": "Kahl", "status": "active", "channels": []any{map[string]any{"id": "c", "type": "in_person"}}})
	h := site(t, c, nil)
	for _, l := range texts(t).Languages() {
		home := "/" + l.Tag()
		for place, w := range map[string]*httptest.ResponseRecorder{
			"service": get(h, home+"/s/empty"), "with a bare channel": get(h, home+"/s/bare"), "poster": get(h, home+"/s/bare/poster"),
			"results": ask(h, "POST", home+"/search", url.Values{"door": {""}}), "country": get(h, home+"/in/pl"),
		} {
			private(t, w)
			body := w.Body.String()
			for _, blank := range []string{"<dd></dd>", "<p></p>", "<li></li>", "<dt></dt>", "<h2></h2>", "<bdi></bdi>"} {
				if strings.Contains(body, blank) {
					t.Errorf("%s %s: there is a blank %s", l.Tag(), place, blank)
				}
			}
			if place != "poster" && !strings.Contains(body, l.Say("not_stated")) {
				t.Errorf("%s %s: it does not say that anything is not stated", l.Tag(), place)
			}
		}
	}
}

// A node that has just been set up has pages, and nothing on them is a blank.
func TestEmptyDirectory(t *testing.T) {
	h := site(t, webtest.New(t, 0), func(o *public.Options) {
		o.Operator = func() page.Operator { return page.Operator{Name: "Example", Country: "PL"} }
	})
	for _, l := range texts(t).Languages() {
		home := "/" + l.Tag()
		for place, w := range map[string]*httptest.ResponseRecorder{
			"start": get(h, home+"/"), "safety": get(h, home+"/safety"), "accessibility": get(h, home+"/accessibility"), "embed": get(h, home+"/embed"),
			"country": get(h, home+"/in/pl"), "poster": get(h, home+"/in/pl/poster"), "results": ask(h, "POST", home+"/search", url.Values{"door": {"self"}, "country": {"PL"}}),
			"none such": get(h, home+"/s/none"),
		} {
			private(t, w)
			for _, blank := range []string{"<dd></dd>", "<p></p>", "<li></li>", "<dt></dt>", "<h2></h2>", "<bdi></bdi>", "<ul></ul>", "<ul>\n</ul>"} {
				if strings.Contains(w.Body.String(), blank) {
					t.Errorf("%s %s: there is a blank %s", l.Tag(), place, blank)
				}
			}
		}
	}
}
