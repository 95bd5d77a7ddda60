package api

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/2ps-project/waymark/node/hsds"
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
	a.write(w, r, hsds.Info(base+"/hsds/openapi.json#/info", base+"/hsds/openapi.json"))
}

//go:embed openapi.json
var openAPI []byte

func (a *API) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	a.send(w, r, openAPI)
}

func (a *API) services(w http.ResponseWriter, r *http.Request) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	q := search.Query{Page: 1, PerPage: DefaultPer, Order: search.ByID, Now: a.opt.Now()}
	full := false
	if err == nil {
		full, err = serviceList(v, &q)
	}
	if err != nil {
		a.fault(w, err)
		return
	}
	found, err := a.opt.Catalog.Search(r.Context(), q)
	if err != nil {
		a.fault(w, err)
		return
	}
	contents := make([]json.RawMessage, 0, len(found.Hits))
	for _, hit := range found.Hits {
		p, err := a.opt.Catalog.Get(r.Context(), hit.ID)
		if err != nil {
			continue
		}
		if full {
			contents = append(contents, hsds.Service(p.Document))
		} else {
			contents = append(contents, hsds.ServiceListItem(p.Document))
		}
	}
	next(w, "/hsds/services", v, found.Total, found.Page, found.PerPage, found.Snapshot)
	w.Header().Set("Cache-Control", "no-cache")
	a.write(w, r, hsds.NewPage(contents, found.Total, found.Page, found.PerPage))
}

// serviceList reads the parameters of /hsds/services. Those of the
// specification that this node cannot answer are refused, since leaving them
// out would answer another question.
func serviceList(v url.Values, q *search.Query) (full bool, err error) {
	for _, name := range sorted(v) {
		s := v.Get(name)
		if len(s) > maxValue {
			return false, wrong(name, "must be at most %d bytes", maxValue)
		}
		switch name {
		case "page":
			q.Page, err = whole(name, s, 1, maxPage)
		case "per_page":
			q.PerPage, err = whole(name, s, 1, MaxPer)
		case "search":
			q.Text = s
		case "snapshot":
			q.Snapshot = s
		case "full", "professional":
			if s != "true" && s != "false" && s != "" {
				return false, wrong(name, "is true or false")
			}
			if name == "full" {
				full = s == "true"
			} else {
				q.Professional = s == "true"
			}
		case "format":
			if s != "json" && s != "" {
				return false, wrong(name, "can be json only")
			}
		default:
			return false, &QueryError{Parameter: strings.ToValidUTF8(name[:min(len(name), 64)], ""),
				Detail: "This list can be asked with page, per_page, search, full, format=json, professional and snapshot only."}
		}
		if err != nil {
			return false, err
		}
	}
	return full, nil
}

func (a *API) service(w http.ResponseWriter, r *http.Request) {
	p, err := a.get(r)
	if err != nil {
		a.fault(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.send(w, r, hsds.Service(p.Document))
}
