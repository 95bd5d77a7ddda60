package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/fhir"
	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// Changes is what a node knows of the changes of all feeds, for the history of
// FHIR.
type Changes interface {
	// Changes returns at most limit changes after a place, or where it is empty
	// since a time, the place after them, and whether there are more. What can no
	// longer be told is [listing.ErrTooLongAgo].
	Changes(ctx context.Context, after listing.Place, since time.Time, limit int) (list []listing.Change, at listing.Place, more bool, err error)
	// Before returns the versions of a listing that were published before the one
	// that stands, or stood last; [listing.ErrTooLongAgo] where one is kept no more.
	Before(ctx context.Context, id string) ([]*listing.Listing, error)
}

const fhirJSON = "application/fhir+json; charset=utf-8"

// fhirType is a type of resource: how its resources are found, and what each is.
type fhirType struct {
	name   string
	params map[string]fhirParam // beside those that every type has
	ids    func(a *API, ctx context.Context, q search.Query) (ids []string, snapshot string, err error)
	item   func(a *API, ctx context.Context, q search.Query, w *fhir.Writer, id string) (fhir.Resource, error)
	within func(l *listing.Listing) []string // ids of those that stand in a listing; nil where they are the listings
}

var fhirTypes = []fhirType{
	{name: "HealthcareService", params: serviceParams, ids: fhirServices, item: fhirService},
	{name: "Location", params: locationParams, ids: fhirKeys(hsds.KeyLocation), item: fhirLocation, within: hsds.Places},
	{name: "Organization", params: organizationParams, ids: fhirKeys(hsds.KeyOrganization), item: fhirOrganization, within: func(l *listing.Listing) []string { return []string{hsds.OrganizationID(l)} }},
}

// fhirRoutes adds what FHIR has.
func (a *API) fhirRoutes() {
	get := func(path string, h http.HandlerFunc, more ...string) {
		a.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if !takesJSON(r) {
				a.fhirFault(w, errFormat)
				return
			}
			for _, m := range append(more, http.MethodGet, http.MethodHead) {
				if r.Method == m {
					h(w, r)
					return
				}
			}
			w.Header().Set("Allow", strings.Join(append([]string{"GET", "HEAD"}, more...), ", "))
			outcome(w, http.StatusMethodNotAllowed, "not-supported", "This directory can only be read. What is wrong in it is put right by the country that publishes it.")
		})
	}
	get("/fhir/metadata", a.capabilities)
	get("/fhir/{rest...}", func(w http.ResponseWriter, _ *http.Request) { nowhere(w) })
	get("/fhir", func(w http.ResponseWriter, _ *http.Request) { nowhere(w) })
	get(fhir.ChannelExtension, a.channelExtension)
	for _, t := range fhirTypes {
		get("/fhir/"+t.name, func(w http.ResponseWriter, r *http.Request) { a.fhirSearch(w, r, t) })
		get("/fhir/"+t.name+"/_search", func(w http.ResponseWriter, r *http.Request) { a.fhirSearch(w, r, t) }, http.MethodPost)
		get("/fhir/"+t.name+"/_history", func(w http.ResponseWriter, r *http.Request) { a.fhirHistory(w, r, t) })
		get("/fhir/"+t.name+"/{id}", func(w http.ResponseWriter, r *http.Request) { a.fhirRead(w, r, t) })
	}
}

func nowhere(w http.ResponseWriter) {
	outcome(w, http.StatusNotFound, "not-found", "There is nothing at this address. What there is stands at /fhir/metadata.")
}

// outcome answers with an OperationOutcome.
func outcome(w http.ResponseWriter, status int, code, text string) {
	body, err := json.Marshal(map[string]any{"resourceType": "OperationOutcome", "issue": []any{
		map[string]any{"severity": "error", "code": code, "diagnostics": text},
	}})
	if err != nil {
		body = []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}`) // cannot be: only texts
	}
	h := w.Header()
	h.Set("Content-Type", fhirJSON)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// errFormat: another format than JSON was asked for.
var errFormat = errors.New("no such format")

// errCostly: too many resources would have to be looked at.
var errCostly = errors.New("too costly")

// fhirFault turns an error into an OperationOutcome, as [API.fault] does into a
// problem.
func (a *API) fhirFault(w http.ResponseWriter, err error) {
	var bad *QueryError
	switch {
	case errors.As(err, &bad):
		text := bad.Detail
		if bad.Parameter != "" {
			text = bad.Parameter + ": " + text
		}
		if bad.Nearest != "" {
			text += " Did you mean " + bad.Nearest + "?"
		}
		outcome(w, http.StatusBadRequest, "invalid", text)
	case errors.Is(err, errFormat):
		outcome(w, http.StatusNotAcceptable, "not-supported", "This directory answers in JSON only: _format=json.")
	case errors.Is(err, errCostly):
		outcome(w, http.StatusForbidden, "too-costly", "Too many resources would have to be looked at one by one. Narrow the question with organization, location, service-type or _lastUpdated, or load all and look there.")
	case errors.Is(err, search.ErrBadQuery):
		outcome(w, http.StatusBadRequest, "invalid", err.Error())
	case errors.Is(err, search.ErrSnapshotGone):
		outcome(w, http.StatusGone, "expired", "The list to page in is no longer kept. Ask again from the first page.")
	case errors.Is(err, listing.ErrTooLongAgo):
		outcome(w, http.StatusGone, "expired", "What was deleted since then is no longer known. Load everything again: ask without _since.")
	case gone(err):
		outcome(w, http.StatusNotFound, "not-found", "There is no such resource here. It may have been withdrawn, or this node does not show it.")
	case errors.Is(err, errTooLarge):
		outcome(w, http.StatusRequestEntityTooLarge, "too-long", "The question is too long.")
	case errors.Is(err, errType):
		outcome(w, http.StatusUnsupportedMediaType, "not-supported", "Post a form.")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		outcome(w, http.StatusServiceUnavailable, "timeout", "The answer took too long. Try again.")
	default:
		a.opt.Logger.Error("the catalog could not answer FHIR", "err", err)
		outcome(w, http.StatusInternalServerError, "exception", "This node could not answer. Try again; its operator has been told.")
	}
}

// fhirWrite sends a resource or a bundle.
func (a *API) fhirWrite(w http.ResponseWriter, r *http.Request, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		a.fhirFault(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.sendAs(w, r, fhirJSON, body.Bytes())
}

func (a *API) fhirWriter(r *http.Request) *fhir.Writer {
	clock := a.clock()
	return &fhir.Writer{Base: a.base(r), Vocabulary: a.opt.Vocabulary(), Cadence: clock.Cadence, Now: clock.Now, Demo: a.opt.Demo}
}

// fhirFormat refuses every format but JSON.
func fhirFormat(v url.Values) error {
	switch s := strings.ReplaceAll(v.Get("_format"), " ", "+"); s {
	case "", "json", "application/json", "application/fhir+json":
		return nil
	}
	return errFormat
}

func (a *API) fhirRead(w http.ResponseWriter, r *http.Request, t fhirType) {
	id := r.PathValue("id")
	err := fhirFormat(r.URL.Query())
	if err == nil && !fhir.ValidID(id) {
		err = listing.ErrNotFound
	}
	var x fhir.Resource
	if err == nil {
		q := search.Query{Now: a.opt.Now()}
		writer := a.fhirWriter(r)
		if x, err = t.item(a, r.Context(), q, writer, id); gone(err) {
			q.Professional = true
			x, err = t.item(a, r.Context(), q, writer, id)
		}
	}
	if errors.Is(err, listing.ErrNotFound) && a.wasHere(r.Context(), t, id) {
		outcome(w, http.StatusGone, "deleted", "This resource has been deleted.")
		return
	}
	if err != nil {
		a.fhirFault(w, err)
		return
	}
	body, err := json.Marshal(x)
	if err != nil {
		a.fhirFault(w, err)
		return
	}
	tag := fhirTag(x)
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	if t, err := time.Parse(time.RFC3339, x.Meta.LastUpdated); err == nil {
		h.Set("Last-Modified", t.UTC().Format(http.TimeFormat))
	}
	if a.opt.Demo {
		h.Set("X-Waymark-Notice", demoNotice)
	}
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", fhirJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func fhirTag(x fhir.Resource) string { return `W/"` + x.Meta.VersionID + `"` }

func fhirServices(a *API, ctx context.Context, q search.Query) (ids []string, snapshot string, err error) {
	refs, snapshot, err := a.opt.Catalog.Whole(ctx, q)
	for _, ref := range refs {
		ids = append(ids, ref.ID)
	}
	return ids, snapshot, err
}

func fhirKeys(kind string) func(*API, context.Context, search.Query) ([]string, string, error) {
	return func(a *API, ctx context.Context, q search.Query) ([]string, string, error) {
		return a.opt.Catalog.Keys(ctx, q, kind)
	}
}

func fhirService(a *API, ctx context.Context, _ search.Query, w *fhir.Writer, id string) (fhir.Resource, error) {
	p, err := a.shown(ctx, id)
	if err != nil {
		return fhir.Resource{}, err
	}
	return w.Service(p), nil
}

func fhirOrganization(a *API, ctx context.Context, q search.Query, w *fhir.Writer, id string) (fhir.Resource, error) {
	return a.fhirOwned(ctx, q, hsds.KeyOrganization+id, w.Organization)
}

func fhirLocation(a *API, ctx context.Context, q search.Query, w *fhir.Writer, id string) (fhir.Resource, error) {
	return a.fhirOwned(ctx, q, hsds.KeyLocation+id, func(p listing.Published) (fhir.Resource, bool) { return w.Location(p, id) })
}

// fhirOwned is what stands in the first listing that has a key.
func (a *API) fhirOwned(ctx context.Context, q search.Query, key string, of func(listing.Published) (fhir.Resource, bool)) (fhir.Resource, error) {
	p, err := a.owner(ctx, hsdsAsk{q: q}, key)
	if err != nil {
		return fhir.Resource{}, err
	}
	x, ok := of(p)
	if !ok {
		return x, listing.ErrNotFound
	}
	return x, nil
}

// fhirHistory tells what changed since: what is gone, or not for everybody, is
// deleted for those who ask.
func (a *API) fhirHistory(w http.ResponseWriter, r *http.Request, t fhirType) {
	ask, err := parseHistory(r.URL.Query())
	if err != nil {
		a.fhirFault(w, err)
		return
	}
	changes, at, more, err := a.opt.FHIR.Changes(r.Context(), ask.after, ask.since, ask.count)
	if err != nil {
		a.fhirFault(w, err)
		return
	}
	base := a.base(r) + "/fhir/"
	self := base + t.name + "/_history"
	b := bundle{ResourceType: "Bundle", Type: "history", Link: []link{{"self", self + asked(r.URL.Query())}}}
	writer := a.fhirWriter(r)
	told := map[string]bool{}
	for _, c := range changes {
		ids, err := a.fhirTouched(r.Context(), t, c)
		if err != nil {
			a.fhirFault(w, err)
			return
		}
		for _, id := range ids {
			if told[id] || !fhir.ValidID(id) {
				continue
			}
			told[id] = true
			e, err := a.fhirNow(r.Context(), t, writer, base, id)
			if err != nil {
				a.fhirFault(w, err)
				return
			}
			b.Entry = append(b.Entry, e)
		}
	}
	follow := url.Values{"_count": {strconv.Itoa(ask.count)}, "_after": {at.String()}}
	relation := a.base(r) + fhir.ChannelExtension + "#later" // ask there later: nothing is missed, whatever arrives meanwhile
	if more {
		relation = "next"
	}
	if len(at) > 0 {
		b.Link = append(b.Link, link{relation, self + "?" + follow.Encode()})
	}
	a.fhirWrite(w, r, b)
}

// fhirTouched are the ids of the resources of a type that a change of a listing may
// have changed or ended: of an organization or a place, those in any version of it
// that a reader may know.
func (a *API) fhirTouched(ctx context.Context, t fhirType, c listing.Change) (ids []string, err error) {
	if t.within == nil {
		return []string{c.ID}, nil
	}
	if !c.Deleted {
		p, err := a.shown(ctx, c.ID)
		if err != nil && !gone(err) {
			return nil, err
		}
		if err == nil {
			ids = t.within(p.Listing)
		}
	}
	if c.First {
		return ids, nil
	}
	before, err := a.opt.FHIR.Before(ctx, c.ID)
	if err != nil && !gone(err) {
		return nil, err
	}
	for _, l := range before {
		ids = append(ids, t.within(l)...)
	}
	return ids, nil
}

// fhirNow is a resource as an entry of a history: as it is for everybody now, or that
// it is not.
func (a *API) fhirNow(ctx context.Context, t fhirType, w *fhir.Writer, base, id string) (entry, error) {
	address := t.name + "/" + id
	e := entry{FullURL: base + address, Request: &request{"DELETE", address}, Response: &response{Status: "204"}}
	if t.within == nil {
		p, err := a.shown(ctx, id)
		if err != nil || p.Listing.VisibilityValue() != listing.VisiblePublic || p.Listing.KindValue() == listing.KindReporting {
			if gone(err) {
				err = nil
			}
			return e, err
		}
	}
	x, err := t.item(a, ctx, search.Query{Now: a.opt.Now()}, w, id)
	if gone(err) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	e.Resource, e.Request.Method = &x, "PUT"
	e.Response = &response{Status: "200", ETag: fhirTag(x), LastModified: x.Meta.LastUpdated}
	return e, nil
}

// bundle is a Bundle.
type bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Total        *int    `json:"total,omitempty"`
	Link         []link  `json:"link,omitempty"`
	Entry        []entry `json:"entry,omitempty"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type entry struct {
	FullURL  string         `json:"fullUrl,omitempty"`
	Resource *fhir.Resource `json:"resource,omitempty"`
	Search   *mode          `json:"search,omitempty"`
	Request  *request       `json:"request,omitempty"`
	Response *response      `json:"response,omitempty"`
}

type mode struct {
	Mode string `json:"mode"`
}

type request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

type response struct {
	Status       string `json:"status"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}
