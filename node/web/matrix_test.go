package web_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// look is one way in which a page is looked at.
type look struct {
	colours string
	width   int64
	rules   string // of axe-core
}

const (
	// The rules of WCAG 2.2 A and AA that a machine can judge, and axe-core's best
	// practices.
	allRules = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	// Those of them that other colours or another width can change.
	someRules = `{type: "rule", values: ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]}`
)

// looks are those that axe-core takes of a page, without loading it again: both
// colours, both widths. In every other language and on every other page they are
// paired the other way, so each page, and each language, is seen in all four; with
// WAYMARK_FULL=1 each page in each language is.
func looks(odd bool) []look {
	pairs := [][]look{
		{{"light", 320, allRules}, {"dark", 1280, someRules}},
		{{"dark", 320, allRules}, {"light", 1280, someRules}},
	}
	switch {
	case os.Getenv("WAYMARK_FULL") == "1":
		return slices.Concat(pairs...)
	case odd:
		return pairs[1]
	}
	return pairs[0]
}

// found is what axe-core says of a page.
type found struct {
	Passes     int
	Violations []string
}

const judge = `axe.run(document, {preload: false, resultTypes: ["violations"], runOnly: %s}).then(r => ({Passes: r.passes.length,
	Violations: r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + v.help + "\n" + n.html.slice(0, 300) + "\n" + n.failureSummary)).slice(0, 20)}))`

// Every kind of page, in every language, in light and dark, on the smallest
// telephone and on a wide screen: axe-core finds nothing, nothing has to be moved
// sideways, and the way out and the crisis contacts stand where they stand on the
// first page.
func TestEveryPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser; run without -short")
	}
	axe, err := os.ReadFile(os.Getenv("WAYMARK_AXE"))
	if err != nil {
		missing(t, "WAYMARK_AXE does not name axe-core's axe.min.js: accessibility was not checked (npm pack axe-core)")
	}
	address := everything(t)
	inTabs(t, func(t *testing.T, tab context.Context, language string) {
		call(t, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: string(axe)})
		places := map[int64]string{}
		list := visits(language)
		if language != "en" {
			list = some(list)
		}
		for i, v := range list {
			t.Run(v.name, func(t *testing.T) {
				for j, l := range looks((i+len(language)+int(language[0]+language[1]))%2 == 1) {
					scheme(t, tab, l.colours)
					do(t, tab, chromedp.EmulateViewport(l.width, 800))
					if j == 0 {
						v.open(t, tab, address)
					}
					l.measure(t, tab, v, places)
					l.judge(t, tab)
				}
			})
		}
	})
}

// measure compares the places of the way out and of the crisis contacts with those
// on the first page that was seen at this width, all folds closed. Then it opens
// every fold, and finds no text that runs over what stands beside it and the page no
// wider than the screen, also with text as far apart as WCAG 1.4.12 lets a reader
// set it.
func (l look) measure(t *testing.T, tab context.Context, v visit, places map[int64]string) {
	t.Helper()
	type size struct {
		Place        string
		Wide, Spaced int64
		Over         []string
	}
	s := evaluate[size](t, tab, `(() => {
		for (const d of document.querySelectorAll("details")) d.open = false;
		const root = document.documentElement, at = s => { const r = document.querySelector(s)?.getBoundingClientRect(); return r && s + " " + [r.left, r.top + scrollY * (s == ".crisis"), r.right].map(Math.round) };
		const Place = [".leave", ".crisis"].map(at).join("; ");
		for (const d of document.querySelectorAll("details")) d.open = true;
		const Wide = root.scrollWidth;
		const over = e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX == "visible";
		const Over = [...document.body.querySelectorAll("*")].filter(over).map(e => e.outerHTML.slice(0, 200));
		Object.assign(root.style, {lineHeight: "1.5", letterSpacing: ".12em", wordSpacing: ".16em"});
		const Spaced = root.scrollWidth;
		root.removeAttribute("style");
		return {Place, Wide, Spaced, Over};
	})()`)
	if s.Wide > l.width || s.Spaced > l.width {
		t.Errorf("the page is %d px wide, with text set apart %d, on a screen of %d", s.Wide, s.Spaced, l.width)
	}
	for _, e := range s.Over {
		t.Errorf("%d px: the text is wider than its place: %s", l.width, e)
	}
	if v.until == "table" {
		return // the way out itself
	}
	if places[l.width] == "" {
		places[l.width] = s.Place
	}
	if s.Place != places[l.width] {
		t.Errorf("%d px: %s, but on the first page %s", l.width, s.Place, places[l.width])
	}
}

// judge lets axe-core look at the page that is open.
func (l look) judge(t *testing.T, tab context.Context) {
	t.Helper()
	f := evaluate[found](t, tab, fmt.Sprintf(judge, l.rules), chromedp.EvalAwaitPromise)
	if l.rules == allRules && f.Passes < 5 {
		t.Errorf("%s %d: only %d rules were applied", l.colours, l.width, f.Passes)
	}
	for _, x := range f.Violations {
		t.Errorf("%s %d: %s", l.colours, l.width, x)
	}
}

// Who wants less motion gets none; nobody gets an animation.
func TestReducedMotion(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	for _, x := range []struct{ wanted, scroll string }{{"reduce", "auto"}, {"no-preference", "smooth"}} {
		call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: x.wanted}}})
		for _, v := range some(visits("en")) {
			v.open(t, tab, address)
			if have := evaluate[string](t, tab, `getComputedStyle(document.documentElement).scrollBehavior`); have != x.scroll && v.until != "table" {
				t.Errorf("%s, %s: the page scrolls %s", x.wanted, v.name, have)
			}
			if n := evaluate[int](t, tab, `[...document.querySelectorAll("*")].filter(e => { const s = getComputedStyle(e); return s.animationName != "none" || parseFloat(s.transitionDuration) > 0 }).length`); n > 0 {
				t.Errorf("%s, %s: %d things move", x.wanted, v.name, n)
			}
		}
	}
}

// On a screen of 1280 × 1024 at 400 % the text stays in one column, the way out
// takes no more than a third of it, and what is there can be reached.
func TestZoom(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	scheme(t, tab, "light")
	do(t, tab, chromedp.EmulateViewport(320, 256, chromedp.EmulateScale(4)))
	for _, language := range []string{"el", "de"} {
		for _, v := range some(visits(language)) {
			if v.until == "table" {
				continue
			}
			v.open(t, tab, address)
			type seen struct {
				Wide, Bar float64
				Cut       []string
			}
			s := evaluate[seen](t, tab, `({Wide: document.documentElement.scrollWidth, Bar: document.querySelector(".bar").getBoundingClientRect().height,
				Cut: [...document.querySelectorAll("a, button, select, summary, label")].filter(e => { const r = e.getBoundingClientRect(); return r.width && (r.right > 321 || r.left < -1) && !e.matches(".skip") }).map(e => e.outerHTML.slice(0, 120))})`)
			if s.Wide > 320 || s.Bar > 256/3 || len(s.Cut) > 0 {
				t.Errorf("%s %s: %.0f px wide, the bar is %.0f px high, cut off: %q", language, v.name, s.Wide, s.Bar, s.Cut)
			}
		}
	}
}
