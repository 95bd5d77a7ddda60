package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Limits and timings of HTTP between nodes. A peer that has gone silent is
// noticed after pingAfter plus pingWait, with or without a request under way.
// There is no limit on how long a response may take: watches are endless.
const (
	pingAfter       = 8 * time.Second
	pingWait        = 5 * time.Second
	writeWait       = 15 * time.Second
	headerWait      = 10 * time.Second
	responseWait    = time.Minute
	keepIdle        = 12 * time.Minute // longer than the pause between two comparisons of heads
	maxHeader       = 16 << 10
	maxStreams      = 64
	MaxRequestBody  = 4 << 20 // what a handler can read of a request, in bytes
	maxResponseHead = 16 << 10
)

// ServeHTTP sets the handler for requests of peers. Before it is called they
// are answered with 503. The handler learns the peer from [PeerOf] and reads at
// most [MaxRequestBody] bytes of a body.
func (t *Transport) ServeHTTP(h http.Handler) { t.handler.Store(&h) }

// PeerOf is the node that made a request.
func PeerOf(ctx context.Context) (identity.NodeID, bool) {
	id, ok := ctx.Value(peerKey{}).(identity.NodeID)
	return id, ok
}

type peerKey struct{}

// newServer speaks HTTP/2 on connections that are already inside TLS, hence
// "unencrypted" in the words of net/http, and no other protocol.
func (t *Transport) newServer() *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := t.handler.Load()
			if h == nil {
				http.Error(w, "this node is starting; try again in a moment", http.StatusServiceUnavailable)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, MaxRequestBody)
			(*h).ServeHTTP(w, r)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*conn).peer)
		},
		Protocols:         onlyHTTP2(),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingWait, WriteByteTimeout: writeWait},
		ReadHeaderTimeout: headerWait,
		IdleTimeout:       keepIdle + time.Minute, // the client closes first
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
	}
}

// Client speaks HTTP/2 to peers: the host of a URL is a node id in hexadecimal,
// as in https://0102…0f10/r1/heads. Connections are kept, pinged, shared and
// dropped when the peer is revoked. A peer that has opened a reverse connection
// is reached through it. Redirects are returned, not followed.
// There is no overall timeout: give each request a context. A GET that meets a
// connection that has died meanwhile is tried once more on a fresh one.
func (t *Transport) Client() *http.Client { return t.client }

func (t *Transport) newClient() (*http.Client, *http.Transport) {
	pool := t.newPool(func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		id, err := identity.ParseNodeID(host)
		if err != nil {
			return nil, err
		}
		return t.DialPeer(ctx, id, ProtoHTTP)
	})
	client := &http.Client{
		Transport:     &roundTripper{t, pool},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, pool
}

// newPool is net/http's client with our limits, on connections of the given kind.
func (t *Transport) newPool(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		Protocols:              onlyHTTP2(),
		HTTP2:                  &http.HTTP2Config{StrictMaxConcurrentRequests: true, SendPingTimeout: pingAfter, PingTimeout: pingWait, WriteByteTimeout: writeWait},
		DisableCompression:     true, // what is worth it is compressed by its own protocol
		IdleConnTimeout:        keepIdle,
		ResponseHeaderTimeout:  responseWait,
		MaxResponseHeaderBytes: maxResponseHead,
	}
}

func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// roundTripper sends https URLs of node ids over authenticated connections.
type roundTripper struct {
	t    *Transport
	pool *http.Transport
}

func (rt *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, reused, err := rt.once(r)
	// A pooled connection can have died unnoticed: one more try, on another.
	again := err != nil && reused && r.Context().Err() == nil && !errors.Is(err, ErrUnknownPeer) &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody)
	if again {
		resp, _, err = rt.once(r)
	}
	return resp, err
}

func (rt *roundTripper) once(r *http.Request) (resp *http.Response, reused bool, err error) {
	fail := func(err error) (*http.Response, bool, error) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, false, err
	}
	if r.URL.Scheme != "https" || r.URL.Port() != "" {
		return fail(fmt.Errorf("%q is no address of a node: want https:// and a node id", r.URL.Redacted()))
	}
	id, err := identity.ParseNodeID(r.URL.Hostname())
	if err != nil {
		return fail(fmt.Errorf("%q is no address of a node: %w", r.URL.Redacted(), err))
	}
	if _, ok := rt.t.directory.Peer(id); !ok {
		return fail(fmt.Errorf("reach node %s: %w", id, ErrUnknownPeer))
	}
	var old atomic.Bool // the trace may run on another goroutine
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { old.Store(info.Reused) }}
	inner := r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	url := *r.URL
	url.Scheme = "http" // the connection below is already inside TLS
	inner.URL = &url
	if rc := rt.t.reverse.pick(id); rc != nil { // it is open and pinged: nothing to dial
		old.Store(true)
		resp, err = rc.client.RoundTrip(inner)
	} else {
		resp, err = rt.pool.RoundTrip(inner)
	}
	if resp != nil {
		resp.Request = r
	}
	return resp, old.Load(), err
}
