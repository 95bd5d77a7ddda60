// Package web is the HTTP server of a node: public pages, the open APIs and the
// operations listener. It writes no access log and knows no reader.
package web

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"golang.org/x/sync/errgroup"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/api"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/public"
)

// Catalog is what the faces need to know: it answers from this node's own disk.
type Catalog interface {
	public.Catalog
	api.Catalog
}

// Options of a [Server].
type Options struct {
	Public net.Listener // pages and APIs; required; closed when Run returns
	Ops    net.Listener // livez, readyz, metrics; nil = none; closed when Run returns

	Catalog  Catalog                // required
	Locale   *locale.Set            // required
	Operator func() page.Operator   // required; who runs this node, asked for every page
	BaseURL  string                 // public address, "https://…"; "" = as each request names it
	Demo     bool                   // says on every page and answer that the data is invented
	CutOff   func() bool            // this node reaches no other; nil = never
	Cadence  func() listing.Cadence // nil = the default
	// Vocabulary is what the federation calls its codes; nil = the codes alone.
	Vocabulary func() hsds.Vocabulary
	Now        func() time.Time // the later of the clock and the newest signed time seen; nil = time.Now
	FHIR       api.Changes      // serves /fhir with it; nil = there is no /fhir

	Ready      func() (ok bool, reason string) // nil = always ready; a node that is cut off is ready
	Reports    public.Reports                  // nil = reports of mistakes are not taken
	ReportText bool                            // see public.Options
	// Changes, Accessibility and SecurityContact are as in public.Options.
	Changes         func(ctx context.Context, country string, before uint64, n int) ([]listing.Update, error)
	Accessibility   public.Accessibility
	SecurityContact string
	Metrics         http.Handler // nil = no metrics; nothing of it may tell of a reader
	Logger          *slog.Logger // faults only; nil = none
}

// Timeouts and bounds of the listeners. Pages are small and made in
// milliseconds: whoever needs longer than this is not reading.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	answerTimeout     = 10 * time.Second // for the catalog
	stopTimeout       = 5 * time.Second  // for answers under way when the node stops
	maxHeader         = 16 << 10
	minGzip           = 1400 // bytes; below it an answer is one packet anyway
)

// Server serves the faces of a node.
type Server struct {
	opt    Options
	public http.Handler
	ops    http.Handler
}

// New builds the faces. It refuses a broken template or language file.
func New(opt Options) (*Server, error) {
	if opt.Public == nil {
		return nil, errors.New("web server: no public listener")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Ready == nil {
		opt.Ready = func() (bool, string) { return true, "" }
	}
	pages, err := public.New(public.Options{
		Catalog: opt.Catalog, Locale: opt.Locale, Operator: opt.Operator,
		BaseURL: opt.BaseURL, CutOff: opt.CutOff, Reports: opt.Reports, ReportText: opt.ReportText,
		Changes: opt.Changes, Accessibility: opt.Accessibility, SecurityContact: opt.SecurityContact,
		Demo: opt.Demo, Cadence: opt.Cadence, Now: opt.Now, Logger: opt.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("web server: %w", err)
	}
	answers, err := api.New(api.Options{
		Catalog: opt.Catalog, BaseURL: opt.BaseURL, Demo: opt.Demo, Cadence: opt.Cadence, Vocabulary: opt.Vocabulary, Now: opt.Now, FHIR: opt.FHIR, Logger: opt.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("web server: %w", err)
	}
	s := &Server{opt: opt}
	if s.public, err = front(pages, answers); err != nil {
		return nil, fmt.Errorf("web server: %w", err)
	}
	s.ops = s.operations()
	return s, nil
}

// front puts pages and APIs on one listener, compressed where the reader takes
// it. Compression is safe here: no page holds a secret beside what was asked.
func front(pages *public.Site, answers http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(minGzip))
	if err != nil {
		return nil, err
	}
	// A machine that asks much waits for the processor, a reader for the line.
	fast, err := gzhttp.NewWrapper(gzhttp.MinSize(minGzip), gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, err
	}
	site, machines := wrap(pages), fast(answers)
	limit := newLimiter(time.Now)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			// Three months, this host only: a node that is cut off must not
			// lock its own readers out for longer.
			w.Header().Set("Strict-Transport-Security", "max-age=7776000")
		}
		if !pages.Always(r.URL.Path) && !limit.allow(r.RemoteAddr) {
			if api.Owns(r.URL.Path) {
				api.Busy(w, limitWait)
				return
			}
			pages.Busy(w, r, limitWait)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		if api.Owns(r.URL.Path) {
			machines.ServeHTTP(w, r)
			return
		}
		site.ServeHTTP(w, r)
	}), nil
}

// Public returns the handler of the public listener.
func (s *Server) Public() http.Handler { return s.public }

// Ops returns the handler of the operations listener.
func (s *Server) Ops() http.Handler { return s.ops }

func (s *Server) operations() http.Handler {
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text+"\n")
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ok, reason := s.opt.Ready()
		switch {
		case !ok:
			say(w, http.StatusServiceUnavailable, strings.TrimSuffix("not ready: "+reason, ": "))
		case reason != "":
			say(w, http.StatusOK, "ready: "+reason)
		default:
			say(w, http.StatusOK, "ready")
		}
	})
	if s.opt.Metrics != nil {
		mux.Handle("GET /metrics", s.opt.Metrics)
	}
	return mux
}

// Run serves until ctx ends, then lets answers under way finish for some
// seconds. It returns nil when ctx ended it, else what broke a listener.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	serve := func(name string, l net.Listener, h http.Handler) {
		if l == nil {
			return
		}
		srv := &http.Server{
			Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			// net/http writes addresses of readers into its log: it gets none.
			ErrorLog: log.New(io.Discard, "", 0),
		}
		group.Go(func() error {
			if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("%s listener: %w", name, err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			if err := srv.Shutdown(stop); err != nil {
				_ = srv.Close() // somebody is still reading; the node must stop
			}
			return nil
		})
	}
	serve("public", s.opt.Public, s.public)
	serve("operations", s.opt.Ops, s.ops)
	return group.Wait()
}
