package check

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// http looks at what is said around the answers, on the list of services.
func (c *run) http(ctx context.Context) {
	host := c.base.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsPrivate()) {
		c.skip("http.https", "it is on this machine or network")
	} else {
		c.holds(c.base.Scheme == "https", "http.https", c.base.String(), "", "is served over plain HTTP")
	}
	if c.lists["services"] == nil {
		return
	}
	const path = "/services"
	q := url.Values{"page": {"1"}, "per_page": {"20"}}
	a := c.ask(ctx, http.MethodGet, path, q, nil)
	c.preflight(ctx, path)
	c.head(ctx, path, q, a)
	c.cached(ctx, path, q, a)
	if len(a.body) > 4<<10 {
		z := c.ask(ctx, http.MethodGet, path, q, http.Header{"Accept-Encoding": {"gzip"}})
		ok := z.err == nil && strings.EqualFold(z.header.Get("Content-Encoding"), "gzip")
		if ok {
			_, err := unzip(z.body)
			ok = err == nil
		}
		c.holds(ok, "http.gzip", z.place, "", "%d bytes are sent as they are to a client that takes gzip", len(a.body))
	}
}

func (c *run) preflight(ctx context.Context, path string) {
	a := c.ask(ctx, http.MethodOptions, path, nil, http.Header{
		"Origin": {origin}, "Access-Control-Request-Method": {"GET"},
	})
	ok := a.err == nil && a.status < 300 && a.header.Get("Access-Control-Allow-Origin") != ""
	c.holds(ok, "http.cors", a.place, "", "a browser that asks first is not let through (%s)", notThereOr(a, "no Access-Control-Allow-Origin"))
}

func (c *run) head(ctx context.Context, path string, q url.Values, get *answer) {
	a := c.ask(ctx, http.MethodHead, path, q, nil)
	ok := a.err == nil && a.status == get.status && len(bytes.TrimSpace(a.body)) == 0
	c.holds(ok, "http.head", a.place, "", "%s, GET with %d", notThereOr(a, "answered"), get.status)
	if said := a.header.Get("Content-Length"); ok && said != "" && a.header.Get("Content-Encoding") == "" {
		c.holds(said == strconv.Itoa(len(get.body)), "http.head", a.place, "", "says that the answer has %s bytes; GET sends %d", short(said, 20), len(get.body))
	}
}

// cached asks again with what the first answer was marked with.
func (c *run) cached(ctx context.Context, path string, q url.Values, get *answer) {
	const rule = "http.cache"
	again := http.Header{}
	if tag := get.header.Get("ETag"); tag != "" {
		again.Set("If-None-Match", tag)
	} else if t := get.header.Get("Last-Modified"); t != "" {
		again.Set("If-Modified-Since", t)
	} else {
		c.broken(rule, get.place, "", "has neither ETag nor Last-Modified")
		return
	}
	if tag := get.header.Get("ETag"); tag != "" {
		a := c.ask(ctx, http.MethodGet, path, q, http.Header{"If-None-Match": {`"no-tag-of-this-server"`}})
		c.holds(a.err == nil && a.status != http.StatusNotModified, rule, a.place, "", "is answered with 304 to a reader who has something else")
	}
	a := c.ask(ctx, http.MethodGet, path, q, again)
	c.holds(a.err == nil && a.status == http.StatusNotModified, rule, a.place, "", "asked for again unchanged it is not answered with 304 (%s)", notThereOr(a, "200"))
}

// notThereOr says why an answer is none, or what is wrong with it all the same.
func notThereOr(a *answer, else_ string) string {
	if a.err == nil && a.status == http.StatusOK {
		return else_
	}
	return notThere(a)
}
