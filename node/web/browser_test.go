package web_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web"
	"github.com/2ps-project/waymark/node/web/page"
	"github.com/2ps-project/waymark/node/web/webtest"
)

// These tests look at the pages with a real browser, chromium, and with
// axe-core, whose file WAYMARK_AXE names. Without them they are skipped, except
// where CI is set: there they must be present.

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// full asks for every language: where CI is set, or with WAYMARK_FULL=1.
func full() bool { return os.Getenv("CI") == "true" || os.Getenv("WAYMARK_FULL") == "1" }

func offered(t *testing.T) (tags []string) {
	t.Helper()
	set, err := locale.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range set.Languages() {
		tags = append(tags, l.Tag())
	}
	return tags
}

// browser starts a chromium that ends with the test, and returns its one tab.
func browser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser; run without -short")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		missing(t, "chromium is not installed: the pages were not looked at with a browser (apt-get install chromium)")
	}
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	if end, ok := t.Deadline(); ok { // what hangs is told before the test binary is killed
		tab, cancel = context.WithDeadline(tab, end.Add(-10*time.Second))
		t.Cleanup(cancel)
	}
	return tab
}

// inTabs looks at every offered language, or at two, each in a tab of its own of
// one browser; as many at a time as there are processors.
func inTabs(t *testing.T, look func(t *testing.T, tab context.Context, language string)) {
	t.Helper()
	first, languages := browser(t), []string{"en", "el"}
	if full() {
		languages = offered(t)
	}
	t.Run("in", func(t *testing.T) { // ends when all tabs have ended
		for _, language := range languages {
			t.Run(language, func(t *testing.T) {
				t.Parallel()
				tab, cancel := chromedp.NewContext(first)
				defer cancel()
				look(t, tab, language)
			})
		}
	})
}

// everything is a site on which each part of the layout is in use.
func everything(t *testing.T) string {
	t.Helper()
	c := webtest.New(t, 6, "PL", "DE", "LT")
	c.AddCases(t)
	c.AddSheet(t, "PL", webtest.Sheet)
	c.AddSheet(t, "LT", webtest.OldSheet)
	lt := &c.Members[2]
	lt.AsOf, lt.State, lt.Since, lt.RolledBack = webtest.Now.AddDate(0, -2, 0), "frozen", webtest.Now.AddDate(0, -1, 0), true
	for i := range c.Listings {
		if p := &c.Listings[i]; p.Country == lt.Code {
			p.AsOf, p.Standing = lt.AsOf, listing.Standing{State: lt.State, RolledBack: true, Since: lt.Since}
		}
	}
	opt := options(t, c)
	opt.Demo, opt.Reports = true, reports{}
	opt.Operator = func() page.Operator {
		return page.Operator{
			Name: "Example Police", Country: "PL", Authority: true, Services: []string{"Example Hosting"}, Contact: "listings@example.org",
			Others: []page.Elsewhere{{Country: "DE", Name: "Example Clinic", URL: "https://de.example.org/"}, {Country: "LT", Name: "Example University", URL: "https://lt.example.org/"}},
		}
	}
	s, err := web.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(crowded(s.Public()))
	t.Cleanup(server.Close)
	return server.URL
}

// crowded answers at /{lang}/busy as if very much had just been asked for from
// where the reader is.
func crowded(site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		home, busy := strings.CutSuffix(r.URL.Path, "busy")
		if !busy {
			site.ServeHTTP(w, r)
			return
		}
		r.URL.Path, r.RemoteAddr = home, "192.0.2.1:4000"
		for {
			answer := httptest.NewRecorder()
			site.ServeHTTP(answer, r)
			if answer.Code == http.StatusTooManyRequests {
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
				return
			}
		}
	})
}

// reports takes every report and forgets it.
type reports struct{}

func (reports) Reads(string) bool                                    { return true }
func (reports) Report(context.Context, string, string, string) error { return nil }

// visit is one page and the way to it.
type visit struct {
	name, path string
	choose     string // an input that is chosen first; "" = none
	press      string // a button that leads on; "" = none
	post       string // instead of a button: the path to which fields are sent; "" = nowhere
	fields     map[string]string
	plain      bool   // they are sent as plain text, which is no form
	until      string // what must be there at the end; "" = "main"
}

func visits(language string) []visit {
	home := "/" + language + "/"
	service, fault := home+"s/"+webtest.ChatID, "main > .lead + p > a"
	list := []visit{
		{name: "start", path: home},
		{name: "results", path: home, press: `button[value="self"]`, until: "#narrow"},
		{name: "results for professionals", path: home, press: `button[value="professional"]`, until: "#narrow"},
		{name: "second page of results", path: home, post: home + "search", fields: map[string]string{"page": "2"}, until: ".paging"},
		{name: "results with words", path: home, post: home + "search", fields: map[string]string{"q": "Poradnia"}, until: "mark"},
		{name: "nothing matches", path: home, post: home + "search", fields: map[string]string{"q": "zzqzz", "country": "PL", "channel": "post", "door": "self"}, until: "#narrow"},
		{name: "country", path: home + "in/pl"},
		{name: "poster of a country", path: home + "in/ie/poster", until: ".qr"},
		{name: "poster of a service", path: service + "/poster", until: ".qr"},
		{name: "safety", path: home + "safety"},
		{name: "accessibility", path: home + "accessibility"},
		{name: "form for other sites", path: home + "embed", until: "textarea"},
		{name: "report that was sent", path: service, choose: `input[value="hours"]`, press: `form[action*="/report/"] button`, until: `main:not(:has(#mistake))`},
		{name: "report without a choice", path: home, post: home + "report/" + webtest.ChatID, until: `form[action*="/report/"]`},
		{name: "silent country", path: home + "in/lt"},
		{name: "results of a silent country", path: home + "in/lt", press: "main form button", until: "#narrow"},
		{name: "country without a partner", path: home + "in/nz"},
		{name: "no such page", path: home + "no/such/page"},
		{name: "too many requests", path: home + "busy", until: fault},
		{name: "not a form", path: home, post: home + "search", plain: true, until: fault},
		{name: "not this way", path: home, post: home + "in/pl", until: fault},
		{name: "too much text", path: home, post: home + "search", fields: map[string]string{"q": strings.Repeat("x", 17_000)}, until: fault},
	}
	for _, c := range webtest.Cases() {
		list = append(list, visit{name: "service, " + c.Name, path: home + "s/" + c.ID})
	}
	return append(list, visit{name: "way out", path: "/leave", until: "table"})
}

// some leaves out most of the many kinds of services, unless everything is asked for.
func some(list []visit) []visit {
	if full() {
		return list
	}
	return slices.DeleteFunc(list, func(v visit) bool {
		return strings.HasPrefix(v.name, "service, ") && v.name != "service, ordinary" && v.name != "service, very long words"
	})
}

func (v visit) open(t *testing.T, tab context.Context, address string) {
	t.Helper()
	do(t, tab, chromedp.Navigate(address+v.path))
	if v.choose != "" {
		do(t, tab, chromedp.Click(chromedp.CSS(v.choose)))
	}
	switch {
	case v.press != "":
		do(t, tab, chromedp.Click(chromedp.CSS(v.press)))
	case v.post != "":
		fields, err := json.Marshal(v.fields)
		if err != nil {
			t.Fatal(err)
		}
		do(t, tab, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
			const f = document.body.appendChild(document.createElement("form"));
			f.method = "post", f.action = %q;
			if (%v) f.enctype = "text/plain";
			for (const [name, value] of Object.entries(%s ?? {})) {
				const i = f.appendChild(document.createElement("input"));
				i.type = "hidden", i.name = name, i.value = value;
			}
			f.submit();
		}`, v.post, v.plain, fields)))
	}
	do(t, tab, chromedp.WaitVisible(chromedp.CSS(cmp.Or(v.until, "main"))))
}

func do(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		t.Fatal(err)
	}
}

func evaluate[T any](t *testing.T, tab context.Context, script string, opt ...chromedp.EvaluateOption) T {
	t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](script, opt...))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func call[P, R any](t *testing.T, tab context.Context, c cdp.Command[P, R], p P) R {
	t.Helper()
	r, err := chromedp.Call(tab, c, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scriptsOff(t *testing.T, tab context.Context) {
	t.Helper()
	call(t, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// scheme sets the colours that the reader prefers, and that nothing moves.
func scheme(t *testing.T, tab context.Context, colours string) {
	t.Helper()
	call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: colours}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// With scripts off every page can be reached by its own buttons; the browser is
// asked for nothing but this site's pages, and is given nothing to keep.
func TestBrowserIsToldNothing(t *testing.T) {
	address := everything(t)
	inTabs(t, func(t *testing.T, tab context.Context, language string) {
		var (
			mu     sync.Mutex
			faults []string
			asked  int
		)
		note := func(format string, a ...any) { faults = append(faults, fmt.Sprintf(format, a...)) }
		if err := chromedp.Listen(tab, func(ev any) {
			mu.Lock()
			defer mu.Unlock()
			switch ev := ev.(type) {
			case *network.EventRequestWillBeSent:
				asked++
				if !strings.HasPrefix(ev.Request.URL, address+"/") {
					note("request to %s", ev.Request.URL)
				}
				if u, err := url.Parse(ev.Request.URL); err != nil || u.RawQuery != "" {
					note("a question stands in the address %s", ev.Request.URL)
				}
			case *network.EventRequestWillBeSentExtraInfo: // what really went out
				for name, value := range ev.Headers {
					if strings.EqualFold(name, "Referer") || strings.EqualFold(name, "Cookie") {
						note("%s is sent: %v", name, value)
					}
				}
			case *network.EventResponseReceivedExtraInfo:
				for name := range ev.Headers {
					if strings.EqualFold(name, "Set-Cookie") {
						note("a cookie is set")
					}
				}
			case *network.EventLoadingFailed:
				note("a request failed: %s", ev.ErrorText)
			case *log.EventEntryAdded:
				if ev.Entry.Text != "" && !refused.MatchString(ev.Entry.Text) {
					note("console: %s", ev.Entry.Text)
				}
			case *runtime.EventConsoleAPICalled, *runtime.EventExceptionThrown:
				note("a script ran: %T", ev)
			}
		}); err != nil {
			t.Fatal(err)
		}
		call(t, tab, network.Enable, network.EnableParams{})
		call(t, tab, log.Enable, cdp.Empty{})
		scriptsOff(t, tab)
		do(t, tab, chromedp.EmulateViewport(320, 800))
		for _, v := range some(visits(language)) {
			v.open(t, tab, address)
			mu.Lock()
			for _, f := range faults {
				t.Errorf("%s: %s", v.name, f)
			}
			faults = nil
			mu.Unlock()
		}
		if asked < len(some(visits(language))) {
			t.Errorf("only %d requests were seen", asked)
		}
		if c := call(t, tab, storage.GetCookies, storage.GetCookiesParams{}); len(c.Cookies) > 0 {
			t.Errorf("%d cookies are kept", len(c.Cookies))
		}
		if s := call(t, tab, storage.GetUsageAndQuota, storage.GetUsageAndQuotaParams{Origin: address}); s.Usage > 0 {
			t.Errorf("%v bytes are kept", s.Usage)
		}
	})
}

// refused matches what the console says of an answer that is a page of a fault.
var refused = regexp.MustCompile(`status of 4\d\d \(`)

// What has the focus is never under the bar with the way out, forwards or
// backwards, and the way out is the first stop. 320 × 256 is a screen of 1280 ×
// 1024 at 400 %.
func TestFocusIsNeverCovered(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	scheme(t, tab, "light")
	type place struct {
		Name          string
		Top, Bar      float64
		InBar, Nobody bool
	}
	where := `(() => { const e = document.activeElement, r = e.getBoundingClientRect(), b = document.querySelector(".bar");
		return {Name: e.outerHTML.slice(0, 90), Top: r.top, Bar: b.getBoundingClientRect().bottom, InBar: b.contains(e), Nobody: e === document.body} })()`
	for _, size := range [][2]int64{{320, 256}, {1280, 700}} {
		do(t, tab, chromedp.EmulateViewport(size[0], size[1]))
		for _, v := range []visit{visits("lt")[0], visits("lt")[1], {name: "service", path: "/lt/s/case-ordinary"}} {
			t.Run(fmt.Sprintf("%s %d", v.name, size[0]), func(t *testing.T) {
				v.open(t, tab, address)
				do(t, tab, chromedp.Evaluate[chromedp.Void](`getSelection().removeAllRanges(), document.activeElement.blur(), scrollTo(0, 0)`))
				stops := 0
				for _, back := range []bool{false, true} {
					for range 200 {
						var opt []chromedp.KeyOption
						if back {
							opt = append(opt, chromedp.KeyModifiers(chromedp.ModifierShift))
						}
						do(t, tab, chromedp.KeyEvent(kb.Tab, opt...))
						p := evaluate[place](t, tab, where)
						if p.Nobody {
							break
						}
						if stops++; stops == 1 && !strings.HasPrefix(p.Name, `<a class="leave"`) {
							t.Errorf("the first stop is %s", p.Name)
						}
						if !p.InBar && p.Top < p.Bar-1 {
							t.Errorf("back %v: under the bar (top %.0f, bar to %.0f): %s", back, p.Top, p.Bar, p.Name)
						}
					}
				}
				if stops < 20 {
					t.Errorf("only %d stops", stops)
				}
			})
		}
	}
}
