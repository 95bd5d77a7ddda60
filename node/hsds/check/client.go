package check

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// answer is what the API said to one request.
type answer struct {
	place  string // the request as a person would write it: "GET /services?page=2"
	status int
	header http.Header
	body   []byte
	value  any   // the body, where it is JSON
	err    error // no whole answer came
	syntax error // the body is no JSON
}

// object returns the body as an object, or nil.
func (a *answer) object() map[string]any {
	m, _ := a.value.(map[string]any)
	return m
}

// ok reports whether the request was answered with 200 and JSON.
func (a *answer) ok() bool { return a.err == nil && a.status == http.StatusOK && a.syntax == nil }

// wrong says why an answer is not ok.
func (a *answer) wrong() string {
	switch {
	case a.err != nil:
		return fmt.Sprintf("no whole answer came: %v", a.err)
	case a.status != http.StatusOK:
		return fmt.Sprintf("answered with %d %s", a.status, http.StatusText(a.status))
	}
	return fmt.Sprintf("the answer is no JSON: %v", a.syntax)
}

var errTooLarge = errors.New("the answer is larger than 64 MiB")

func (c *run) get(ctx context.Context, path string, q url.Values) *answer {
	return c.ask(ctx, http.MethodGet, path, q, nil)
}

// list asks for a page of a list or for what else stands at its address.
func (c *run) ask(ctx context.Context, method, path string, q url.Values, header http.Header) *answer {
	u := *c.base
	u.Path += path
	if len(q) > 0 {
		u.RawQuery = q.Encode()
	}
	place := method + " " + strings.TrimPrefix(u.RequestURI(), c.base.Path)
	return c.fetch(ctx, method, u.String(), place, header, nil)
}

// post asks with a question in the address and one in a form; nil = none.
func (c *run) post(ctx context.Context, path string, q, form url.Values) *answer {
	u := *c.base
	u.Path += path
	u.RawQuery = q.Encode()
	place := http.MethodPost + " " + strings.TrimPrefix(u.RequestURI(), c.base.Path)
	if form == nil {
		return c.fetch(ctx, http.MethodPost, u.String(), place, nil, nil)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return c.fetch(ctx, http.MethodPost, u.String(), place+" with "+form.Encode(), header, strings.NewReader(form.Encode()))
}

func (c *run) fetch(ctx context.Context, method, address, place string, header http.Header, body io.Reader) *answer {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	a := &answer{place: place}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		a.err = err
		return a
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.opt.Agent)
	r.Header.Set("Origin", origin)
	for name, v := range header {
		r.Header[name] = v
	}
	c.report.Requests++
	resp, err := c.opt.Client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	if a.body, a.err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1)); a.err == nil && len(a.body) > maxBody {
		a.err = errTooLarge
	}
	c.report.Bytes += int64(len(a.body))
	if a.err == nil && method != http.MethodHead && resp.Header.Get("Content-Encoding") == "" {
		a.value, a.syntax = decode(a.body)
	}
	return a
}

// decode reads one JSON value with its numbers as they are written.
func decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

// origin is the site on whose pages a reader would be.
const origin = "https://example.org"

// typed looks at the type under which JSON was sent, and who may read it.
func (c *run) typed(a *answer) {
	if !a.ok() {
		return
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	c.holds(kind == "application/json" || strings.HasSuffix(kind, "+json"), "http.type", a.place, "",
		"the answer is JSON and says that it is %q", a.header.Get("Content-Type"))
	allowed := a.header.Get("Access-Control-Allow-Origin")
	c.holds(allowed == "*" || allowed == origin, "http.cors", a.place, "", "Access-Control-Allow-Origin is %s", orNone(allowed))
}

// unzip reports how large a gzip body is unpacked.
func unzip(body []byte) (int64, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, io.LimitReader(z, maxBody))
}
