package check_test

import (
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// directory is a small HSDS API that keeps every rule, for the check to find
// nothing in. Faults bend one thing of it.
type directory struct {
	services, organizations, places, taxonomies, terms []obj
	bend                                               func(a *reply)
	url                                                string
}

type obj = map[string]any

// reply is an answer on its way out.
type reply struct {
	r      *http.Request
	q      url.Values
	list   string // "services", or "" for anything that is no list
	id     string // of a single item
	items  []obj  // of a list, filtered, before it is cut into pages
	all    []obj  // of a list, before it is filtered
	status int
	header http.Header
	body   any
	raw    []byte // instead of the body
	cut    bool   // items are still to be cut into pages
	deaf   bool   // what is posted is not read
}

func uuid(kind, n int) string { return fmt.Sprintf("%08d-0000-4000-8000-%012d", kind, n) }

func newDirectory() *directory {
	d := &directory{}
	taxonomy := obj{"id": uuid(5, 1), "name": "Kinds of help", "description": "What a service gives."}
	other := obj{"id": uuid(5, 2), "name": "Audiences", "description": "Whom it is for."}
	d.taxonomies = []obj{taxonomy, other}
	for i := range 6 {
		t := obj{"id": uuid(6, i), "code": fmt.Sprint("t", i), "name": fmt.Sprint("Termword", string(rune('a'+i))), "description": "A term.", "taxonomy_detail": taxonomy}
		if i >= 3 {
			t["parent_id"] = uuid(6, i-3)
		}
		if i == 5 {
			t["taxonomy_detail"], t["taxonomy_id"] = other, other["id"]
		} else {
			t["taxonomy_id"] = taxonomy["id"]
		}
		d.terms = append(d.terms, t)
	}
	for i := range 4 {
		d.organizations = append(d.organizations, obj{"id": uuid(2, i), "name": fmt.Sprint("Organization ", word(i)), "description": "A body.", "email": "office@example.org", "website": "https://example.org/"})
	}
	for i := range 36 {
		org := d.organizations[i%4]
		d.services = append(d.services, obj{
			"id": uuid(1, i), "name": fmt.Sprint("Service ", word(i), " ", word(i*7)), "status": "active", "description": "Someone listens. " + strings.Repeat("It is free of charge. ", 10),
			"url": "https://example.org/service", "email": "service@example.org", "minimum_age": i % 18, "assured_date": "2026-01-31",
			"last_modified": fmt.Sprintf("2026-%02d-%02dT10:00:00Z", 1+i%12, 1+i%28), "organization": org,
			"attributes": []obj{{"id": uuid(7, i), "link_entity": "service", "taxonomy_term": d.terms[i%6]}},
			"phones":     []obj{{"id": uuid(8, i), "number": "+990 0000"}},
			"schedules":  []obj{{"id": uuid(9, i), "opens_at": "09:00", "closes_at": "17:30", "freq": "WEEKLY", "byday": "MO,TU"}},
		})
	}
	for i := range 7 {
		d.places = append(d.places, obj{"id": uuid(3, i), "description": "Here.", "last_modified": "2026-05-05T00:00:00Z",
			"service":  brief(d.services[i]),
			"location": obj{"id": uuid(4, i), "location_type": "physical", "name": "House", "latitude": 1, "longitude": 2}})
	}
	return d
}

// word is a made-up word that no other number has.
func word(i int) string {
	letters := "bdfgklmnprst"
	out := ""
	for i += 1000; i > 0; i /= 12 {
		out += string(letters[i%12]) + "a"
	}
	return "W" + out
}

// brief is an item as it stands in a list.
func brief(m obj) obj {
	out := obj{}
	for name, v := range m {
		if _, list := v.([]obj); !list {
			out[name] = v
		}
	}
	return out
}

func (d *directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	a := &reply{r: r, q: q, status: 200, header: http.Header{"Content-Type": {"application/json"}, "Access-Control-Allow-Origin": {"*"}}}
	path := strings.Trim(r.URL.Path, "/")
	if path == "odd" { // what faults point at
		a.body = obj{"nothing": "here"}
	} else if r.Method == http.MethodOptions {
		a.status = 204
	} else if path == "" {
		a.body = obj{"version": "3.2.3", "profile": "https://example.org/profile", "openapi_url": d.url + "/openapi.json"}
	} else if path == "openapi.json" {
		paths := obj{}
		for _, p := range []string{"services", "organizations", "service_at_locations", "taxonomies", "taxonomy_terms"} {
			paths["/"+p] = obj{}
		}
		a.body = obj{"openapi": "3.1.0", "paths": paths}
	} else {
		name, id, single := strings.Cut(path, "/")
		a.list = name
		lists := map[string][]obj{"services": d.services, "organizations": d.organizations, "service_at_locations": d.places, "taxonomies": d.taxonomies, "taxonomy_terms": d.terms}
		items, known := lists[name]
		switch {
		case !known:
			a.status, a.body = 404, obj{"title": "Not found"}
		case single:
			a.id = id
			d.single(a, items)
		default:
			a.all = items
			if d.bend != nil {
				d.bend(a) // for what is heard of the question
			}
			a.listen()
			d.filter(a)
		}
	}
	if d.bend != nil {
		d.bend(a)
	}
	if a.cut {
		a.page()
		if d.bend != nil {
			d.bend(a)
		}
	}
	a.send(w)
}

// listen adds what a form says to the question.
func (a *reply) listen() {
	if a.r.Method != http.MethodPost || a.deaf || a.r.ParseForm() != nil {
		return
	}
	for name, values := range a.r.PostForm {
		a.q[name] = values
	}
}

func (d *directory) single(a *reply, items []obj) {
	i := slices.IndexFunc(items, func(m obj) bool { return m["id"] == a.id })
	if i < 0 {
		a.status, a.body = 404, obj{"title": "Not found"}
		return
	}
	m := obj{}
	for name, v := range items[i] {
		m[name] = v
	}
	if a.q.Get("full_service") == "true" {
		var own []obj
		for _, s := range d.services {
			if s["organization"].(obj)["id"] == a.id {
				own = append(own, s)
			}
		}
		m["services"] = own
	}
	a.body = m
}

func (d *directory) filter(a *reply) {
	a.cut = true
	for _, m := range a.all {
		if slices.ContainsFunc(asked, func(name string) bool { return a.q.Get(name) != "" && !meets(m, name, a.q.Get(name)) }) {
			continue
		}
		if v := a.q.Get("parent_id"); v != "" && m["parent_id"] != v {
			continue
		}
		if a.q.Get("top_only") == "true" && m["parent_id"] != nil {
			continue
		}
		switch {
		case a.q.Get("minimal") == "true":
			m = obj{"id": m["id"], "last_modified": m["last_modified"]}
		case a.q.Get("full") != "true":
			m = brief(m)
		}
		a.items = append(a.items, m)
	}
	if a.q.Get("format") == "ndjson" {
		a.cut = false
		a.header.Set("Content-Type", "application/x-ndjson")
		for _, m := range a.items {
			line, _ := json.Marshal(m)
			a.raw = append(append(a.raw, line...), '\n')
		}
	}
}

// asked are the filters that are compared with an item alone.
var asked = []string{"search", "organization_id", "taxonomy_term_id", "taxonomy_id", "modified_after"}

// meets tells whether an item is what a filter asks for.
func meets(m obj, filter, v string) bool {
	switch filter {
	case "search":
		return strings.Contains(strings.ToLower(fmt.Sprint(m["name"])), strings.ToLower(v))
	case "organization_id":
		return organization(m) == v
	case "taxonomy_term_id":
		return strings.Contains(fmt.Sprint(m["attributes"]), " id:"+v)
	case "taxonomy_id":
		return m["taxonomy_id"] == v || strings.Contains(fmt.Sprint(m["attributes"]), "taxonomy_id:"+v)
	}
	at, err := time.Parse(time.RFC3339, v)
	own, _ := time.Parse(time.RFC3339, fmt.Sprint(m["last_modified"]))
	return err == nil && !own.Before(at)
}

func organization(m obj) string {
	if s, ok := m["service"].(obj); ok {
		return organization(s)
	}
	o, _ := m["organization"].(obj)
	id, _ := o["id"].(string)
	return id
}

func (a *reply) page() {
	a.cut = false
	page, err := strconv.Atoi(cmp.Or(a.q.Get("page"), "1"))
	per, err2 := strconv.Atoi(cmp.Or(a.q.Get("per_page"), "20"))
	if err != nil || err2 != nil || page < 1 || per < 1 {
		a.status, a.body = 400, obj{"title": "Bad question"}
		return
	}
	per = min(per, 100)
	n := len(a.items)
	from, to := min((page-1)*per, n), min(page*per, n)
	pages := (n + per - 1) / per
	a.body = obj{"total_items": n, "total_pages": pages, "page_number": page, "size": to - from, "first_page": page == 1, "last_page": page == max(pages, 1), "empty": to == from, "contents": append([]obj{}, a.items[from:to]...)}
}

func (a *reply) send(w http.ResponseWriter) {
	body := a.raw
	if body == nil && a.body != nil {
		body, _ = json.Marshal(a.body)
	}
	h := w.Header()
	for name, v := range a.header {
		h[name] = v
	}
	if a.status == 200 && a.header.Get("No-Tag") == "" {
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
		h.Set("ETag", tag)
		if a.r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(304)
			return
		}
	}
	if a.r.Header.Get("Accept-Encoding") == "gzip" && a.header.Get("No-Gzip") == "" {
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(a.status)
		z := gzip.NewWriter(w)
		_, _ = z.Write(body)
		_ = z.Close()
		return
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}
