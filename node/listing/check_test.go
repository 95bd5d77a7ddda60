package listing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// day returns noon UTC of a date.
func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t.Add(12 * time.Hour)
}

// places returns "path code" of every fault.
func places(faults listing.Faults) []string {
	out := []string{}
	for _, f := range faults {
		out = append(out, strings.TrimSpace(f.Path+" "+f.Code))
	}
	return out
}

func TestCheckImport(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"all at once", `{}`, []string{"id missing", "name missing", "status missing", "organization missing"}},
		{"blank is missing", `{"id":" ","name":"\t","status":" ","organization":{"name":" "}}`,
			[]string{"id missing", "name missing", "status missing", "organization.name missing"}},
		{"status of HSDS", `{"id":"1","name":"n","status":"open","organization_id":"o"}`, []string{"status bad_code"}},
		{"the id of an organization is enough", `{"id":"any","name":"n","status":"temporarily closed","organization_id":"o"}`, []string{}},
		{"its name is enough", `{"id":"any","name":"n","status":"defunct","organization":{"name":"o"}}`, []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := places(view(t, parse(t, tc.in)).CheckImport()); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestCheckServeMindsTheSize(t *testing.T) {
	d := parse(t, sample)
	d["internal_notes"] = strings.Repeat("private ", 10_000)
	if f := view(t, d).CheckServe(); len(f) > 0 {
		t.Errorf("the private part does not count: %v", f)
	}
	d["description"] = strings.Repeat("x", listing.MaxShare)
	if f := places(view(t, d).CheckServe()); !slices.Equal(f, []string{"too_large"}) {
		t.Errorf("got %v", f)
	}
	d["description"] = strings.Repeat("x", listing.MaxBody)
	if f := places(view(t, d).CheckServe()); !slices.Equal(f, []string{"too_large"}) {
		t.Errorf("got %v", f)
	}
}

func TestSampleIsFit(t *testing.T) {
	if f := view(t, parse(t, sample)).CheckPublish(day("2026-03-10")); len(f) > 0 {
		t.Error(f.Error())
	}
}

// Each row takes something away from the sample or puts something wrong in.
func TestCheckPublish(t *testing.T) {
	channel := func(f func(map[string]any)) func(map[string]any) {
		return func(d map[string]any) { f(d["channels"].([]any)[0].(map[string]any)) }
	}
	set := func(key string, v any) func(map[string]any) { return func(d map[string]any) { d[key] = v } }
	inner := func(a, b string, v any) func(map[string]any) {
		return channel(func(c map[string]any) { c[a].(map[string]any)[b] = v })
	}
	for _, tc := range []struct {
		name   string
		change func(map[string]any)
		want   []string
	}{
		{"no name", set("name", ""), []string{"name missing"}},
		{"no audience", set("audience", nil), []string{"audience missing"}},
		{"an unknown audience", set("audience", []any{"self.unsure", "x"}), []string{"audience[1] bad_code"}},
		{"an unknown kind", set("kind", "x"), []string{"kind bad_code"}},
		{"an unknown visibility", set("visibility", "x"), []string{"visibility bad_code"}},
		{"no channels", set("channels", nil), []string{"channels missing"}},
		{"no channel that works", func(d map[string]any) {
			for _, c := range d["channels"].([]any) {
				c.(map[string]any)["status"] = "paused"
			}
		}, []string{"channels missing"}},
		{"an unknown type of channel", channel(set("type", "x")), []string{"channels[0].type bad_code"}},
		{"no type of channel", channel(set("type", "")), []string{"channels[0].type missing"}},
		{"a number that cannot be dialled", channel(set("value", "ask Ann")), []string{"channels[0].value bad_value"}},
		{"no e-mail address", channel(func(c map[string]any) { c["type"], c["value"] = "email", "nobody" }), []string{"channels[0].value bad_value"}},
		{"a chat without an address", channel(func(c map[string]any) { c["type"], c["value"] = "live_chat", "chat.example.org" }),
			[]string{"channels[0].value bad_value"}},
		{"a dangerous address", channel(func(c map[string]any) { c["type"], c["value"] = "onion_site", "javascript:alert(1)" }),
			[]string{"channels[0].value bad_value"}},
		{"a video without a value", channel(func(c map[string]any) { c["type"], c["value"] = "video", " " }), []string{"channels[0].value missing"}},
		{"no languages", channel(set("languages", []any{})), []string{"channels[0].languages missing"}},
		{"a language that is none", channel(set("languages", []any{"Lithuanian language"})), []string{"channels[0].languages[0] bad_code"}},
		{"no cost", channel(set("cost", nil)), []string{"channels[0].cost missing"}},
		{"a blank cost", inner("cost", "value", ""), []string{"channels[0].cost missing"}},
		{"an unknown cost", inner("cost", "value", "x"), []string{"channels[0].cost.value bad_code"}},
		{"free from nowhere", inner("cost", "value", "free_from_country_only"), []string{"channels[0].free_from missing"}},
		{"no anonymity", channel(set("anonymity", nil)), []string{"channels[0].anonymity missing"}},
		{"no source", inner("anonymity", "source_url", ""), []string{"channels[0].anonymity.source_url missing"}},
		{"a source that is no address", inner("anonymity", "source_url", "a leaflet"), []string{"channels[0].anonymity.source_url bad_value"}},
		{"a page without its scheme", set("url", "www.example.org"), []string{"url bad_value"}},
		{"a page of the organization that is none", func(d map[string]any) { d["organization"].(map[string]any)["website"] = "see above" }, []string{"organization.website bad_value"}},
		{"a page of the source that is none", set("source", "a letter"), []string{"source bad_value"}},
		{"tested by the editor", func(d map[string]any) {
			inner("anonymity", "source_url", "")(d)
			inner("anonymity", "basis", "editor_tested")(d)
		}, []string{}},
		{"no basis", inner("cost", "basis", ""), []string{"channels[0].cost.basis missing"}},
		{"no date of a fact", inner("cost", "as_of", ""), []string{"channels[0].cost.as_of missing"}},
		{"a jurisdiction that is none", inner("cost", "jurisdiction", "Lithuania"), []string{"channels[0].cost.jurisdiction bad_code"}},
		{"no breach", channel(set("breach", nil)), []string{"channels[0].breach missing"}},
		{"a blank breach", inner("breach", "value", " "), []string{"channels[0].breach missing"}},
		{"an unknown condition", channel(set("breach", map[string]any{"value": "not_stated", "conditions": []any{"x"}})),
			[]string{"channels[0].breach.conditions[0] bad_code"}},
		{"a breach text without source", inner("breach", "value", "If a child is in danger."),
			[]string{"channels[0].breach.basis missing", "channels[0].breach.source_url missing", "channels[0].breach.as_of missing"}},
		{"hours without a zone", inner("hours", "zone", ""), []string{"channels[0].hours.zone bad_value"}},
		{"hours in a zone that is none", inner("hours", "zone", "Europe/Nowhere"), []string{"channels[0].hours.zone bad_value"}},
		{"a day that is none", inner("hours", "weekly", []any{map[string]any{"day": "monday", "opens": "9", "closes": "17:00"}}),
			[]string{"channels[0].hours.weekly[0].day bad_value", "channels[0].hours.weekly[0] bad_value"}},
		{"no hours at all", inner("hours", "weekly", nil), []string{"channels[0].hours missing"}},
		{"hours not stated", channel(set("hours", map[string]any{"not_stated": true})), []string{}},
		{"an exception without a date", inner("hours", "exceptions", []any{map[string]any{"closed": true}}),
			[]string{"channels[0].hours.exceptions[0].date missing"}},
		{"the same id twice", channel(set("id", "c2")), []string{"channels[1].id twice"}},
		{"no coverage", set("coverage", map[string]any{"residency_required": true}), []string{"coverage missing"}},
		{"a country that is none", set("coverage", map[string]any{"countries": []any{"Lithuania"}, "regions": []any{"Vilnius"}}),
			[]string{"coverage.countries[0] bad_code", "coverage.regions[0] bad_code"}},
		{"no operator type", func(d map[string]any) { d["organization"].(map[string]any)["operator_type"] = "" }, []string{"organization.operator_type missing"}},
		{"only the id of an organization", func(d map[string]any) { d["organization"], d["organization_id"] = nil, "o1" }, []string{"organization missing"}},
		{"no assured date", set("assured_date", ""), []string{"assured_date missing"}},
		{"a date that is none", set("assured_date", "yesterday"), []string{"assured_date bad_value"}},
		{"a date of the future", set("assured_date", "2026-03-12"), []string{"assured_date bad_value"}},
		{"tomorrow may be today elsewhere", set("assured_date", "2026-03-11"), []string{}},
		{"checked 91 days ago", set("assured_date", "2025-12-09"), []string{}},
		{"checked 92 days ago", set("assured_date", "2025-12-08"), []string{"assured_date stale"}},
		{"minors, nothing said", set("guardian_consent", ""), []string{"guardian_consent missing"}},
		{"minors, not stated", set("guardian_consent", "not_stated"), []string{}},
		{"minors, unknown code", set("guardian_consent", "from_age:x"), []string{"guardian_consent bad_code"}},
		{"no youngest age is open to minors", func(d map[string]any) { delete(d, "guardian_consent"); delete(d, "minimum_age") }, []string{"guardian_consent missing"}},
		{"adults only", func(d map[string]any) { delete(d, "guardian_consent"); d["minimum_age"] = 18 }, []string{}},
		{"professionals only", func(d map[string]any) { delete(d, "guardian_consent"); d["audience"] = []any{"professional.health"} }, []string{}},
		{"ages the wrong way round", set("maximum_age", 15), []string{"minimum_age bad_value"}},
		{"an age that is none", set("maximum_age", 1000), []string{"maximum_age bad_value"}},
		{"region without a region", func(d map[string]any) { d["address_precision"] = "region"; delete(d, "region") }, []string{"region missing"}},
		{"a latitude that is none", set("region", map[string]any{"code": "LT-VL", "latitude": 100}), []string{"region.latitude bad_value"}},
		{"its own companion", set("companions", []any{"5f1f6f0e-6f0a-4c55-9d3c-0b6a1d1c2f11"}), []string{"companions[0] dangling"}},
		{"an undated waiting time", set("waiting", map[string]any{"value": "weeks"}), []string{"waiting.as_of missing"}},
		{"a verification by no method", set("verification", map[string]any{"date": "2026-03-01", "level": 9}),
			[]string{"verification.method missing", "verification.level bad_value"}},
		{"a stub of a closed service", func(d map[string]any) {
			for k := range d {
				if k != "id" && k != "name" && k != "organization" {
					delete(d, k)
				}
			}
			d["status"] = "defunct"
		}, []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := parse(t, sample)
			tc.change(d)
			if got := places(view(t, d).CheckPublish(day("2026-03-10"))); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// An empty draft is told everything at once.
func TestCheckPublishTellsAll(t *testing.T) {
	got := places(view(t, listing.Document{}).CheckPublish(day("2026-03-10")))
	want := []string{"id missing", "name missing", "status missing", "organization missing", "audience missing",
		"guardian_consent missing", "channels missing", "coverage missing", "assured_date missing"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFaultsRead(t *testing.T) {
	var none listing.Faults
	if none.Err() != nil {
		t.Error("no fault is no error")
	}
	f := listing.Faults{{Path: "a", Code: "missing", Message: "One."}, {Code: "too_large", Message: "Two."}}
	if got := f.Err().Error(); got != "a: One.; Two." {
		t.Errorf("got %q", got)
	}
}
