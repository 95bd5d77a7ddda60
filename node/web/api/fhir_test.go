package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/fhir"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/api"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// history is what a feed tells, as it was put there.
type history struct {
	list  []listing.Change
	err   error
	since time.Time

	before map[string][]*listing.Listing
}

func (h *history) Before(_ context.Context, id string) ([]*listing.Listing, error) {
	if h.before == nil {
		return nil, listing.ErrTooLongAgo
	}
	return h.before[id], nil
}

func (h *history) Changes(_ context.Context, after listing.Place, since time.Time, limit int) ([]listing.Change, listing.Place, bool, error) {
	h.since = since
	from := int(after["PL"].Seq)
	to := min(len(h.list), from+limit)
	if h.err != nil || from > to {
		return nil, nil, false, h.err
	}
	return h.list[from:to], listing.Place{"PL": {Epoch: 1, Seq: uint64(to)}}, to < len(h.list), nil
}

func fhirServer(t testing.TB, c api.Catalog, h api.Changes) http.Handler {
	t.Helper()
	a, err := api.New(api.Options{Catalog: c, FHIR: h, BaseURL: "https://help.example.org", Now: func() time.Time { return webtest.Now }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type fhirBundle struct {
	ResourceType, Type string
	Total              *int
	Link               []struct{ Relation, URL string }
	Entry              []struct {
		FullURL  string
		Resource *fhir.Resource
		Request  *struct{ Method, URL string }
		Response *struct{ Status, ETag string }
	}
}

func (b fhirBundle) ids() (ids []string) {
	for _, e := range b.Entry {
		ids = append(ids, e.Resource.ID)
	}
	return ids
}

func (b fhirBundle) link(relation string) string {
	for _, l := range b.Link {
		if l.Relation == relation {
			return strings.TrimPrefix(l.URL, "https://help.example.org")
		}
	}
	return ""
}

func getFHIR(t *testing.T, h http.Handler, path string) fhirBundle {
	t.Helper()
	w := ask(h, "GET", path, "", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/fhir+json; charset=utf-8" {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return decode[fhirBundle](t, w)
}

func TestFHIROff(t *testing.T) {
	h := handler(t, webtest.New(t, 3, "PL"), false)
	for _, path := range []string{"/fhir", "/fhir/metadata", "/fhir/HealthcareService", "/fhir/HealthcareService/_history", fhir.ChannelExtension} {
		if w := ask(h, "GET", path, "", ""); w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d where FHIR is off", path, w.Code)
		}
	}
}

// all are the resources of a type, page by page.
func all(t *testing.T, h http.Handler, name string) (out []fhir.Resource) {
	t.Helper()
	path, total := "/fhir/"+name+"?_count=7", -1
	for path != "" {
		b := getFHIR(t, h, path)
		if b.ResourceType != "Bundle" || b.Type != "searchset" || b.Total == nil || total >= 0 && *b.Total != total {
			t.Fatalf("%s: %+v", path, b)
		}
		total = *b.Total
		for _, e := range b.Entry {
			if e.FullURL != "https://help.example.org/fhir/"+name+"/"+e.Resource.ID {
				t.Error("full address", e.FullURL)
			}
			out = append(out, *e.Resource)
		}
		path = b.link("next")
	}
	if len(out) != total {
		t.Errorf("%d of %d %s on the pages", len(out), total, name)
	}
	return out
}

func TestFHIRPagesAndReads(t *testing.T) {
	c := webtest.New(t, 30, "PL", "DE")
	h := fhirServer(t, c, &history{})
	for _, name := range []string{"HealthcareService", "Organization", "Location"} {
		list := all(t, h, name)
		if len(list) == 0 {
			t.Fatal("no", name)
		}
		seen := map[string]bool{}
		for _, x := range list {
			if seen[x.ID] {
				t.Error("twice", x.ID)
			}
			seen[x.ID] = true
			w := ask(h, "GET", "/fhir/"+name+"/"+x.ID, "", "")
			got := decode[fhir.Resource](t, w)
			tag := w.Header().Get("ETag")
			if w.Code != 200 || got.Meta.VersionID != x.Meta.VersionID || tag != `W/"`+x.Meta.VersionID+`"` {
				t.Fatalf("%s %s: %d %s", name, x.ID, w.Code, tag)
			}
			if _, err := http.ParseTime(w.Header().Get("Last-Modified")); err != nil {
				t.Error(err)
			}
			if again := ask(h, "GET", "/fhir/"+name+"/"+x.ID, "", "", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
				t.Error("sent again:", again.Code)
			}
			for _, r := range append(x.Location, refs(x.ProvidedBy, x.ManagingOrganization)...) {
				if w := ask(h, "GET", "/fhir/"+r.Reference, "", ""); w.Code != 200 {
					t.Errorf("%s %s names %s: %d", name, x.ID, r.Reference, w.Code)
				}
			}
		}
	}
}

func refs(list ...*fhir.Reference) (out []fhir.Reference) {
	for _, r := range list {
		if r != nil && r.Reference != "" {
			out = append(out, *r)
		}
	}
	return out
}

func TestFHIRSearches(t *testing.T) {
	h := fhirServer(t, webtest.New(t, 30, "PL", "DE"), &history{})
	services, organizations, locations := all(t, h, "HealthcareService"), all(t, h, "Organization"), all(t, h, "Location")
	at := slices.IndexFunc(services, func(x fhir.Resource) bool { return len(x.Type) > 0 && x.ProvidedBy != nil && len(x.Location) > 0 })
	if at < 0 {
		t.Fatal("no service with everything that is asked for")
	}
	s, o, l := services[at], organizations[0], locations[0]
	kind := s.Type[0].Coding[0]
	middle := string([]rune(s.Name)[1:4])
	none := func(fhir.Resource) bool { return false }
	every := func(fhir.Resource) bool { return true }
	typed := func(x fhir.Resource) bool {
		return slices.ContainsFunc(x.Type, func(c fhir.Concept) bool { return c.Coding[0].Code == kind.Code })
	}
	by := func(x fhir.Resource) bool {
		return x.ProvidedBy != nil && x.ProvidedBy.Reference == s.ProvidedBy.Reference
	}
	there := func(x fhir.Resource) bool { return slices.Contains(x.Location, s.Location[0]) }
	called := func(f func(name string) bool) func(fhir.Resource) bool {
		return func(x fhir.Resource) bool { return slices.ContainsFunc(append(x.Alias, x.Name), f) }
	}
	day := s.Meta.LastUpdated[:10]
	dated := func(f func(d string) bool) func(fhir.Resource) bool {
		return func(x fhir.Resource) bool { return f(x.Meta.LastUpdated[:10]) }
	}
	for _, x := range []struct {
		list        []fhir.Resource
		name, value string
		want        func(fhir.Resource) bool
	}{
		{services, "_id", s.ID, func(x fhir.Resource) bool { return x.ID == s.ID }},
		{services, "_id", s.ID + ",nobody", func(x fhir.Resource) bool { return x.ID == s.ID }},
		{services, "active", "true", func(x fhir.Resource) bool { return *x.Active }},
		{services, "active", "false", func(x fhir.Resource) bool { return !*x.Active }},
		{services, "identifier", "urn:ietf:rfc:3986|urn:uuid:" + s.ID, func(x fhir.Resource) bool { return x.ID == s.ID }},
		{services, "identifier", "urn:other|urn:uuid:" + s.ID, none},
		{services, "location", s.Location[0].Reference, there},
		{services, "location", strings.TrimPrefix(s.Location[0].Reference, "Location/"), there},
		{services, "location", "https://help.example.org/fhir/" + s.Location[0].Reference, there},
		{services, "organization", s.ProvidedBy.Reference, by},
		{services, "organization", "Organization/nobody", none},
		{services, "organization", "!!", none},
		{services, "service-type", kind.Code, typed},
		{services, "service-type", kind.System + "|" + kind.Code, typed},
		{services, "service-type", "urn:other|" + kind.Code, none},
		{services, "name", strings.ToUpper(s.Name[:4]), called(func(n string) bool { return strings.HasPrefix(strings.ToLower(n), strings.ToLower(s.Name[:4])) })},
		{services, "name:contains", middle, called(func(n string) bool { return strings.Contains(strings.ToLower(n), strings.ToLower(middle)) })},
		{services, "name:exact", s.Name, called(func(n string) bool { return n == s.Name })},
		{services, "name:exact", strings.ToUpper(s.Name), none},
		{services, "_lastUpdated", day, dated(func(d string) bool { return d == day })},
		{services, "_lastUpdated", "ge" + day, dated(func(d string) bool { return d >= day })},
		{services, "_lastUpdated", "gt" + day, dated(func(d string) bool { return d > day })},
		{services, "_lastUpdated", "sa" + day, dated(func(d string) bool { return d > day })},
		{services, "_lastUpdated", "le" + day, dated(func(d string) bool { return d <= day })},
		{services, "_lastUpdated", "lt" + day, dated(func(d string) bool { return d < day })},
		{services, "_lastUpdated", "eb" + day, dated(func(d string) bool { return d < day })},
		{services, "organization.name", s.ProvidedBy.Display, by},
		{services, "organization.name:exact", s.ProvidedBy.Display, by},
		{services, "organization.active", "false", none},
		{services, "organization.identifier", "nobody", none},
		{services, "location.status", "active", func(x fhir.Resource) bool {
			return slices.ContainsFunc(locations, func(l fhir.Resource) bool {
				return l.Status == "active" && slices.ContainsFunc(x.Location, func(r fhir.Reference) bool { return r.Reference == "Location/"+l.ID })
			})
		}},
		{services, "location.identifier", "urn:ietf:rfc:3986|urn:uuid:nobody", none},
		{locations, "organization.active", "true", func(x fhir.Resource) bool { return x.ManagingOrganization != nil }},
		{locations, "partof", "Location/nobody", none},
		{organizations, "partof.name", "nobody", none},
		{organizations, "_id", o.ID, func(x fhir.Resource) bool { return x.ID == o.ID }},
		{organizations, "active", "true", every},
		{organizations, "identifier", "nobody", none},
		{organizations, "name", o.Name, called(func(n string) bool { return strings.HasPrefix(strings.ToLower(n), strings.ToLower(o.Name)) })},
		{organizations, "partof", "Organization/nobody", none},
		{organizations, "type", "health", func(x fhir.Resource) bool { return len(x.Type) > 0 && x.Type[0].Coding[0].Code == "health" }},
		{organizations, "_lastUpdated", "ge" + day, dated(func(d string) bool { return d >= day })},
		{locations, "_id", l.ID, func(x fhir.Resource) bool { return x.ID == l.ID }},
		{locations, "identifier", "nobody", none},
		{locations, "name", l.Name, called(func(n string) bool { return strings.HasPrefix(strings.ToLower(n), strings.ToLower(l.Name)) })},
		{locations, "organization", l.ManagingOrganization.Reference, func(x fhir.Resource) bool {
			return x.ManagingOrganization != nil && *x.ManagingOrganization == *l.ManagingOrganization
		}},
		{locations, "status", "active", func(x fhir.Resource) bool { return x.Status == "active" }},
		{locations, "type", "physical", func(x fhir.Resource) bool { return len(x.Type) > 0 && x.Type[0].Coding[0].Code == "physical" }},
	} {
		kind := x.list[0].ResourceType
		var want []string
		for _, r := range x.list {
			if x.want(r) {
				want = append(want, r.ID)
			}
		}
		q := url.Values{x.name: {x.value}, "_count": {"100"}}.Encode()
		b := getFHIR(t, h, "/fhir/"+kind+"?"+q)
		if !slices.Equal(b.ids(), want) || *b.Total != len(want) {
			t.Errorf("%s?%s=%s: %d, want %d", kind, x.name, x.value, len(b.Entry), len(want))
		}
		posted := decode[fhirBundle](t, ask(h, "POST", "/fhir/"+kind+"/_search", "application/x-www-form-urlencoded", q))
		if !slices.Equal(posted.ids(), want) {
			t.Errorf("%s posted %s: %d, want %d", kind, x.name, len(posted.Entry), len(want))
		}
	}
	if b := getFHIR(t, h, "/fhir/HealthcareService?_count=0"); len(b.Entry) != 0 || *b.Total != len(services) || b.link("next") != "" {
		t.Error("_count=0 is not the number alone")
	}
}

func TestFHIRRefusals(t *testing.T) {
	c := webtest.New(t, 5, "PL")
	h := fhirServer(t, c, &history{})
	old := fhirServer(t, c, &history{err: listing.ErrTooLongAgo})
	for _, x := range []struct {
		h            http.Handler
		method, path string
		status       int
		code         string
	}{
		{h, "GET", "/fhir", 404, "not-found"},
		{h, "GET", "/fhir/Patient/1", 404, "not-found"},
		{h, "GET", "/fhir/HealthcareService/none", 404, "not-found"},
		{h, "GET", "/fhir/HealthcareService/%00", 404, "not-found"},
		{h, "GET", "/fhir/HealthcareService?nmae=x", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?active:contains=x", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?name:missing=true", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?name=%ff", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?_lastUpdated=ne2026-01-01", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?_lastUpdated=yesterday", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?_count=-1", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?_format=xml", 406, "not-supported"},
		{h, "GET", "/fhir/metadata?_format=xml", 406, "not-supported"},
		{h, "GET", "/fhir/HealthcareService?_include=Location:organization", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?_revinclude=Location:organization", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?organization.partof=x", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService?organization.name=%ff", 400, "invalid"},
		{h, "POST", "/fhir/HealthcareService", 405, "not-supported"},
		{h, "DELETE", "/fhir/HealthcareService/x", 405, "not-supported"},
		{h, "GET", "/fhir/HealthcareService/_history?_since=x", 400, "invalid"},
		{h, "GET", "/fhir/HealthcareService/_history?_after=x", 400, "invalid"},
		{old, "GET", "/fhir/HealthcareService/_history?_since=2020-01-01", 410, "expired"},
	} {
		w := ask(x.h, x.method, x.path, "", "")
		got := decode[struct {
			ResourceType string
			Issue        []struct{ Severity, Code, Diagnostics string }
		}](t, w)
		if w.Code != x.status || got.ResourceType != "OperationOutcome" || len(got.Issue) != 1 || got.Issue[0].Code != x.code || got.Issue[0].Severity != "error" || got.Issue[0].Diagnostics == "" {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
}

func TestFHIRHistory(t *testing.T) {
	c := webtest.New(t, 6, "PL")
	ids := make([]string, 0, 6)
	for _, p := range c.Listings {
		if p.Listing.VisibilityValue() == listing.VisiblePublic && p.Listing.KindValue() != listing.KindReporting {
			ids = append(ids, p.Listing.ID)
		}
	}
	c.Hidden = map[string]listing.Hiding{ids[1]: {}}
	hist := &history{list: []listing.Change{{ID: ids[0]}, {ID: ids[1]}, {ID: "00000000-0000-4000-8000-000000000001", Deleted: true}}}
	h := fhirServer(t, c, hist)
	path, got := "/fhir/HealthcareService/_history?_count=2&_since=2026-01-02T03:04:05Z", map[string]string{}
	for path != "" {
		b := getFHIR(t, h, path)
		if b.Type != "history" || b.Total != nil {
			t.Fatalf("%+v", b)
		}
		for _, e := range b.Entry {
			if e.Request == nil || e.Response == nil || (e.Request.Method == "PUT") != (e.Resource != nil) {
				t.Fatalf("%+v", e)
			}
			got[strings.TrimPrefix(e.Request.URL, "HealthcareService/")] = e.Request.Method + " " + e.Response.Status
		}
		if path = b.link("next"); path == "" && b.link("https://help.example.org"+fhir.ChannelExtension+"#later") == "" {
			t.Error("does not say where to ask later")
		}
	}
	want := map[string]string{ids[0]: "PUT 200", ids[1]: "DELETE 204", "00000000-0000-4000-8000-000000000001": "DELETE 204"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestFHIRHistoryOfWhatStandsInListings: an organization and a place are told when a
// listing changed in which they stand or stood, and are deleted when none has them.
func TestFHIRHistoryOfWhatStandsInListings(t *testing.T) {
	c := webtest.New(t, 0, "PL")
	const one, two = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	c.Add(t, "PL", document(t, `{"id":"`+one+`","name":"One","status":"active","organization":{"id":"b0d10000-0000-4000-8000-000000000001","name":"Body"},
		"service_at_locations":[{"id":"01ace000-0000-4000-8000-000000000001","location":{"name":"Place","location_type":"physical"}}]}`))
	old := func(id, organization, place string) *listing.Listing {
		return &listing.Listing{ID: id, Organization: &listing.Organization{ID: organization}, ServiceAtLocations: []listing.ServiceAtLocation{{ID: place}}}
	}
	hist := &history{list: []listing.Change{{ID: one}, {ID: two, Deleted: true}}, before: map[string][]*listing.Listing{
		one: {old(one, "b0d10000-0000-4000-8000-000000000000", "01ace000-0000-4000-8000-000000000001"), old(one, "b0d10000-0000-4000-8000-000000000001", "01ace000-0000-4000-8000-000000000000")}, two: {old(two, "b0d10000-0000-4000-8000-000000000001", "01ace000-0000-4000-8000-000000000002")},
	}}
	h := fhirServer(t, c, hist)
	for kind, want := range map[string]map[string]string{
		"Organization": {"b0d10000-0000-4000-8000-000000000001": "PUT", "b0d10000-0000-4000-8000-000000000000": "DELETE"},
		"Location":     {"01ace000-0000-4000-8000-000000000001": "PUT", "01ace000-0000-4000-8000-000000000000": "DELETE", "01ace000-0000-4000-8000-000000000002": "DELETE"},
	} {
		got := map[string]string{}
		for _, e := range getFHIR(t, h, "/fhir/"+kind+"/_history").Entry {
			got[strings.TrimPrefix(e.Request.URL, kind+"/")] = e.Request.Method
			if (e.Request.Method == "PUT") != (e.Resource != nil) {
				t.Errorf("%+v", e)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	hist.before = nil // kept no more
	if w := ask(h, "GET", "/fhir/Organization/_history?_since=2026-01-01", "", ""); w.Code != 410 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/fhir/HealthcareService/_history?_since=2026-01-01", "", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for i := range hist.list { // from the beginning nobody knows an earlier version
		hist.list[i].First = true
	}
	if w := ask(h, "GET", "/fhir/Organization/_history", "", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestFHIRCapabilities(t *testing.T) {
	h := fhirServer(t, webtest.New(t, 1, "PL"), &history{})
	got := decode[struct {
		ResourceType, Status, Kind, FHIRVersion, Date string
		Format                                        []string
		Rest                                          []struct {
			Resource []struct {
				Type        string
				SearchParam []struct{ Name, Type string }
			}
		}
	}](t, ask(h, "GET", "/fhir/metadata", "", ""))
	if got.ResourceType != "CapabilityStatement" || got.FHIRVersion != "4.0.1" || got.Kind != "instance" || got.Date == "" || len(got.Rest) != 1 || len(got.Rest[0].Resource) != 3 {
		t.Fatalf("%+v", got)
	}
	for _, r := range got.Rest[0].Resource {
		for _, p := range r.SearchParam {
			value := map[string]string{"date": "2026"}[p.Type]
			if w := ask(h, "GET", "/fhir/"+r.Type+"?"+p.Name+"="+value, "", ""); w.Code != 200 {
				t.Errorf("%s says that it knows %s: %s", r.Type, p.Name, w.Body)
			}
		}
	}
	if w := ask(h, "GET", fhir.ChannelExtension, "", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"StructureDefinition"`) {
		t.Error(w.Code, w.Body)
	}
}

// FuzzFHIR asks with any parameters: every answer is a Bundle or an
// OperationOutcome, and no fault of this node.
func FuzzFHIR(f *testing.F) {
	f.Add("HealthcareService", "name:contains=a&_count=3")
	f.Add("Location", "_lastUpdated=ge2026-01&_offset=999")
	f.Add("Organization", `type=a|b,c\,d&_id=,`)
	f.Add("HealthcareService", "location=Location/x&service-type=|&_format=json")
	f.Add("HealthcareService/_history", "_after=PL.1.2-3&_since=2026")
	f.Add("Organization/_history", "_count=3")
	h := fhirServer(f, webtest.New(f, 4, "PL"), &history{})
	f.Fuzz(func(t *testing.T, kind, query string) {
		if !slices.Contains([]string{"HealthcareService", "Location", "Organization", "HealthcareService/_history", "Organization/_history", "Location/_history"}, kind) {
			return
		}
		r := httptest.NewRequest("GET", "/fhir/"+kind, nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var got struct{ ResourceType string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code >= 500 {
			t.Fatalf("%d %v %s", w.Code, err, w.Body)
		}
		if want := map[bool]string{true: "Bundle", false: "OperationOutcome"}[w.Code == 200]; got.ResourceType != want {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// TestFHIRBringsWhatIsNamed: with _include what a page names comes along, with
// _revinclude what names it; each once, and the number of what was found stays.
func TestFHIRBringsWhatIsNamed(t *testing.T) {
	h := fhirServer(t, webtest.New(t, 30, "PL", "DE"), &history{})
	type found struct {
		Total int
		Entry []struct {
			Search   struct{ Mode string }
			Resource fhir.Resource
		}
	}
	for _, x := range []struct {
		path, kind string
		names      func(match, with fhir.Resource) bool
	}{
		{"/fhir/Location?_include=Location:organization", "Organization", func(m, o fhir.Resource) bool { return m.ManagingOrganization.Reference == "Organization/"+o.ID }},
		{"/fhir/HealthcareService?_include=HealthcareService:location", "Location", func(m, l fhir.Resource) bool {
			return slices.ContainsFunc(m.Location, func(r fhir.Reference) bool { return r.Reference == "Location/"+l.ID })
		}},
		{"/fhir/HealthcareService?_include=HealthcareService:organization", "Organization", func(m, o fhir.Resource) bool { return m.ProvidedBy.Reference == "Organization/"+o.ID }},
		{"/fhir/Organization?_revinclude=Location:organization", "Location", func(o, m fhir.Resource) bool { return m.ManagingOrganization.Reference == "Organization/"+o.ID }},
		{"/fhir/Organization?_revinclude=HealthcareService:organization", "HealthcareService", func(o, m fhir.Resource) bool { return m.ProvidedBy.Reference == "Organization/"+o.ID }},
		{"/fhir/Location?_revinclude=HealthcareService:location", "HealthcareService", func(l, m fhir.Resource) bool {
			return slices.ContainsFunc(m.Location, func(r fhir.Reference) bool { return r.Reference == "Location/"+l.ID })
		}},
	} {
		b := decode[found](t, ask(h, "GET", x.path+"&_count=3", "", ""))
		want := map[string]bool{}
		var matches, with []fhir.Resource
		for _, e := range b.Entry {
			if e.Search.Mode == "match" {
				matches = append(matches, e.Resource)
			} else {
				with = append(with, e.Resource)
			}
		}
		for _, other := range all(t, h, x.kind) {
			if slices.ContainsFunc(matches, func(m fhir.Resource) bool { return x.names(m, other) }) {
				want[other.ID] = true
			}
		}
		if len(matches) != 3 || len(want) == 0 || len(with) != len(want) || b.Total <= 3 {
			t.Errorf("%s: %d of %d with %d, want %d", x.path, len(matches), b.Total, len(with), len(want))
		}
		for _, r := range with {
			if r.ResourceType != x.kind || !want[r.ID] {
				t.Errorf("%s: %s %s comes along", x.path, r.ResourceType, r.ID)
			}
		}
	}
}

// TestFHIRIsJSONOnly: who can read XML only is told so; who takes anything gets JSON.
func TestFHIRIsJSONOnly(t *testing.T) {
	h := fhirServer(t, webtest.New(t, 3, "PL"), &history{})
	for accept, want := range map[string]int{
		"": 200, "*/*": 200, "application/fhir+json": 200, "application/json;q=0.5, application/fhir+xml": 200, "text/html,application/xhtml+xml,*/*;q=0.8": 200,
		"application/fhir+xml": 406, "text/html": 406, "application/fhir+json;q=0, application/xml": 406,
	} {
		for _, path := range []string{"/fhir/metadata", "/fhir/Location", "/fhir/HealthcareService/_history"} {
			if w := ask(h, "GET", path, "", "", "Accept", accept); w.Code != want {
				t.Errorf("%s for %q: %d, want %d", path, accept, w.Code, want)
			}
		}
	}
	if w := ask(h, "GET", "/fhir/Location?_format=json", "", "", "Accept", "application/fhir+xml"); w.Code != 200 {
		t.Errorf("_format stands above the header: %d", w.Code)
	}
}

// TestFHIRTellsWhatWasDeleted: what was here and is no more is gone, not unknown.
func TestFHIRTellsWhatWasDeleted(t *testing.T) {
	c := webtest.New(t, 3, "PL")
	l := *c.Listings[0].Listing
	nobody := l
	nobody.Visibility = "nobody"
	h := fhirServer(t, c, &history{before: map[string][]*listing.Listing{"was-here": {&l}, "never-shown": {&nobody}}})
	for id, want := range map[string]int{"was-here": 410, "never-shown": 404, "unknown": 404, l.ID: 200} {
		if w := ask(h, "GET", "/fhir/HealthcareService/"+id, "", ""); w.Code != want {
			t.Errorf("%s: %d, want %d", id, w.Code, want)
		}
	}
}
