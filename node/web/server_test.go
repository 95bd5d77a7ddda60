package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/webtest"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func options(t *testing.T, c web.Catalog) web.Options {
	t.Helper()
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	return web.Options{
		Public: listen(t), Ops: listen(t), Catalog: c, Locale: set,
		Operator: func() page.Operator { return page.Operator{Name: "Example", Country: "PL"} },
		Now:      func() time.Time { return webtest.Now },
	}
}

func start(t *testing.T, opt web.Options) (public, ops string) {
	t.Helper()
	s, err := web.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + opt.Public.Addr().String(), "http://" + opt.Ops.Addr().String()
}

// client follows no redirect and unpacks nothing by itself.
var client = &http.Client{
	Timeout:       10 * time.Second,
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func fetch(t *testing.T, method, address string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, body
}

func TestListeners(t *testing.T) {
	c := webtest.New(t, 5, "PL")
	opt := options(t, c)
	ready, reason := true, "cut off from the other countries"
	opt.Ready = func() (bool, string) { return ready, reason }
	opt.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "waymark_up 1\n") })
	public, ops := start(t, opt)
	for _, x := range []struct {
		address string
		status  int
		has     string
	}{
		{public + "/en/", 200, "Find help"}, {public + "/hsds", 200, "3.2.3"}, {public + "/api/search", 200, `"facets"`}, {public + "/leave", 200, "2026"},
		{public + "/metrics", 404, ""}, {public + "/livez", 404, ""}, {public + "/readyz", 404, ""}, {public + "/admin", 404, ""},
		{ops + "/livez", 200, "alive"}, {ops + "/readyz", 200, "ready: cut off"}, {ops + "/metrics", 200, "waymark_up"}, {ops + "/en/", 404, ""},
	} {
		answer, body := fetch(t, "GET", x.address)
		if answer.StatusCode != x.status || !strings.Contains(string(body), x.has) {
			t.Errorf("%s: %d %.80s", x.address, answer.StatusCode, body)
		}
	}
	ready, reason = false, "the store is opening"
	if answer, body := fetch(t, "GET", ops+"/readyz"); answer.StatusCode != 503 || !strings.Contains(string(body), "the store is opening") {
		t.Errorf("not ready: %d %s", answer.StatusCode, body)
	}
}

func TestCompression(t *testing.T) {
	public, _ := start(t, options(t, webtest.New(t, 20, "PL")))
	plain, body := fetch(t, "GET", public+"/en/in/pl")
	packed, small := fetch(t, "GET", public+"/en/in/pl", "Accept-Encoding", "gzip")
	if plain.Header.Get("Content-Encoding") != "" || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v %v", plain.Header, packed.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(unpacked, body) || len(small)*2 > len(body) {
		t.Errorf("%v: %d bytes packed, %d unpacked", err, len(small), len(body))
	}
}

func TestHeadersThatAreTooLongAreRefused(t *testing.T) {
	public, _ := start(t, options(t, webtest.New(t, 1, "PL")))
	answer, _ := fetch(t, "GET", public+"/en/", "X-Long", strings.Repeat("x", 64<<10))
	if answer.StatusCode != 431 {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// broken panics where a reader's words are at hand.
type broken struct{ *webtest.Catalog }

func (broken) Search(_ context.Context, q search.Query) (search.Answer, error) {
	panic("secret " + q.Text)
}

func (broken) Get(_ context.Context, id string) (listing.Published, error) {
	return listing.Published{}, fmt.Errorf("secret %s", id)
}

// A thousand odd requests leave no word in the log that came from a reader.
func TestNothingIsLoggedAboutAReader(t *testing.T) {
	var written bytes.Buffer
	opt := options(t, broken{webtest.New(t, 1, "PL")})
	opt.Logger = slog.New(slog.NewJSONHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := web.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		form := url.Values{"q": {"secret words"}, "country": {"PL"}}.Encode()
		paths := []string{"/en/search", "/en/s/secret-id", "/api/search?q=secret", "/hsds/services?search=secret", "/api/listings/secret", "/en/in/pl?secret=1", "/secret", "/%ff/secret"}
		method := []string{"GET", "POST", "HEAD", "PUT"}[i%4]
		r := httptest.NewRequest(method, paths[i%len(paths)], strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("User-Agent", "secret")
		r.Header.Set("Referer", "https://secret.example.org/")
		r.RemoteAddr = "203.0.113.77:5555"
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, r)
		if w.Code >= 500 && strings.Contains(w.Body.String(), "secret") {
			t.Fatal("the cause is shown to the reader")
		}
	}
	log := written.String()
	if log == "" {
		t.Fatal("the operator is told nothing of a thousand faults")
	}
	for _, word := range []string{"secret", "203.0.113", "/en/", "/api/search", "?q="} {
		if strings.Contains(log, word) {
			i := strings.Index(log, word)
			t.Errorf("%q is in the log: …%s…", word, log[max(0, i-120):min(len(log), i+60)])
		}
	}
}

func TestNewRefusesHalfAServer(t *testing.T) {
	full := options(t, webtest.New(t, 1, "PL"))
	for name, take := range map[string]func(*web.Options){
		"no listener": func(o *web.Options) { o.Public = nil }, "no catalog": func(o *web.Options) { o.Catalog = nil },
		"no texts": func(o *web.Options) { o.Locale = nil }, "no operator": func(o *web.Options) { o.Operator = nil },
	} {
		opt := full
		take(&opt)
		if _, err := web.New(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRunSaysWhichListenerBroke(t *testing.T) {
	opt := options(t, webtest.New(t, 1, "PL"))
	_ = opt.Ops.Close()
	s, err := web.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "operations listener") {
		t.Errorf("%v", err)
	}
}

// Who asks for too much over one connection is told to wait, in a page or as a
// problem; nobody else is.
func TestTooManyRequests(t *testing.T) {
	s, err := web.New(options(t, webtest.New(t, 1, "PL")))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(address, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, r)
		return w
	}
	refused := 0
	for range 400 {
		if ask("192.0.2.1:4000", "/robots.txt").Code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 50 || refused > 100 { // some are earned back meanwhile
		t.Errorf("%d of 400 are refused, want about 100", refused)
	}
	for path, want := range map[string]string{"/pl/": "Zbyt wiele stron naraz", "/api/search": `"Too many requests"`} {
		w := ask("192.0.2.1:4001", path)
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), want) || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d, %.100s", path, w.Code, w.Body)
		}
		if w := ask("192.0.2.2:4000", path); w.Code != http.StatusOK {
			t.Errorf("%s: a stranger gets the status %d", path, w.Code)
		}
	}
}

// However much was asked for, the way out is open, and the page that says "wait"
// has its colours: what it needs is answered too.
func TestTheWayOutIsNeverRefused(t *testing.T) {
	s, err := web.New(options(t, webtest.New(t, 1, "PL")))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = "192.0.2.1:4000"
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, r)
		return w
	}
	var page *httptest.ResponseRecorder
	for range 400 {
		if page = ask("/en/"); page.Code == http.StatusTooManyRequests {
			break
		}
	}
	if page.Code != http.StatusTooManyRequests {
		t.Fatalf("the last of 400 has the status %d", page.Code)
	}
	needed := regexp.MustCompile(`(?:href|src)="(/[a-z]+\.[0-9a-f]+\.[a-z]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(needed) != 3 {
		t.Fatalf("the page needs %q, want a stylesheet, an icon and a script", needed)
	}
	for range 400 {
		for _, n := range needed {
			if w := ask(n[1]); w.Code != http.StatusOK {
				t.Fatalf("%s: status %d", n[1], w.Code)
			}
		}
		if w := ask("/leave"); w.Code != http.StatusOK {
			t.Fatalf("/leave: status %d", w.Code)
		}
	}
}

// TestHEADSaysNoOtherLength: the length that HEAD says is that of the answer to GET,
// or it says none.
func TestHEADSaysNoOtherLength(t *testing.T) {
	public, _ := start(t, options(t, webtest.New(t, 30, "PL")))
	for _, path := range []string{"/hsds", "/hsds/services", "/hsds/profile", "/hsds/openapi.json", "/api/countries"} {
		for _, encoding := range []string{"", "gzip", "zstd"} {
			got, sent := fetch(t, http.MethodGet, public+path, "Accept-Encoding", encoding)
			head, body := fetch(t, http.MethodHead, public+path, "Accept-Encoding", encoding)
			said := head.Header.Get("Content-Length")
			if got.StatusCode != 200 || head.StatusCode != 200 || len(body) > 0 || said != "" && said != strconv.Itoa(len(sent)) || encoding == "" && said == "" {
				t.Errorf("%s %q: HEAD is %d and says %q, GET is %d and sends %d", path, encoding, head.StatusCode, said, got.StatusCode, len(sent))
			}
		}
	}
}
