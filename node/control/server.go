package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Options are what a server needs. All are required except Logger.
type Options struct {
	Dir    string // the node's directory; the caller holds its lock
	Node   Node
	Logger *slog.Logger // nil discards
}

// Server answers at the control socket of one node.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// New opens the socket; commands wait at it until Run answers them. Another
// process that answers there is [ErrRunning]. A server that is not Run must be
// closed.
func New(o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := listen(o.Dir)
	if err != nil {
		return nil, err
	}
	return &Server{l, &http.Server{
		Handler:           Handler(o.Node),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}}, nil
}

// Run answers until ctx ends, gives commands that are under way two seconds, and
// removes the socket.
func (s *Server) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.http.BaseContext = func(net.Listener) context.Context { return base }
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	if err := s.http.Shutdown(patience); err != nil {
		cancel() // a command that waits, such as join --wait, hears that the node stops
		_ = s.http.Close()
	}
	<-served
	return nil
}

// Close removes the socket of a server that is not Run.
func (s *Server) Close() error { return s.listener.Close() }

// Handler is the protocol without the socket.
func Handler(n Node) http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, f func(*http.Request, request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var in request
			if err := readRequest(r, &in); err != nil {
				fail(w, err)
				return
			}
			out, err := f(r, in)
			if err != nil {
				fail(w, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(out) // the reader has gone
		})
	}
	answer("POST /v1/status", func(r *http.Request, _ request) (any, error) { return n.Status(r.Context()) })
	answer("POST /v1/search", func(r *http.Request, in request) (any, error) { return n.Search(r.Context(), in.Form) })
	answer("POST /v1/listings", func(r *http.Request, in request) (any, error) { return n.Listings(r.Context(), in.Filter) })
	answer("POST /v1/listing", func(r *http.Request, in request) (any, error) { return n.Listing(r.Context(), in.ID) })
	answer("POST /v1/check", func(r *http.Request, in request) (any, error) { return n.Check(r.Context(), in.IDs) })
	answer("POST /v1/publish", func(r *http.Request, in request) (any, error) { return n.Publish(r.Context(), in.IDs) })
	answer("POST /v1/unpublish", func(r *http.Request, in request) (any, error) { return n.Unpublish(r.Context(), in.IDs) })
	answer("POST /v1/confirm", func(r *http.Request, in request) (any, error) { return n.Confirm(r.Context(), in.IDs) })
	answer("POST /v1/delete", func(r *http.Request, in request) (any, error) { return n.Delete(r.Context(), in.IDs) })
	answer("POST /v1/invite", func(r *http.Request, in request) (any, error) {
		return n.Invite(r.Context(), in.Country, in.Expiry)
	})
	answer("POST /v1/join", func(r *http.Request, in request) (any, error) {
		return n.Join(r.Context(), in.Invitation, in.Wait)
	})
	answer("POST /v1/pending", func(r *http.Request, _ request) (any, error) { return n.Pending(r.Context()) })
	answer("POST /v1/approve", func(r *http.Request, in request) (any, error) {
		return n.Approve(r.Context(), in.Country, in.Numbers)
	})
	care(mux, n)
	desk(mux, n)
	rules(mux, n)
	enrolment(mux, n)
	membership(mux, n)
	rescue(mux, n)
	mux.HandleFunc("POST /v1/import", func(w http.ResponseWriter, r *http.Request) { importRows(n, w, r) })
	mux.HandleFunc("POST /v1/export", func(w http.ResponseWriter, r *http.Request) { export(n, w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &Error{Class: Failed, Code: "unknown_request",
			Message: "The running node does not know this command; it is of another version than the command line.",
			Next:    "Stop the node and start it again with this version."})
	})
	return mux
}

// request is the body of the requests of the daily work.
type request struct {
	Form       map[string][]string `json:"form,omitempty"`
	Filter     Filter              `json:"filter,omitzero"`
	ID         string              `json:"id,omitempty"`
	IDs        []string            `json:"ids,omitempty"`
	Country    string              `json:"country,omitempty"`
	Numbers    string              `json:"numbers,omitempty"`
	Expiry     time.Duration       `json:"expiry,omitempty"`
	Invitation string              `json:"invitation,omitempty"`
	Wait       bool                `json:"wait,omitempty"`
	Published  bool                `json:"published,omitempty"`
}

func readRequest(r *http.Request, in any) error {
	if err := readAnswer(r.Body, maxRequest, in); err != nil {
		return &Error{Class: Usage, Code: "bad_request", Message: fmt.Sprintf("The request is not usable: %v.", err)}
	}
	return nil
}

func importRows(n Node, w http.ResponseWriter, r *http.Request) {
	report, err := n.Import(r.Context(), readRows(r.Body), optionsOf(r.URL.Query()))
	if err == nil && report.Refused == nil {
		report.Refused = []Refusal{}
	}
	// Read to the end: a client that is still writing would not see the answer.
	_, _ = io.Copy(io.Discard, r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(report)
}

func export(n Node, w http.ResponseWriter, r *http.Request) {
	var in request
	if err := readRequest(r, &in); err != nil {
		fail(w, err)
		return
	}
	stream(w, "application/jsonl", func(w io.Writer) error { return n.Export(r.Context(), w, ExportOptions{in.IDs, in.Published}) })
}

func fail(w http.ResponseWriter, err error) {
	e := asError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Class.httpStatus())
	_ = json.NewEncoder(w).Encode(e)
}

func optionsOf(q url.Values) ImportOptions {
	yes := func(name string) bool { b, err := strconv.ParseBool(q.Get(name)); return err == nil && b }
	return ImportOptions{yes("publish"), yes("skip_bad"), yes("dry_run"), yes("replace"), yes("remove_missing")}
}

func (o ImportOptions) query() url.Values {
	q := url.Values{}
	for name, on := range map[string]bool{"publish": o.Publish, "skip_bad": o.SkipBad, "dry_run": o.DryRun, "replace": o.Replace, "remove_missing": o.RemoveMissing} {
		if on {
			q.Set(name, "true")
		}
	}
	return q
}

var errShort = errors.New("the node stopped in the middle of its answer")
