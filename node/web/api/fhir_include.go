package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/fhir"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// maxIncluded is how many resources may come along with a page.
const maxIncluded = 1000

// fhirReference is how resources of a type name those of another: by which element,
// and under which key the services stand in which both are.
type fhirReference struct {
	source, param, target string
	key                   string
	of                    func(x *fhir.Resource) []fhir.Reference
}

func one(r *fhir.Reference) []fhir.Reference {
	if r == nil {
		return nil
	}
	return []fhir.Reference{*r}
}

// fhirReferences are those that can be followed: to what a page names (_include), to
// what names it (_revinclude), and to what is asked of it (organization.name).
var fhirReferences = []fhirReference{
	{"HealthcareService", "location", "Location", hsds.KeyLocation, func(x *fhir.Resource) []fhir.Reference { return x.Location }},
	{"HealthcareService", "organization", "Organization", hsds.KeyOrganization, func(x *fhir.Resource) []fhir.Reference { return one(x.ProvidedBy) }},
	{"Location", "organization", "Organization", hsds.KeyOrganization, func(x *fhir.Resource) []fhir.Reference { return one(x.ManagingOrganization) }},
	{"Organization", "partof", "Organization", "", func(x *fhir.Resource) []fhir.Reference { return one(x.PartOf) }},
}

// included are the names by which a page of a type can bring others, "Location:organization".
func included(t fhirType, reverse bool) (names []string) {
	for _, r := range fhirReferences {
		if reverse && r.target == t.name && r.key != "" || !reverse && r.source == t.name {
			names = append(names, r.source+":"+r.param)
		}
	}
	return names
}

func typeOf(name string) fhirType {
	return fhirTypes[slices.IndexFunc(fhirTypes, func(t fhirType) bool { return t.name == name })]
}

// include takes in _include and _revinclude.
func (ask *fhirAsk) include(t fhirType, name, s string, reverse bool) error {
	if !slices.Contains(included(t, reverse), s) {
		return wrong(name, "can be %s", strings.Join(included(t, reverse), " or "))
	}
	source, param, _ := strings.Cut(s, ":")
	at := slices.IndexFunc(fhirReferences, func(r fhirReference) bool { return r.source == source && r.param == param })
	if reverse {
		ask.reverse = append(ask.reverse, fhirReferences[at])
	} else {
		ask.forward = append(ask.forward, fhirReferences[at])
	}
	return nil
}

// chain asks something of what a resource names: "organization.name". It is the
// question by which the target is found first, and then asked for by its ids.
func (a *API) chain(ctx context.Context, ask *fhirAsk, t fhirType, full, s, base string) (bool, error) {
	param, inner, chained := strings.Cut(full, ".")
	name, _, _ := strings.Cut(inner, ":")
	at := slices.IndexFunc(fhirReferences, func(r fhirReference) bool { return r.source == t.name && r.param == param })
	if !chained || at < 0 || !slices.Contains(chainable(fhirReferences[at]), name) {
		return false, nil
	}
	r := fhirReferences[at]
	target := typeOf(r.target)
	sub, err := a.parseFHIR(ctx, url.Values{inner: {s}}, target, base)
	if err != nil {
		return true, err
	}
	ids, _, err := a.fhirIDs(ctx, target, sub, &fhir.Writer{Base: strings.TrimSuffix(base, "/fhir/"), Vocabulary: a.opt.Vocabulary(), Cadence: a.opt.Cadence(), Now: sub.q.Now})
	if err != nil {
		return true, err
	}
	found := map[string]bool{}
	for _, id := range ids {
		found[r.target+"/"+id] = true
	}
	ask.matches = append(ask.matches, func(x *fhir.Resource) bool {
		return slices.ContainsFunc(r.of(x), func(to fhir.Reference) bool { return found[to.Reference] })
	})
	return true, nil
}

// chainable are the parameters of the target of a reference that can be asked through it.
func chainable(r fhirReference) (names []string) {
	for _, name := range []string{"active", "identifier", "name", "status"} {
		if _, ok := typeOf(r.target).params[name]; ok {
			names = append(names, name)
		}
	}
	return names
}

// bring adds what the resources of a page name, and what names them. Each stands
// there once.
func (a *API) bring(ctx context.Context, b *bundle, ask fhirAsk, w *fhir.Writer, base string) error {
	q := search.Query{Now: ask.q.Now}
	matched := len(b.Entry)
	there := map[string]bool{}
	for _, e := range b.Entry {
		there[e.FullURL] = true
	}
	add := func(kind, id string, fits func(*fhir.Resource) bool) error {
		address := base + kind + "/" + id
		if there[address] || !fhir.ValidID(id) {
			return nil
		}
		x, err := typeOf(kind).item(a, ctx, q, w, id)
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if fits != nil && !fits(&x) {
			return nil
		}
		if len(b.Entry)-matched >= maxIncluded {
			return errCostly
		}
		there[address] = true
		b.Entry = append(b.Entry, entry{FullURL: address, Resource: &x, Search: &mode{"include"}})
		return nil
	}
	for _, e := range b.Entry[:matched] {
		for _, r := range ask.forward {
			for _, to := range r.of(e.Resource) {
				if err := add(r.target, strings.TrimPrefix(to.Reference, r.target+"/"), nil); err != nil {
					return err
				}
			}
		}
		for _, r := range ask.reverse {
			named := r.target + "/" + e.Resource.ID
			near := q
			near.Keys = []search.KeyFilter{{Any: []string{r.key + e.Resource.ID}}}
			ids, _, err := typeOf(r.source).ids(a, ctx, near)
			if err != nil {
				return err
			}
			for _, id := range ids {
				err := add(r.source, id, func(x *fhir.Resource) bool {
					return slices.ContainsFunc(r.of(x), func(to fhir.Reference) bool { return to.Reference == named })
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// takesJSON reports whether a reader who says what it can read can read JSON.
func takesJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept == "" || r.URL.Query().Get("_format") != "" {
		return true // _format stands above the header
	}
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "*/*", "application/*", "application/json", "application/fhir+json", "text/json":
			if q := strings.ReplaceAll(params, " ", ""); q != "q=0" && !strings.HasSuffix(q, ";q=0") {
				return true
			}
		}
	}
	return false
}

// wasHere reports whether a service is known to have been deleted.
func (a *API) wasHere(ctx context.Context, t fhirType, id string) bool {
	if t.within != nil {
		return false
	}
	before, err := a.opt.FHIR.Before(ctx, id)
	return err == nil && slices.ContainsFunc(before, func(l *listing.Listing) bool { return l.VisibilityValue() != listing.VisibleNobody })
}
