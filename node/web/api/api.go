// Package api answers machines: the search API under /api, the HSDS 3.2.3 API
// under /hsds and, where it is wanted, FHIR R4 under /fhir. All are read only and
// open to every origin.
package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
)

// Options of an [API].
type Options struct {
	Catalog Catalog                // required
	BaseURL string                 // "https://directory.example.org"; "" = as each request names it
	Demo    bool                   // every answer says that its data is invented
	Cadence func() listing.Cadence // nil = the default
	Now     func() time.Time       // the later of the clock and the newest signed time seen; nil = time.Now
	// Vocabulary is what the federation calls its codes; nil = the codes alone.
	Vocabulary func() hsds.Vocabulary
	FHIR       Changes      // serves /fhir with it; nil = there is no /fhir
	Logger     *slog.Logger // faults of the software only, never a word about an asker; nil = none
}

// API is an http.Handler for everything under /api/, /hsds and /fhir.
type API struct {
	opt   Options
	mux   *http.ServeMux
	known atomic.Pointer[terminology]
}

const demoNotice = "Demonstration: every service, number and address here is invented."

// New returns the API.
func New(opt Options) (*API, error) {
	if opt.Catalog == nil {
		return nil, errors.New("the API needs a catalog")
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Cadence == nil {
		opt.Cadence = func() listing.Cadence { return listing.DefaultCadence }
	}
	if opt.Vocabulary == nil {
		codes := hsds.NewVocabulary(nil)
		opt.Vocabulary = func() hsds.Vocabulary { return codes }
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{opt: opt, mux: http.NewServeMux()}
	a.mux.HandleFunc("/api/search", methods(a.search, http.MethodGet, http.MethodPost))
	a.mux.HandleFunc("/api/listings/{id}", methods(a.listing, http.MethodGet))
	a.mux.HandleFunc("/api/countries", methods(a.countries, http.MethodGet))
	a.hsdsRoutes()
	if opt.FHIR != nil {
		a.fhirRoutes()
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		Problem{Status: http.StatusNotFound, Title: "Not found", Detail: "There is nothing at this address. Begin at /hsds or /api/search."}.Write(w)
	})
	return a, nil
}

// Owns tells whether a path belongs to this API.
func Owns(path string) bool {
	return path == "/hsds" || strings.HasPrefix(path, "/hsds/") || path == "/fhir" || strings.HasPrefix(path, "/fhir/") || strings.HasPrefix(path, "/api/")
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			a.opt.Logger.Error("an answer of the API failed", "fault", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			internal().Write(w)
		}
	}()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "ETag, Link")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a.mux.ServeHTTP(w, r)
}

func methods(h http.HandlerFunc, allowed ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, m := range allowed {
			if r.Method == m || (m == http.MethodGet && r.Method == http.MethodHead) {
				h(w, r)
				return
			}
		}
		w.Header().Set("Allow", strings.ReplaceAll(strings.Join(allowed, ", "), "GET", "GET, HEAD"))
		Problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Detail: "This address answers " + strings.Join(allowed, " and ") + " only."}.Write(w)
	}
}

func (a *API) clock() Clock { return Clock{Now: a.opt.Now(), Cadence: a.opt.Cadence()} }

func (a *API) search(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	v, err := question(r)
	var q Question
	if err == nil {
		q, err = ParseQuery(v)
	}
	if err != nil {
		a.fault(w, err)
		return
	}
	answer, err := Search(r.Context(), a.opt.Catalog, q, a.clock())
	if err != nil {
		a.fault(w, err)
		return
	}
	if a.opt.Demo {
		answer.Notice = demoNotice
	}
	// A posted question stays out of addresses: its next page is posted too.
	if r.Method != http.MethodPost {
		results := answer.Total
		if q.Together {
			results = answer.Places
		}
		next(w, "/api/search", v, results, answer.Page, answer.PerPage, answer.Snapshot)
	}
	a.write(w, r, answer)
}

var (
	errTooLarge = errors.New("body too large")
	errType     = errors.New("unsupported type")
)

// question reads the parameters of a request: of the address for GET, of the body
// for POST.
func question(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		v, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, &QueryError{Detail: "The parameters of the address cannot be read."}
		}
		return v, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return nil, &QueryError{Detail: "The body could not be read to its end."}
	}
	if len(body) > MaxBody {
		return nil, errTooLarge
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		return ParseJSON(body)
	case "application/x-www-form-urlencoded", "":
		v, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, &QueryError{Detail: "The body is no form of parameters."}
		}
		return v, nil
	}
	return nil, errType
}

// next names the following page of the same list.
func next(w http.ResponseWriter, path string, v url.Values, total, page, perPage int, snapshot string) {
	if perPage <= 0 || page*perPage >= total {
		return
	}
	u := url.Values{}
	for name, values := range v {
		u[name] = values
	}
	u.Set("page", strconv.Itoa(page+1))
	if snapshot != "" {
		u.Set("snapshot", snapshot)
	}
	w.Header().Add("Link", "<"+path+"?"+u.Encode()+`>; rel="next"`)
}

// Listing is the answer of /api/listings/{id}.
type Listing struct {
	Result
	Listing json.RawMessage `json:"listing"` // the whole public document
	Notice  string          `json:"notice,omitempty"`
}

func (a *API) listing(w http.ResponseWriter, r *http.Request) {
	p, err := a.get(r)
	if err != nil {
		a.fault(w, err)
		return
	}
	answer := Listing{Result: NewResult(p, "", a.clock()), Listing: p.Document().JSON()}
	if a.opt.Demo {
		answer.Notice = demoNotice
	}
	w.Header().Set("Cache-Control", "no-cache")
	a.write(w, r, answer)
}

func (a *API) get(r *http.Request) (listing.Published, error) {
	id := r.PathValue("id")
	if id == "" || len(id) > 200 {
		return listing.Published{}, listing.ErrNotFound
	}
	return a.shown(r.Context(), id)
}

func (a *API) write(w http.ResponseWriter, r *http.Request, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(true)
	if err := enc.Encode(v); err != nil {
		a.opt.Logger.Error("an answer of the API could not be written", "err", err)
		internal().Write(w)
		return
	}
	a.send(w, r, body.Bytes())
}

// send writes a body with its weak ETag, or that it has not changed.
func (a *API) send(w http.ResponseWriter, r *http.Request, body []byte) {
	a.sendAs(w, r, "application/json; charset=utf-8", body)
}

func (a *API) sendAs(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	h := w.Header()
	if a.opt.Demo {
		h.Set("X-Waymark-Notice", demoNotice)
	}
	if h.Get("Cache-Control") != "no-store" {
		sum := sha256.Sum256(body)
		tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", tag)
		if matches(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Type", kind)
	if r.Method == http.MethodHead && r.Header.Get("Accept-Encoding") != "" {
		return // GET may be compressed: its length is not known here
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// Problem is an error answer after RFC 9457.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Parameter string `json:"parameter,omitempty"` // which one is wrong
	Nearest   string `json:"nearest,omitempty"`   // what was probably meant
	Errors    []part `json:"errors,omitempty"`    // all that is wrong, where it is more than one thing

	Country string  `json:"country,omitempty"` // of a listing that is hidden: who publishes it
	Hidden  *Hiding `json:"hidden,omitempty"`  // and why it is not shown
}

// part is one of the things that are wrong with a question.
type part struct {
	Parameter string `json:"parameter,omitempty"`
	Nearest   string `json:"nearest,omitempty"`
	Detail    string `json:"detail"`
}

// badQuestion names everything that is wrong with a question.
func badQuestion(bad *QueryError) Problem {
	p := Problem{Status: http.StatusBadRequest, Title: "Bad question", Detail: bad.Detail, Parameter: bad.Parameter, Nearest: bad.Nearest}
	if len(bad.More) > 0 {
		for _, e := range append([]*QueryError{bad}, bad.More...) {
			p.Errors = append(p.Errors, part{e.Parameter, e.Nearest, e.Detail})
		}
	}
	return p
}

// Write sends the problem.
func (p Problem) Write(w http.ResponseWriter) {
	if p.Type == "" {
		p.Type = "about:blank"
	}
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"about:blank"}`) // cannot be: only texts and a number
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// Busy answers a client over whose connection too much is asked for.
func Busy(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	Problem{Status: http.StatusTooManyRequests, Title: "Too many requests", Detail: "Wait, then ask less often. All of a country's data can be copied at once from /hsds/services, page by page."}.Write(w)
}

func internal() Problem {
	return Problem{Status: http.StatusInternalServerError, Title: "Internal error", Detail: "This node could not answer. Try again; its operator has been told."}
}

// fault turns an error into a problem. What it says is safe to show; the cause
// of anything else goes to the operator only.
func (a *API) fault(w http.ResponseWriter, err error) {
	var bad *QueryError
	var facet *search.UnknownFacetError
	var hidden *listing.HiddenError
	p := internal()
	switch {
	case errors.As(err, &bad):
		p = badQuestion(bad)
	case errors.As(err, &facet):
		p = Problem{Status: http.StatusBadRequest, Title: "Unknown facet", Detail: facet.Error(), Parameter: facet.Name, Nearest: string(facet.Nearest)}
	case errors.Is(err, search.ErrBadQuery):
		p = Problem{Status: http.StatusBadRequest, Title: "Bad question", Detail: err.Error()}
	case errors.Is(err, search.ErrSnapshotGone):
		p = Problem{Status: http.StatusGone, Title: "List no longer kept", Detail: "The list to page in is no longer kept. Ask again without snapshot, from page 1."}
	case errors.As(err, &hidden):
		p = Problem{Status: http.StatusNotFound, Title: "Not shown here", Country: hidden.Country, Hidden: hiding(hidden.Hiding),
			Detail: "This node holds the listing and does not show it. Who decided that, since when and why stands beside this."}
	case errors.Is(err, listing.ErrNotFound):
		p = Problem{Status: http.StatusNotFound, Title: "Not found", Detail: "There is nothing with this id here. It may have been withdrawn."}
	case errors.Is(err, errTooLarge):
		p = Problem{Status: http.StatusRequestEntityTooLarge, Title: "Too large", Detail: fmt.Sprintf("A question may have at most %d bytes.", MaxBody)}
	case errors.Is(err, errType):
		p = Problem{Status: http.StatusUnsupportedMediaType, Title: "Unsupported type", Detail: "Post a form or a JSON object."}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p = Problem{Status: http.StatusServiceUnavailable, Title: "Too slow", Detail: "The answer took too long. Try again."}
	default:
		a.opt.Logger.Error("the catalog could not answer the API", "kind", fmt.Sprintf("%T", err))
	}
	p.Write(w)
}
