package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/fhir"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

const (
	maxFHIRLook   = 20000 // resources that one question may have looked at
	maxFHIRValues = 20    // alternatives of one parameter, and times that it may stand there
	maxOffset     = 10_000_000
)

// fhirParam is a search parameter: by a key of the index, or by a look at each
// resource.
type fhirParam struct {
	kind  string // of FHIR: token, string, reference, date
	key   func(a *API, value, base string) (key string, ok bool)
	match func(x *fhir.Resource, modifier, value, base string) bool
}

var (
	idParam     = fhirParam{kind: "token", match: func(x *fhir.Resource, _, v, _ string) bool { return x.ID == v }}
	activeParam = fhirParam{kind: "token", match: func(x *fhir.Resource, _, v, _ string) bool {
		return x.Active != nil && strconv.FormatBool(*x.Active) == v
	}}
	identifierParam = fhirParam{kind: "token", match: func(x *fhir.Resource, _, v, _ string) bool {
		return slices.ContainsFunc(x.Identifier, func(i fhir.Identifier) bool { return token(v, i.System, i.Value) })
	}}
	nameParam = fhirParam{kind: "string", match: func(x *fhir.Resource, modifier, v, _ string) bool {
		return slices.ContainsFunc(append([]string{x.Name}, x.Alias...), func(s string) bool { return named(s, modifier, v) })
	}}
	typeParam = fhirParam{kind: "token", match: func(x *fhir.Resource, _, v, _ string) bool { return coded(x.Type, v) }}
)

var serviceParams = map[string]fhirParam{
	"_id": idParam, "active": activeParam, "identifier": identifierParam, "name": nameParam,
	"location":     {kind: "reference", key: referenceKey("Location", hsds.KeyLocation)},
	"organization": {kind: "reference", key: referenceKey("Organization", hsds.KeyOrganization)},
	"service-type": {kind: "token", key: func(_ *API, v, _ string) (string, bool) {
		system, code, both := strings.Cut(v, "|")
		if !both {
			code = v
		} else if system != fhir.System(listing.VocabularyServiceType) {
			return "", false
		}
		return hsds.KeyTerm + hsds.TermID(listing.VocabularyServiceType, code), true
	}},
}

var organizationParams = map[string]fhirParam{
	"_id": idParam, "active": activeParam, "identifier": identifierParam, "name": nameParam, "type": typeParam,
	"partof": {kind: "reference", match: func(x *fhir.Resource, _, v, base string) bool { return refers(x.PartOf, "Organization", v, base) }},
}

var locationParams = map[string]fhirParam{
	"_id": idParam, "identifier": identifierParam, "name": nameParam, "type": typeParam,
	"partof": {kind: "reference", match: func(x *fhir.Resource, _, v, base string) bool { return refers(x.PartOf, "Location", v, base) }},
	"organization": {kind: "reference", match: func(x *fhir.Resource, _, v, base string) bool {
		return refers(x.ManagingOrganization, "Organization", v, base)
	}},
	"status": {kind: "token", match: func(x *fhir.Resource, _, v, _ string) bool {
		return token(v, "http://hl7.org/fhir/location-status", x.Status)
	}},
}

// token reports whether a value asked for, "code", "system|code", "|code" or
// "system|", is that of a system.
func token(asked, system, value string) bool {
	s, v, both := strings.Cut(asked, "|")
	if !both {
		return asked == value
	}
	return s == system && (v == value || v == "" && s != "")
}

func coded(list []fhir.Concept, asked string) bool {
	return slices.ContainsFunc(list, func(c fhir.Concept) bool {
		return slices.ContainsFunc(c.Coding, func(x fhir.Code) bool { return token(asked, x.System, x.Code) })
	})
}

// named compares a name: by its beginning, :contains or :exact.
func named(name, modifier, asked string) bool {
	switch modifier {
	case "exact":
		return name == asked
	case "contains":
		return strings.Contains(strings.ToLower(name), strings.ToLower(asked))
	}
	return strings.HasPrefix(strings.ToLower(name), strings.ToLower(asked))
}

// referred is the id that a value asked for names: alone, with its type, or as the
// whole address of this node.
func referred(kind, asked, base string) (string, bool) {
	asked = strings.TrimPrefix(asked, base)
	asked = strings.TrimPrefix(asked, kind+"/")
	return asked, fhir.ValidID(asked)
}

func refers(r *fhir.Reference, kind, asked, base string) bool {
	id, ok := referred(kind, asked, base)
	return ok && r != nil && r.Reference == kind+"/"+id
}

func referenceKey(kind, key string) func(*API, string, string) (string, bool) {
	return func(_ *API, v, base string) (string, bool) {
		id, ok := referred(kind, v, base)
		return key + id, ok
	}
}

// fhirAsk is a question for resources.
type fhirAsk struct {
	q             search.Query
	only          []string // ids asked for; nil = all
	matches       []func(*fhir.Resource) bool
	count, offset int

	forward, reverse []fhirReference // what comes along with a page
}

// parseFHIR reads the parameters of a search. One that is not known is refused:
// to leave it out would answer another question.
func (a *API) parseFHIR(ctx context.Context, v url.Values, t fhirType, base string) (fhirAsk, error) {
	ask := fhirAsk{q: search.Query{Now: a.opt.Now(), Order: search.ByID}, count: DefaultPer}
	if err := fhirFormat(v); err != nil {
		return ask, err
	}
	for _, full := range sorted(v) {
		if len(v[full]) > maxFHIRValues {
			return ask, wrong(full[:min(len(full), 64)], "can stand there at most %d times", maxFHIRValues)
		}
		for _, s := range v[full] {
			if len(s) > maxValue || !utf8.ValidString(s) {
				return ask, wrong(strings.ToValidUTF8(full[:min(len(full), 64)], ""), "must be UTF-8 text of at most %d bytes", maxValue)
			}
			done, err := a.chain(ctx, &ask, t, full, s, base)
			if !done {
				err = ask.set(a, t, full, s, base)
			}
			if err != nil {
				return ask, err
			}
		}
	}
	return ask, nil
}

func (ask *fhirAsk) set(a *API, t fhirType, full, s, base string) (err error) {
	name, modifier, _ := strings.Cut(full, ":")
	switch full {
	case "_format":
		return nil
	case "_count":
		ask.count, err = whole(full, s, 0, maxOffset)
		ask.count = min(ask.count, MaxPer)
		return err
	case "_offset":
		ask.offset, err = whole(full, s, 0, maxOffset)
		return err
	case "_snapshot":
		ask.q.Snapshot = s
		return nil
	case "_lastUpdated":
		return ask.updated(t, s)
	case "_include", "_revinclude":
		return ask.include(t, full, s, full == "_revinclude")
	}
	p, ok := t.params[name]
	if !ok {
		names := fhirNames(t)
		shown := strings.ToValidUTF8(name[:min(len(name), 64)], "")
		return &QueryError{Parameter: shown, Nearest: search.Nearest(shown, names), Detail: t.name + " can be asked with " + strings.Join(names, ", ") + " only."}
	}
	if modifier != "" && (p.kind != "string" || modifier != "contains" && modifier != "exact") {
		return wrong(name, "cannot be asked in this way; :contains and :exact belong to name, and there is nothing else")
	}
	if s == "" {
		return nil
	}
	values := alternatives(s)
	if len(values) > maxFHIRValues {
		return wrong(name, "can have at most %d alternatives", maxFHIRValues)
	}
	if p.key != nil {
		var f search.KeyFilter
		for _, v := range values {
			if k, ok := p.key(a, v, base); ok {
				f.Any = append(f.Any, k)
			}
		}
		ask.q.Keys = append(ask.q.Keys, f)
		return nil
	}
	if name == "_id" && ask.only == nil {
		ask.only = values
	}
	ask.matches = append(ask.matches, func(x *fhir.Resource) bool {
		return slices.ContainsFunc(values, func(v string) bool { return p.match(x, modifier, v, base) })
	})
	return nil
}

// alternatives splits a value at its commas; "\," is one that belongs to it.
func alternatives(s string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`\,|$`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case s[i] == ',':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	out = append(out, b.String())
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// updated asks for the time of the last change: services by their key, what
// stands in them by a look.
func (ask *fhirAsk) updated(t fhirType, s string) error {
	prefix := "eq"
	if len(s) > 2 && s[0] >= 'a' && s[0] <= 'z' {
		prefix, s = s[:2], s[2:]
	}
	low, high, err := span("_lastUpdated", s)
	if err != nil {
		return err
	}
	var from, to time.Time // from ≤ t < to; zero = no bound
	switch prefix {
	case "eq":
		from, to = low, high
	case "gt", "sa":
		from = high
	case "ge":
		from = low
	case "lt", "eb":
		to = low
	case "le":
		to = high
	default:
		return wrong("_lastUpdated", "can begin with eq, gt, ge, lt, le, sa or eb")
	}
	if t.name == "HealthcareService" {
		f := search.KeyFilter{From: hsds.KeyModified, To: hsds.KeyModified + "~"}
		if !from.IsZero() {
			f.From += hsds.ModifiedKey(from)
		}
		if !to.IsZero() {
			f.To = hsds.KeyModified + hsds.ModifiedKey(to)
		}
		ask.q.Keys = append(ask.q.Keys, f)
		return nil
	}
	ask.matches = append(ask.matches, func(x *fhir.Resource) bool {
		at, err := time.Parse(time.RFC3339, x.Meta.LastUpdated)
		return err == nil && (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to))
	})
	return nil
}

// span is the time that a FHIR date covers, as finely as it is written.
func span(name, s string) (low, high time.Time, err error) {
	s = strings.ReplaceAll(s, " ", "+")
	for _, layout := range []struct {
		text string
		next func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{time.DateOnly, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{time.RFC3339, func(t time.Time) time.Time { return t.Add(time.Second) }},
		{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
	} {
		if t, err := time.Parse(layout.text, s); err == nil && t.Year() > 0 && t.Year() < 9999 {
			return t.UTC(), layout.next(t).UTC(), nil
		}
	}
	return low, high, wrong(name, "is a date or a time, 2026-01-31 or 2026-01-31T12:00:00Z")
}

// fhirNames are the parameters of a type, sorted.
func fhirNames(t fhirType) []string {
	names := []string{"_count", "_format", "_include", "_lastUpdated"}
	if included(t, true) != nil {
		names = append(names, "_revinclude")
	}
	for name := range t.params {
		names = append(names, name)
	}
	for _, r := range fhirReferences {
		if r.source == t.name {
			for _, name := range chainable(r) {
				names = append(names, r.param+"."+name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// fhirSearch answers a search with a page of what was found.
func (a *API) fhirSearch(w http.ResponseWriter, r *http.Request, t fhirType) {
	b, err := a.fhirFound(r, t)
	if err != nil {
		a.fhirFault(w, err)
		return
	}
	a.fhirWrite(w, r, b)
}

func (a *API) fhirFound(r *http.Request, t fhirType) (*bundle, error) {
	v, err := hsdsQuestion(r)
	if err != nil {
		return nil, err
	}
	base := a.base(r) + "/fhir/"
	ctx, writer := r.Context(), a.fhirWriter(r)
	ask, err := a.parseFHIR(ctx, v, t, base)
	if err != nil {
		return nil, err
	}
	ids, snapshot, err := a.fhirIDs(ctx, t, ask, writer)
	if err != nil {
		return nil, err
	}
	total := len(ids)
	b := &bundle{ResourceType: "Bundle", Type: "searchset", Total: &total, Link: []link{{"self", base + t.name + asked(v)}}}
	for _, id := range slice(ids, ask.offset, ask.offset+ask.count) {
		x, err := t.item(a, ctx, search.Query{Now: ask.q.Now}, writer, id)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b.Entry = append(b.Entry, entry{FullURL: base + t.name + "/" + id, Resource: &x, Search: &mode{"match"}})
	}
	if err := a.bring(ctx, b, ask, writer, base); err != nil {
		return nil, err
	}
	if end := ask.offset + ask.count; ask.count > 0 && end < total {
		v.Set("_offset", strconv.Itoa(end))
		if snapshot != "" {
			v.Set("_snapshot", snapshot)
		}
		b.Link = append(b.Link, link{"next", base + t.name + asked(v)})
	}
	return b, nil
}

// fhirIDs are the ids of all resources that answer, and the snapshot they were taken
// from.
func (a *API) fhirIDs(ctx context.Context, t fhirType, ask fhirAsk, writer *fhir.Writer) ([]string, string, error) {
	ids, snapshot, err := t.ids(a, ctx, ask.q)
	if err != nil {
		return nil, "", err
	}
	if ask.only != nil {
		ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(ask.only, id) })
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !fhir.ValidID(id) })
	one := search.Query{Now: ask.q.Now}
	if len(ask.matches) > 0 {
		if len(ids) > maxFHIRLook {
			return nil, "", errCostly
		}
		kept := ids[:0]
		for _, id := range ids {
			x, err := t.item(a, ctx, one, writer, id)
			if err = cmp.Or(err, ctx.Err()); err != nil {
				if gone(err) {
					continue
				}
				return nil, "", err
			}
			if !slices.ContainsFunc(ask.matches, func(m func(*fhir.Resource) bool) bool { return !m(&x) }) {
				kept = append(kept, id)
			}
		}
		ids = kept
	}
	return ids, snapshot, nil
}

func asked(v url.Values) string {
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// historyAsk is a question for what changed.
type historyAsk struct {
	after listing.Place
	since time.Time
	count int
}

func parseHistory(v url.Values) (ask historyAsk, err error) {
	ask.count = DefaultPer
	if err := fhirFormat(v); err != nil {
		return ask, err
	}
	names := []string{"_after", "_count", "_format", "_since"}
	for _, name := range sorted(v) {
		s := v.Get(name)
		switch name {
		case "_format":
		case "_count":
			if ask.count, err = whole(name, s, 1, maxOffset); err != nil {
				return ask, err
			}
			ask.count = min(ask.count, MaxPer)
		case "_since":
			if ask.since, _, err = span(name, s); err != nil {
				return ask, err
			}
		case "_after":
			if ask.after, err = listing.ParsePlace(s); err != nil {
				return ask, wrong(name, "is what a link of an earlier answer says; take that as it is")
			}
		default:
			shown := strings.ToValidUTF8(name[:min(len(name), 64)], "")
			return ask, &QueryError{Parameter: shown, Nearest: search.Nearest(shown, names), Detail: "A history can be asked with " + strings.Join(names, ", ") + " only."}
		}
	}
	return ask, nil
}
