// Package public answers the pages that people read. It knows no accounts, no
// cookies and no addresses: a page that cannot know who asks cannot tell.
package public

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/page"
)

//go:embed templates/*.html
var templates embed.FS

// Catalog is what the pages need to know: it answers from this node's own disk.
type Catalog interface {
	// Search answers one question. Its errors are those of package search.
	Search(ctx context.Context, q search.Query) (search.Answer, error)
	// Get returns what this node can show under an id, or listing.ErrNotFound.
	Get(ctx context.Context, id string) (listing.Published, error)
	// Countries returns every member, in any order.
	Countries() []listing.CountryView
	// Sheet returns what a country says about itself; false when there is
	// nothing, or nothing to be shown. It is asked for every page.
	Sheet(country string) (listing.PublishedSheet, bool)
}

// Options of a [Site].
type Options struct {
	Catalog    Catalog              // required
	Locale     *locale.Set          // required
	Operator   func() page.Operator // required
	BaseURL    string               // public address, "https://…", for what is printed; "" = as the request names it
	Demo       bool
	Reports    Reports // takes reports of mistakes; nil = none are taken
	ReportText bool    // readers may add words of their own, unless the operator is an authority
	// Changes returns the last changes of a country's list, deletions among them, the
	// newest first: at most n, with numbers below before (0 = from the newest). nil =
	// there are no feeds of changes.
	Changes         func(ctx context.Context, country string, before uint64, n int) ([]listing.Update, error)
	Accessibility   Accessibility          // what the operator adds to the statement
	SecurityContact string                 // for security.txt, a URI; "" = there is none
	CutOff          func() bool            // no other node is reached, so other sites may not be either; nil = never
	Cadence         func() listing.Cadence // nil = the default
	Now             func() time.Time       // the later of the clock and the newest signed time seen; nil = time.Now
	Logger          *slog.Logger           // faults of the software only, never a word about a reader; nil = none
}

// Site answers the public pages. It is an http.Handler.
type Site struct {
	opt    Options
	pages  *page.Renderer
	mux    *http.ServeMux
	assets map[string]page.Asset

	choices map[string]choices // by language tag

	others atomic.Pointer[others] // as of a moment ago
}

// New checks every template in every language and returns the site.
func New(opt Options) (*Site, error) {
	if opt.Catalog == nil || opt.Locale == nil || opt.Operator == nil {
		return nil, errors.New("public pages need a catalog, the interface texts and the operator")
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.CutOff == nil {
		opt.CutOff = func() bool { return false }
	}
	if opt.Cadence == nil {
		opt.Cadence = func() listing.Cadence { return listing.DefaultCadence }
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	own, err := fs.Sub(templates, "templates")
	if err != nil {
		return nil, fmt.Errorf("public pages: %w", err)
	}
	s := &Site{opt: opt, mux: http.NewServeMux(), assets: map[string]page.Asset{}, choices: map[string]choices{}}
	for _, l := range opt.Locale.Languages() {
		s.choices[l.Tag()] = newChoices(l)
	}
	s.pages, err = page.New(page.Options{
		Locale: opt.Locale, Pages: own, Operator: s.operator, Crisis: s.crisis, Exit: s.leaveTo, Now: opt.Now, Demo: opt.Demo,
		Funcs: func(*locale.Language) template.FuncMap { return template.FuncMap{"dict": dict} },
	})
	if err != nil {
		return nil, fmt.Errorf("public pages: %w", err)
	}
	for _, a := range append(s.pages.Assets(), calendarSheet) {
		s.assets[a.Path] = a
	}
	s.routes()
	return s, nil
}

// routes is the map of the site.
func (s *Site) routes() {
	s.mux.HandleFunc("/{$}", s.only(s.front, http.MethodGet))
	s.mux.HandleFunc(leavePath, s.only(s.leave, http.MethodGet))
	s.mux.HandleFunc("/robots.txt", s.only(s.robots, http.MethodGet))
	s.mux.HandleFunc("/sitemap.xml", s.only(s.sitemap, http.MethodGet))
	s.mux.HandleFunc("/.well-known/security.txt", s.only(s.security, http.MethodGet))
	s.mux.HandleFunc("/favicon.ico", s.only(s.favicon, http.MethodGet))
	s.mux.HandleFunc("/{lang}", s.only(s.slash, http.MethodGet))
	s.mux.HandleFunc("/{lang}/{$}", s.in(s.each(s.start, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/search", s.in(s.search))
	s.mux.HandleFunc("/{lang}/safety", s.in(s.each(s.safety, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/accessibility", s.in(s.each(s.accessibility, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/embed", s.in(s.each(s.embed, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/in/{country}", s.in(s.each(s.country, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/in/{country}/feed.atom", s.in(s.each(s.changes, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/in/{country}/feed/{page}", s.in(s.each(s.olderChanges, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/in/{country}/poster", s.in(s.each(s.countryPoster, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/s/{id}", s.in(s.each(s.detail, http.MethodGet)))
	s.mux.HandleFunc("/{lang}/report/{id}", s.in(s.each(s.report, http.MethodGet, http.MethodPost)))
	s.mux.HandleFunc("/{lang}/s/{id}/poster", s.in(s.each(s.servicePoster, http.MethodGet)))
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, s.tongue(r), http.StatusNotFound) })
}

// ServeHTTP answers one request. A panic becomes a plain page; what is logged
// of it names no path, no query and no reader.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.opt.Logger.Error("a page failed; the reader was told to try again", "fault", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			s.fail(w, s.tongue(r), http.StatusInternalServerError)
		}
	}()
	if a, ok := s.assets[r.URL.Path]; ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		a.ServeHTTP(w, r)
		return
	}
	// No page takes a query: what stands there is a campaign's or a tracker's.
	if r.URL.RawQuery != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		redirect(w, r.URL.EscapedPath())
		return
	}
	s.mux.ServeHTTP(w, r)
}

// redirect sends the reader to a path of this site. It never leaves the site,
// whatever stands in the path.
func redirect(w http.ResponseWriter, path string) {
	path = "/" + strings.TrimLeft(path, "/\\")
	page.Headers(w.Header())
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

type handler func(w http.ResponseWriter, r *http.Request, l *locale.Language)

// in finds the language of the address.
func (s *Site) in(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tag := r.PathValue("lang")
		l, ok := s.opt.Locale.Get(strings.ToLower(tag))
		switch {
		case !ok:
			s.fail(w, s.tongue(r), http.StatusNotFound)
		case l.Tag() != tag && r.Method != http.MethodPost:
			redirect(w, "/"+l.Tag()+strings.TrimPrefix(r.URL.EscapedPath(), "/"+tag))
		default:
			h(w, r, l)
		}
	}
}

func (s *Site) only(h http.HandlerFunc, methods ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.allowed(w, r, s.tongue(r), methods) {
			h(w, r)
		}
	}
}

func (s *Site) each(h handler, methods ...string) handler {
	return func(w http.ResponseWriter, r *http.Request, l *locale.Language) {
		if s.allowed(w, r, l, methods) {
			h(w, r, l)
		}
	}
}

func (s *Site) allowed(w http.ResponseWriter, r *http.Request, l *locale.Language, methods []string) bool {
	for _, m := range methods {
		if r.Method == m || (m == http.MethodGet && r.Method == http.MethodHead) {
			return true
		}
	}
	w.Header().Set("Allow", strings.ReplaceAll(strings.Join(methods, ", "), "GET", "GET, HEAD"))
	s.fail(w, l, http.StatusMethodNotAllowed)
	return false
}

// tongue is the language of a reader whose address names none.
func (s *Site) tongue(r *http.Request) *locale.Language {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if l, ok := s.opt.Locale.Get(first); ok {
		return l
	}
	return s.opt.Locale.Match(r.Header.Get("Accept-Language"))
}

// render writes a page, or the plain page of a fault.
func (s *Site) render(w http.ResponseWriter, status int, name string, p page.Page) {
	if err := s.pages.Render(w, status, name, p); err != nil && w.Header().Get("Content-Length") == "" {
		s.opt.Logger.Error("a page could not be made; the reader was told to try again", "page", name, "err", err)
		if name != "fault" {
			s.fail(w, p.Language, http.StatusInternalServerError)
		}
	}
}

// fail answers with a plain page that says what happened and what to do.
func (s *Site) fail(w http.ResponseWriter, l *locale.Language, status int) {
	key := fmt.Sprintf("error.%d", status)
	if !l.Has(key) {
		key = "error.400"
		if status >= http.StatusInternalServerError {
			key = "error.500"
		}
	}
	s.render(w, status, "fault", page.Page{Language: l, Title: l.Say(key), Body: map[string]string{
		"Title": l.Say(key), "Text": l.Say(key + ".text"), "Home": "/" + l.Tag() + "/",
	}})
}

// fault turns an error of the catalog into a page.
func (s *Site) fault(w http.ResponseWriter, l *locale.Language, err error) {
	switch {
	case errors.Is(err, listing.ErrNotFound):
		s.fail(w, l, http.StatusNotFound)
	case errors.Is(err, search.ErrSnapshotGone):
		s.fail(w, l, http.StatusGone)
	case errors.Is(err, search.ErrUnknownFacet), errors.Is(err, search.ErrBadQuery):
		s.fail(w, l, http.StatusBadRequest)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		s.fail(w, l, http.StatusServiceUnavailable)
	default:
		s.opt.Logger.Error("the catalog could not answer a page", "kind", fmt.Sprintf("%T", err))
		s.fail(w, l, http.StatusInternalServerError)
	}
}

// Always tells whether a path is answered however much is asked for: the way out,
// and the stylesheet and the icon without which the page that says "wait" could not
// be read. They cost less than a refusal.
func (s *Site) Always(path string) bool {
	_, asset := s.assets[path]
	return asset || path == leavePath
}

// Busy answers a reader over whose connection too much is asked for.
func (s *Site) Busy(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	s.fail(w, s.tongue(r), http.StatusTooManyRequests)
}

func (s *Site) front(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept-Language")
	redirect(w, "/"+s.opt.Locale.Match(r.Header.Get("Accept-Language")).Tag()+"/")
}

func (s *Site) slash(w http.ResponseWriter, r *http.Request) {
	l, ok := s.opt.Locale.Get(strings.ToLower(r.PathValue("lang")))
	if !ok {
		s.fail(w, s.tongue(r), http.StatusNotFound)
		return
	}
	redirect(w, "/"+l.Tag()+"/")
}

func (s *Site) favicon(w http.ResponseWriter, _ *http.Request) {
	page.Headers(w.Header())
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.WriteHeader(http.StatusNoContent)
}

// dict makes a map of pairs, to hand several things to a template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict needs pairs")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, errors.New("dict needs names")
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}
