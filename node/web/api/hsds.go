package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

func (a *API) base(r *http.Request) string {
	if a.opt.BaseURL != "" {
		return strings.TrimRight(a.opt.BaseURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func (a *API) info(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	base := a.base(r)
	a.write(w, r, hsds.Info(base+"/hsds/profile", base+"/hsds/openapi.json"))
}

// hsdsRoutes adds the lists of HSDS, each also as single items.
func (a *API) hsdsRoutes() {
	a.mux.HandleFunc("/hsds", methods(a.info, http.MethodGet))
	a.mux.HandleFunc("/hsds/{$}", methods(a.info, http.MethodGet))
	a.mux.HandleFunc("/hsds/openapi.json", methods(a.openAPI, http.MethodGet))
	a.mux.HandleFunc("/hsds/profile", methods(a.profile, http.MethodGet))
	a.mux.HandleFunc("/hsds/profile/{file}", methods(a.profileSchema, http.MethodGet))
	a.mux.HandleFunc("/hsds/profile/patch/{file}", methods(a.profilePatch, http.MethodGet))
	for _, l := range hsdsLists {
		a.mux.HandleFunc("/hsds/"+l.name, methods(func(w http.ResponseWriter, r *http.Request) { a.hsdsList(w, r, l) }, http.MethodGet, http.MethodPost))
		a.mux.HandleFunc("/hsds/"+l.name+"/{id}", methods(func(w http.ResponseWriter, r *http.Request) { a.hsdsItem(w, r, l) }, http.MethodGet))
	}
}

// hsdsList is a list of HSDS: how its rows are found, and what each is.
type hsdsList struct {
	name   string
	object string   // of HSDS, that its rows are
	params []string // beside those that every list has
	inner  []string // objects that stand in an item of the list
	// rows returns the ids from a place up to another of all rows that answer, in their
	// order, how many there are in all, and the snapshot they were taken from.
	// It sets up to < 0 for all.
	rows func(a *API, ctx context.Context, ask hsdsAsk, from, to int) (ids []string, total int, snapshot string, err error)
	// item returns one row as it is alone, or [listing.ErrNotFound].
	item func(a *API, ctx context.Context, ask hsdsAsk, id string) (listing.Document, error)
	// brief returns what tells whether a copy of a row is still right; nil where
	// the list does not say it.
	brief func(a *API, ctx context.Context, id string) (listing.Document, error)
}

// filters are the parameters by which services are chosen; those of an
// organization or a place are those of its services.
var filters = []string{
	"organization_id", "taxonomy_id", "taxonomy_term_id", "modified_after", "full",
	"country", "language", "latitude", "longitude", "radius", "open_now", "minimum_age", "maximum_age", "professional",
}

var hsdsLists = []hsdsList{
	{
		name: "services", object: "service", params: append([]string{"minimal"}, filters...), inner: inServiceItem,
		rows: (*API).serviceRows, item: (*API).serviceItem, brief: (*API).serviceBrief,
	},
	{
		name: "organizations", object: "organization", params: append([]string{"full_service"}, filters...),
		rows: keyRows(hsds.KeyOrganization), item: (*API).organizationItem,
	},
	{
		name: "service_at_locations", object: "service_at_location", params: append([]string{"postcode", "proximity"}, filters...), inner: []string{"service", "location"},
		rows: (*API).placeRows, item: (*API).placeItem,
	},
	{
		name: "taxonomies", object: "taxonomy", inner: []string{},
		rows: objectRows((*API).taxonomies), item: objectItem((*API).taxonomies),
	},
	{
		name: "taxonomy_terms", object: "taxonomy_term", params: []string{"taxonomy_id", "parent_id", "top_only"}, inner: []string{"taxonomy_detail"},
		rows: objectRows((*API).terms), item: objectItem((*API).terms),
	},
}

// hsdsQuestion reads the parameters of a request for a list. Those of a POST may
// stand in its address, as the specification has them, or in its body, which
// counts where both say something.
func hsdsQuestion(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &QueryError{Detail: "The parameters of the address cannot be read."}
	}
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return v, nil
	}
	body, err := question(r)
	for name, values := range body {
		v[name] = values
	}
	return v, err
}

// hsdsList answers a list: a page of it, or all as lines.
func (a *API) hsdsList(w http.ResponseWriter, r *http.Request, l hsdsList) {
	v, err := hsdsQuestion(r)
	var ask hsdsAsk
	if err == nil {
		ask, err = parseHSDS(v, l, a.opt.Now())
	}
	if err == nil && ask.postcode != "" {
		err = a.locate(r.Context(), &ask)
	}
	if err != nil {
		a.fault(w, err)
		return
	}
	if ask.lines {
		a.hsdsLines(w, r, l, ask)
		return
	}
	from := (ask.page - 1) * ask.perPage
	ids, total, snapshot, err := l.rows(a, r.Context(), ask, from, from+ask.perPage)
	if err != nil {
		a.fault(w, err)
		return
	}
	contents := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		b, err := a.row(r.Context(), nil, l, ask, id)
		if err == nil {
			contents = append(contents, b)
			continue
		}
		if !gone(err) {
			a.fault(w, err)
			return
		}
	}
	if r.Method != http.MethodPost {
		next(w, "/hsds/"+l.name, v, total, ask.page, ask.perPage, snapshot)
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.write(w, r, hsds.NewPage(contents, total, ask.page, ask.perPage))
}

// gone reports whether a row is no longer there, though the snapshot of its
// list still has it.
func gone(err error) bool {
	_, hidden := errors.AsType[*listing.HiddenError](err)
	return hidden || errors.Is(err, listing.ErrNotFound)
}

// row appends one row as it stands in its list; to b as it was where there is an
// error.
func (a *API) row(ctx context.Context, b []byte, l hsdsList, ask hsdsAsk, id string) ([]byte, error) {
	item := l.item
	brief := ask.minimal && l.brief != nil
	if brief {
		item = func(a *API, ctx context.Context, _ hsdsAsk, id string) (listing.Document, error) {
			return l.brief(a, ctx, id)
		}
	}
	d, err := item(a, ctx, ask, id)
	if err != nil {
		return b, err
	}
	if !brief && !ask.full && !ask.fullService {
		d = hsds.ListItem(l.object, d, l.inner...)
	}
	return d.AppendJSON(b)
}

func (a *API) hsdsItem(w http.ResponseWriter, r *http.Request, l hsdsList) {
	id := r.PathValue("id")
	ask := hsdsAsk{full: true, q: search.Query{Now: a.opt.Now()}, fullService: r.URL.Query().Get("full_service") == "true"}
	d, err := listing.Document(nil), listing.ErrNotFound
	if id != "" && len(id) <= 100 {
		if d, err = l.item(a, r.Context(), ask, id); errors.Is(err, listing.ErrNotFound) {
			ask.q.Professional = true
			d, err = l.item(a, r.Context(), ask, id)
		}
	}
	if err != nil {
		a.fault(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.send(w, r, d.JSON())
}

// plain is a listing as clients of plain HSDS need it; where it is wanted for a
// list only, as it is: nothing of what is added stands there.
func (a *API) plain(p listing.Published, ask hsdsAsk) listing.Document {
	d := p.Document()
	hsds.Identify(d, p.Listing)
	if !ask.full && !ask.fullService {
		dated(d, p)
		return d
	}
	clock := a.clock()
	d = hsds.Plain(d, p.Listing, a.opt.Vocabulary(), func(ch *listing.Channel) bool {
		return p.Listing.ChannelFreshness(ch, clock.Now, clock.Cadence) == listing.Lapsed
	})
	dated(d, p)
	return d
}

// serviceBrief is the id and the time of the last change.
func (a *API) serviceBrief(ctx context.Context, id string) (listing.Document, error) {
	p, err := a.shown(ctx, id)
	if err != nil {
		return nil, err
	}
	d := listing.Document{"id": p.Listing.ID, "last_modified": p.Listing.LastModified}
	dated(d, p)
	return d, nil
}

// dated says when a listing last changed, where it does not say so itself.
func dated(d listing.Document, p listing.Published) {
	if said, _ := d["last_modified"].(string); hsds.IsTime(said) {
		return
	}
	delete(d, "last_modified")
	if !p.Modified.IsZero() {
		d["last_modified"] = p.Modified.UTC().Format("2006-01-02T15:04:05Z")
	}
}

// shown is a listing by its id, or [listing.ErrNotFound].
func (a *API) shown(ctx context.Context, id string) (listing.Published, error) {
	p, err := a.opt.Catalog.Get(ctx, id)
	if err == nil && (p.Listing == nil || p.Listing.VisibilityValue() == listing.VisibleNobody) {
		err = listing.ErrNotFound
	}
	return p, err
}

func (a *API) serviceRows(ctx context.Context, ask hsdsAsk, from, to int) (ids []string, total int, snapshot string, err error) {
	if to < 0 {
		refs, snapshot, err := a.opt.Catalog.Whole(ctx, ask.q)
		for _, ref := range refs {
			ids = append(ids, ref.ID)
		}
		return ids, len(refs), snapshot, err
	}
	q := ask.q
	q.Order, q.Page, q.PerPage = search.ByID, ask.page, ask.perPage
	found, err := a.opt.Catalog.Search(ctx, q)
	for _, hit := range found.Hits {
		ids = append(ids, hit.ID)
	}
	return ids, found.Total, found.Snapshot, err
}

func (a *API) serviceItem(ctx context.Context, ask hsdsAsk, id string) (listing.Document, error) {
	p, err := a.shown(ctx, id)
	if err != nil {
		return nil, err
	}
	if ask.full || ask.fullService {
		return a.plain(p, ask), nil
	}
	d := p.Outline(inServiceItem...) // what a list shows of it
	hsds.Identify(d, p.Listing)
	dated(d, p)
	return d, nil
}

// inServiceItem are the objects that a list of services shows.
var inServiceItem = []string{"organization", "program"}

// keyRows are the rows of what stands in services: each key of a kind that some
// service has which answers.
func keyRows(kind string) func(*API, context.Context, hsdsAsk, int, int) ([]string, int, string, error) {
	return func(a *API, ctx context.Context, ask hsdsAsk, from, to int) ([]string, int, string, error) {
		keys, snapshot, err := a.opt.Catalog.Keys(ctx, ask.q, kind)
		return slice(keys, from, to), len(keys), snapshot, err
	}
}

// maxPlacesLooked is how many places one question may have looked at.
const maxPlacesLooked = 20_000

// placeRows are the places of the services that answer. Where a place was asked
// for, each is looked at: a service that is given in two towns answers for both.
func (a *API) placeRows(ctx context.Context, ask hsdsAsk, from, to int) (ids []string, total int, snapshot string, err error) {
	if ask.postcode == "" && ask.q.Near == nil {
		return keyRows(hsds.KeyLocation)(a, ctx, ask, from, to)
	}
	all, snapshot, err := a.opt.Catalog.Keys(ctx, ask.q, hsds.KeyLocation)
	if err != nil {
		return nil, 0, "", err
	}
	if len(all) > maxPlacesLooked {
		return nil, 0, "", &QueryError{Detail: fmt.Sprintf("More than %d places would have to be looked at. Ask for a smaller radius.", maxPlacesLooked)}
	}
	for _, id := range all {
		p, err := a.owner(ctx, ask, hsds.KeyLocation+id)
		if gone(err) {
			continue
		}
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return nil, 0, "", err
		}
		if ask.there(p.Listing, slices.Index(hsds.Places(p.Listing), id)) {
			ids = append(ids, id)
		}
	}
	return slice(ids, from, to), len(ids), snapshot, nil
}

// there tells whether the i-th place of a listing is where the question asks. One
// whose address is protected is where its region is.
func (ask hsdsAsk) there(l *listing.Listing, i int) bool {
	if i < 0 {
		return false
	}
	at := l.ServiceAtLocations[i].Location
	if ask.q.Near == nil {
		return at != nil && slices.ContainsFunc(at.Addresses, func(x listing.Address) bool { return hsds.Postcode(x.PostalCode) == ask.postcode })
	}
	var lat, lon *float64
	if at != nil {
		lat, lon = at.Latitude, at.Longitude
	}
	if (lat == nil || lon == nil) && l.Region != nil {
		lat, lon = l.Region.Latitude, l.Region.Longitude
	}
	return lat != nil && lon != nil && search.Kilometres(*ask.q.Near, search.Point{Latitude: *lat, Longitude: *lon}) <= ask.q.RadiusKM
}

func slice(list []string, from, to int) []string {
	if to < 0 {
		return list
	}
	return list[min(from, len(list)):min(to, len(list))]
}

// owner is the first listing that has a key, as this node shows it. Where the first
// of a snapshot has gone since, it is the first that is there now: an organization
// does not end with one of its services.
func (a *API) owner(ctx context.Context, ask hsdsAsk, key string) (listing.Published, error) {
	ref, ok, err := a.opt.Catalog.KeyOwner(ctx, search.Query{Professional: ask.q.Professional, Snapshot: ask.q.Snapshot, Now: ask.q.Now}, key)
	if err != nil {
		return listing.Published{}, err
	}
	if !ok {
		return listing.Published{}, listing.ErrNotFound
	}
	p, err := a.shown(ctx, ref.ID)
	if gone(err) && ask.q.Snapshot != "" {
		ask.q.Snapshot = ""
		return a.owner(ctx, ask, key)
	}
	return p, err
}

// maxServices bounds the services of one organization in one answer.
const maxServices = 1000

// organizationItem is an organization with its services where whole ones are asked
// for: each as in a list, or with full_service as it is alone.
func (a *API) organizationItem(ctx context.Context, ask hsdsAsk, id string) (listing.Document, error) {
	p, err := a.owner(ctx, ask, hsds.KeyOrganization+id)
	if err != nil {
		return nil, err
	}
	o, ok := hsds.Organization(a.plain(p, ask), p.Listing)
	if !ok {
		return nil, listing.ErrNotFound
	}
	if !ask.full && !ask.fullService {
		return o, nil
	}
	refs, _, err := a.opt.Catalog.Whole(ctx, search.Query{
		Professional: ask.q.Professional, Now: ask.q.Now, Keys: []search.KeyFilter{{Any: []string{hsds.KeyOrganization + id}}},
	})
	if err != nil {
		return nil, err
	}
	services := make([]any, 0, len(refs))
	for _, ref := range refs[:min(len(refs), maxServices)] {
		d, err := a.serviceItem(ctx, ask, ref.ID)
		if err == nil && !ask.fullService {
			d = hsds.ListItem("service", d)
		}
		if err == nil {
			services = append(services, map[string]any(d))
		} else if !gone(err) {
			return nil, err
		}
	}
	o["services"] = services
	return o, nil
}

func (a *API) placeItem(ctx context.Context, ask hsdsAsk, id string) (listing.Document, error) {
	p, err := a.owner(ctx, ask, hsds.KeyLocation+id)
	if err != nil {
		return nil, err
	}
	d, ok := hsds.Place(a.plain(p, ask), p.Listing, id)
	if !ok {
		return nil, listing.ErrNotFound
	}
	return d, nil
}

// objectRows are the rows of a list that is held as a whole.
func objectRows(all func(*API, context.Context, hsdsAsk) ([]listing.Document, error)) func(*API, context.Context, hsdsAsk, int, int) ([]string, int, string, error) {
	return func(a *API, ctx context.Context, ask hsdsAsk, from, to int) ([]string, int, string, error) {
		list, err := all(a, ctx, ask)
		var ids []string
		for _, d := range list {
			if ask.object(d) {
				id, _ := d["id"].(string)
				ids = append(ids, id)
			}
		}
		return slice(ids, from, to), len(ids), "", err
	}
}

func objectItem(all func(*API, context.Context, hsdsAsk) ([]listing.Document, error)) func(*API, context.Context, hsdsAsk, string) (listing.Document, error) {
	return func(a *API, ctx context.Context, ask hsdsAsk, id string) (listing.Document, error) {
		list, err := all(a, ctx, ask)
		if err != nil {
			return nil, err
		}
		i, ok := slices.BinarySearchFunc(list, id, func(d listing.Document, id string) int {
			own, _ := d["id"].(string)
			return strings.Compare(own, id)
		})
		if !ok {
			return nil, listing.ErrNotFound
		}
		return list[i], nil
	}
}
