package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
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

// full asks for every language, colour scheme and width (WAYMARK_FULL=1).
func full() bool { return os.Getenv("WAYMARK_FULL") == "1" }

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
	limit := 5 * time.Minute
	if full() {
		limit = 30 * time.Minute // many times as many pages
	}
	tab, cancel = context.WithTimeout(tab, limit)
	t.Cleanup(cancel)
	return tab
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
	address, _ := start(t, opt)
	return address
}

// reports takes every report and forgets it.
type reports struct{}

func (reports) Reads(string) bool                                    { return true }
func (reports) Report(context.Context, string, string, string) error { return nil }

// visit is one page and the way to it.
type visit struct {
	name, path string
	press      string // a button there that leads on; "" = none
	until      string // what must be there at the end
	before     string // pressed before that; "" = nothing
}

func visits(language string) []visit {
	home := "/" + language + "/"
	list := []visit{
		{"start", home, "", "main", ""},
		{"results", home, `button[value="self"]`, "#narrow", ""},
		{"results for professionals", home, `button[value="professional"]`, "#narrow", ""},
		{"country", home + "in/pl", "", "main", ""},
		{"poster of a country", home + "in/ie/poster", "", ".qr", ""},
		{"poster of a service", home + "s/" + webtest.ChatID + "/poster", "", ".qr", ""},
		{"safety", home + "safety", "", "main", ""},
		{"accessibility", home + "accessibility", "", "main", ""},
		{"form for other sites", home + "embed", "", "textarea", ""},
		{"report that was sent", home + "s/" + webtest.ChatID, `form[action*="/report/"] button`, `main:not(:has(#mistake))`, `input[value="hours"]`},
		{"silent country", home + "in/lt", "", "main", ""},
		{"results of a silent country", home + "in/lt", "main form button", "#narrow", ""},
		{"country without a partner", home + "in/nz", "", "main", ""},
		{"no such page", home + "no/such/page", "", "main", ""},
	}
	for _, c := range webtest.Cases() {
		list = append(list, visit{"service, " + c.Name, home + "s/" + c.ID, "", "main", ""})
	}
	return append(list, visit{"way out", "/leave", "", "table", ""})
}

func (v visit) open(t *testing.T, tab context.Context, address string) {
	t.Helper()
	do(t, tab, chromedp.Navigate(address+v.path))
	if v.before != "" {
		do(t, tab, chromedp.Click(chromedp.CSS(v.before)))
	}
	if v.press != "" {
		do(t, tab, chromedp.Click(chromedp.CSS(v.press)))
	}
	do(t, tab, chromedp.WaitVisible(chromedp.CSS(v.until)))
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

// The rules of WCAG 2.2 A and AA that a machine can judge, and axe-core's best
// practices, on every kind of page.
func TestAccessibilityOfEveryPage(t *testing.T) {
	tab := browser(t)
	file := os.Getenv("WAYMARK_AXE")
	axe, err := os.ReadFile(file)
	if err != nil {
		missing(t, "WAYMARK_AXE does not name axe-core's axe.min.js: accessibility was not checked (npm pack axe-core)")
	}
	address := everything(t)
	languages, colours, widths := []string{"en", "pl"}, []string{"light"}, []int64{320}
	if full() {
		languages, colours, widths = offered(t), []string{"light", "dark"}, []int64{320, 1280}
	}
	for _, colour := range colours {
		scheme(t, tab, colour)
		for _, width := range widths {
			do(t, tab, chromedp.EmulateViewport(width, 800))
			for _, language := range languages {
				for _, v := range visits(language) {
					t.Run(fmt.Sprintf("%s %s %d %s", v.name, language, width, colour), func(t *testing.T) {
						v.open(t, tab, address)
						do(t, tab, chromedp.Evaluate[chromedp.Void](string(axe)), chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
						report := evaluate[[]byte](t, tab, `axe.run(document, {preload: false, resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})`, chromedp.EvalAwaitPromise, chromedp.EvalAsValue)
						var found struct {
							Passes     []struct{} `json:"passes"`
							Violations []struct {
								ID, Help string
								Nodes    []struct{ HTML, FailureSummary string }
							} `json:"violations"`
						}
						if err := json.Unmarshal(report, &found); err != nil {
							t.Fatal(err)
						}
						if len(found.Passes) < 5 {
							t.Errorf("only %d rules were applied", len(found.Passes))
						}
						for _, x := range found.Violations {
							for _, n := range x.Nodes {
								t.Errorf("%s: %s\n%.300s\n%s", x.ID, x.Help, n.HTML, n.FailureSummary)
							}
						}
					})
				}
			}
		}
	}
}

// With scripts off every page can be reached by its own buttons; the browser is
// asked for nothing but this site's pages, and is given nothing to keep.
func TestBrowserIsToldNothing(t *testing.T) {
	tab := browser(t)
	address := everything(t)
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
			if ev.Entry.Text != "" && !strings.Contains(ev.Entry.Text, "404 (Not Found)") {
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
	languages, colours, widths := []string{"en"}, []string{"light"}, []int64{320}
	if full() {
		languages, colours, widths = offered(t), []string{"light", "dark"}, []int64{320, 1280}
	}
	for _, colour := range colours {
		scheme(t, tab, colour)
		for _, width := range widths {
			do(t, tab, chromedp.EmulateViewport(width, 800))
			for _, language := range languages {
				for _, v := range visits(language) {
					v.open(t, tab, address)
					mu.Lock()
					for _, f := range faults {
						t.Errorf("%s %s %d %s: %s", v.name, language, width, colour, f)
					}
					faults = nil
					mu.Unlock()
				}
			}
		}
	}
	if asked < len(visits("en")) {
		t.Errorf("only %d requests were seen", asked)
	}
	if c := call(t, tab, storage.GetCookies, storage.GetCookiesParams{}); len(c.Cookies) > 0 {
		t.Errorf("%d cookies are kept", len(c.Cookies))
	}
	if s := call(t, tab, storage.GetUsageAndQuota, storage.GetUsageAndQuotaParams{Origin: address}); s.Usage > 0 {
		t.Errorf("%v bytes are kept", s.Usage)
	}
}

// The way out and the crisis contacts stand in the same place on every page,
// and no page has to be moved sideways on the smallest telephone.
func TestHelpStaysInItsPlace(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	scheme(t, tab, "light")
	do(t, tab, chromedp.EmulateViewport(320, 640))
	for _, language := range offered(t) {
		var first string
		for _, v := range visits(language) {
			v.open(t, tab, address)
			if wide := evaluate[int](t, tab, `document.documentElement.scrollWidth`); wide > 320 {
				t.Errorf("%s, %s: the page is %d px wide on a screen of 320", language, v.name, wide)
			}
			if v.until == "table" {
				continue
			}
			place := evaluate[string](t, tab, `[".leave", ".crisis"].map(s => { const r = document.querySelector(s).getBoundingClientRect(); return s + " " + [r.left, r.top, r.right].map(Math.round) }).join("; ")`)
			if first == "" {
				first = place
			}
			if place != first {
				t.Errorf("%s, %s: %s, but on the first page %s", language, v.name, place, first)
			}
		}
	}
}

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
		for _, v := range []visit{visits("lt")[0], visits("lt")[1], {"service", "/lt/s/case-ordinary", "", "main", ""}} {
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
