package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// one is a request that is a single text.
type one struct {
	Value string   `json:"value,omitempty"`
	IDs   []string `json:"ids,omitempty"`
	Yes   bool     `json:"yes,omitempty"`
	File  []byte   `json:"file,omitempty"`
}

// file is an answer that is a file's content.
type file struct {
	File []byte `json:"file"`
}

// bundleIn is the request of an import of a bundle.
type bundleIn struct {
	Path    string       `json:"path"`
	Options BundleImport `json:"options"`
}

// progressOut is one line of an answer that takes a while: progress, and at the
// end the report or why there is none.
type progressOut[R any] struct {
	Progress *Progress `json:"progress,omitempty"`
	Report   *R        `json:"report,omitempty"`
	Failed   *Error    `json:"failed,omitempty"`
}

// handle answers one kind of request, JSON in and JSON out.
func handle[In, Out any](mux *http.ServeMux, path string, f func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := readRequest(r, &in); err != nil {
			fail(w, err)
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the reader has gone
	})
}

func care(mux *http.ServeMux, n Care) {
	handle(mux, "/v1/erase", func(ctx context.Context, in one) ([]Summary, error) { return n.Erase(ctx, in.IDs) })
	handle(mux, "/v1/hide", n.Hide)
	handle(mux, "/v1/decisions", func(ctx context.Context, _ one) ([]Decision, error) { return n.Decisions(ctx) })
	handle(mux, "/v1/decision/sign", func(ctx context.Context, in one) (Decision, error) { return n.SignDecision(ctx, in.Value) })
	handle(mux, "/v1/decision/export", func(ctx context.Context, in one) (file, error) {
		b, err := n.ExportDecision(ctx, in.Value)
		return file{b}, err
	})
	handle(mux, "/v1/decision/import", func(ctx context.Context, in one) (Decision, error) { return n.ImportDecision(ctx, in.File) })
	handle(mux, "/v1/overlay", n.Overlay)
	handle(mux, "/v1/overlays", func(ctx context.Context, _ one) ([]Overlay, error) { return n.Overlays(ctx) })
	handle(mux, "/v1/country/sheet", func(ctx context.Context, in one) (CountrySheet, error) { return n.CountrySheet(ctx, in.Value) })
	handle(mux, "/v1/country/sheet/put", n.PutCountrySheet)
	handle(mux, "/v1/key/rotate", func(ctx context.Context, in one) (KeyChange, error) { return n.RotateKey(ctx, in.Value) })
	handle(mux, "/v1/key/revoke", n.RevokeKey)
	handle(mux, "/v1/key/sheet", func(ctx context.Context, _ one) (Sheet, error) { return n.RecoverySheet(ctx) })
	handle(mux, "/v1/key/recover", func(ctx context.Context, in one) (KeyChange, error) { return n.RecoverKeys(ctx, in.Value) })
	handle(mux, "/v1/key/object", func(ctx context.Context, _ one) (KeyChange, error) { return n.ObjectKeys(ctx) })
	handle(mux, "/v1/feed/restart", func(ctx context.Context, in one) (KeyChange, error) { return n.RestartFeed(ctx, in.Yes) })
	handle(mux, "/v1/feed/check", func(ctx context.Context, in one) ([]FeedCheck, error) { return n.CheckFeeds(ctx, in.Value) })
	handle(mux, "/v1/noted", func(ctx context.Context, _ one) (one, error) { return one{}, n.NoteLoss(ctx) })
	handle(mux, "/v1/evidence", func(ctx context.Context, _ one) ([]Evidence, error) { return n.Evidence(ctx) })
	handle(mux, "/v1/evidence/export", func(ctx context.Context, in one) (file, error) {
		b, err := n.ExportEvidence(ctx, in.Value)
		return file{b}, err
	})
	mux.HandleFunc("POST /v1/bundle/export", func(w http.ResponseWriter, r *http.Request) {
		var in BundleOptions
		if err := readRequest(r, &in); err != nil {
			fail(w, err)
			return
		}
		stream(w, "application/zstd", func(w io.Writer) error { return n.ExportBundle(r.Context(), w, in) })
	})
	lengthy(mux, "/v1/bundle/import", func(ctx context.Context, in bundleIn, progress func(Progress)) (BundleReport, error) {
		return n.ImportBundle(ctx, in.Path, in.Options, progress)
	})
	lengthy(mux, "/v1/index/rebuild", func(ctx context.Context, _ one, progress func(Progress)) (IndexReport, error) {
		return n.RebuildIndex(ctx, progress)
	})
}

// lengthy answers one kind of request that takes a while, with lines.
func lengthy[In, R any](mux *http.ServeMux, path string, f func(context.Context, In, func(Progress)) (R, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := readRequest(r, &in); err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/jsonl")
		enc, control := json.NewEncoder(w), http.NewResponseController(w)
		say := func(out progressOut[R]) {
			_ = enc.Encode(out) // the reader has gone; the work goes on
			_ = control.Flush()
		}
		report, err := f(r.Context(), in, func(p Progress) { say(progressOut[R]{Progress: &p}) })
		if err != nil {
			say(progressOut[R]{Failed: asError(err)})
			return
		}
		say(progressOut[R]{Report: &report})
	})
}

// stream tells how it ended in trailers, since the beginning has left by then.
func stream(w http.ResponseWriter, media string, f func(io.Writer) error) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Add("Trailer", trailerFail)
	h.Add("Trailer", trailerDone)
	if err := f(w); err != nil {
		raw, _ := json.Marshal(asError(err))
		h.Set(trailerFail, url.QueryEscape(string(raw)))
		return
	}
	h.Set(trailerDone, "1")
}

// copyStream reads what stream wrote.
func copyStream(w io.Writer, res *http.Response) error {
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("%w: %w", errShort, err)
	}
	if text, err := url.QueryUnescape(res.Trailer.Get(trailerFail)); err == nil && text != "" {
		e := new(Error)
		if json.Unmarshal([]byte(text), e) == nil && e.Message != "" {
			return e
		}
	}
	if res.Trailer.Get(trailerDone) == "" {
		return errShort
	}
	return nil
}

// Erase is as in [Care].
func (c *Client) Erase(ctx context.Context, ids []string) (out []Summary, err error) {
	return out, c.ask(ctx, "/v1/erase", one{IDs: ids}, &out)
}

// Hide is as in [Care].
func (c *Client) Hide(ctx context.Context, in HideRequest) (out Hidden, err error) {
	return out, c.ask(ctx, "/v1/hide", in, &out)
}

// Decisions is as in [Care].
func (c *Client) Decisions(ctx context.Context) (out []Decision, err error) {
	return out, c.ask(ctx, "/v1/decisions", one{}, &out)
}

// SignDecision is as in [Care].
func (c *Client) SignDecision(ctx context.Context, id string) (out Decision, err error) {
	return out, c.ask(ctx, "/v1/decision/sign", one{Value: id}, &out)
}

// ExportDecision is as in [Care].
func (c *Client) ExportDecision(ctx context.Context, id string) ([]byte, error) {
	var out file
	err := c.ask(ctx, "/v1/decision/export", one{Value: id}, &out)
	return out.File, err
}

// ImportDecision is as in [Care].
func (c *Client) ImportDecision(ctx context.Context, content []byte) (out Decision, err error) {
	return out, c.ask(ctx, "/v1/decision/import", one{File: content}, &out)
}

// Overlay is as in [Care].
func (c *Client) Overlay(ctx context.Context, in OverlayRequest) (out Overlay, err error) {
	return out, c.ask(ctx, "/v1/overlay", in, &out)
}

// Overlays is as in [Care].
func (c *Client) Overlays(ctx context.Context) (out []Overlay, err error) {
	return out, c.ask(ctx, "/v1/overlays", one{}, &out)
}

// CountrySheet is as in [Care].
func (c *Client) CountrySheet(ctx context.Context, country string) (out CountrySheet, err error) {
	return out, c.ask(ctx, "/v1/country/sheet", one{Value: country}, &out)
}

// PutCountrySheet is as in [Care].
func (c *Client) PutCountrySheet(ctx context.Context, document json.RawMessage) (out CountrySheet, err error) {
	return out, c.ask(ctx, "/v1/country/sheet/put", document, &out)
}

// RotateKey is as in [Care].
func (c *Client) RotateKey(ctx context.Context, role string) (out KeyChange, err error) {
	return out, c.ask(ctx, "/v1/key/rotate", one{Value: role}, &out)
}

// RevokeKey is as in [Care].
func (c *Client) RevokeKey(ctx context.Context, in RevokeRequest) (out KeyChange, err error) {
	return out, c.ask(ctx, "/v1/key/revoke", in, &out)
}

// RecoverySheet is as in [Care].
func (c *Client) RecoverySheet(ctx context.Context) (out Sheet, err error) {
	return out, c.ask(ctx, "/v1/key/sheet", one{}, &out)
}

// RecoverKeys is as in [Care].
func (c *Client) RecoverKeys(ctx context.Context, secret string) (out KeyChange, err error) {
	return out, c.ask(ctx, "/v1/key/recover", one{Value: secret}, &out)
}

// ObjectKeys is as in [Care].
func (c *Client) ObjectKeys(ctx context.Context) (out KeyChange, err error) {
	return out, c.ask(ctx, "/v1/key/object", one{}, &out)
}

// RestartFeed is as in [Care].
func (c *Client) RestartFeed(ctx context.Context, takeBack bool) (out KeyChange, err error) {
	return out, c.ask(ctx, "/v1/feed/restart", one{Yes: takeBack}, &out)
}

// CheckFeeds is as in [Care].
func (c *Client) CheckFeeds(ctx context.Context, country string) (out []FeedCheck, err error) {
	return out, c.ask(ctx, "/v1/feed/check", one{Value: country}, &out)
}

// Evidence is as in [Care].
func (c *Client) Evidence(ctx context.Context) (out []Evidence, err error) {
	return out, c.ask(ctx, "/v1/evidence", one{}, &out)
}

// ExportEvidence is as in [Care].
func (c *Client) ExportEvidence(ctx context.Context, id string) ([]byte, error) {
	var out file
	err := c.ask(ctx, "/v1/evidence/export", one{Value: id}, &out)
	return out.File, err
}

// NoteLoss is as in [Care].
func (c *Client) NoteLoss(ctx context.Context) error {
	var out one
	return c.ask(ctx, "/v1/noted", one{}, &out)
}

// ImportBundle is as in [Care].
func (c *Client) ImportBundle(ctx context.Context, path string, options BundleImport, progress func(Progress)) (BundleReport, error) {
	return follow[BundleReport](ctx, c, "/v1/bundle/import", bundleIn{path, options}, progress)
}

// RebuildIndex is as in [Care].
func (c *Client) RebuildIndex(ctx context.Context, progress func(Progress)) (IndexReport, error) {
	return follow[IndexReport](ctx, c, "/v1/index/rebuild", one{}, progress)
}

// follow asks for what takes a while and reads the lines of the answer.
func follow[R any](ctx context.Context, c *Client, path string, in any, progress func(Progress)) (none R, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return none, err
	}
	res, err := c.send(ctx, path, bytes.NewReader(body))
	if err != nil {
		return none, err
	}
	defer res.Body.Close()
	lines := json.NewDecoder(io.LimitReader(res.Body, maxAnswer))
	for {
		var line progressOut[R]
		if err := lines.Decode(&line); err != nil {
			return none, fmt.Errorf("%w: %w", errShort, err)
		}
		switch {
		case line.Failed != nil:
			return none, line.Failed
		case line.Report != nil:
			return *line.Report, nil
		case line.Progress != nil && progress != nil:
			progress(*line.Progress)
		}
	}
}

// ExportBundle is as in [Care].
func (c *Client) ExportBundle(ctx context.Context, w io.Writer, options BundleOptions) error {
	body, err := json.Marshal(options)
	if err != nil {
		return err
	}
	if len(body) > maxRequest {
		return errors.New("the earlier bundle's table of contents is larger than 1 MiB")
	}
	res, err := c.send(ctx, "/v1/bundle/export", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return copyStream(w, res)
}
