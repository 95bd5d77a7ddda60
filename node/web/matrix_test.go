package web_test

import (
	"context"
	"fmt"
	"os"
	"strings"
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
	// What other colours can change.
	colourRules = `{type: "rule", values: ["color-contrast", "link-in-text-block"]}`
)

// looks are taken of each page without loading it again: all rules at each
// width, and in the dark those that judge colours.
var looks = []look{{"light", 320, allRules}, {"dark", 320, colourRules}, {"dark", 1280, colourRules}, {"light", 1280, allRules}}

// found is what axe-core says of a page.
type found struct {
	Passes     int
	Violations []string
}

const judge = `axe.run(document, {preload: false, resultTypes: ["violations"], runOnly: %s}).then(r => ({Passes: r.passes.length,
	Violations: r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + v.help + "\n" + n.html.slice(0, 300) + "\n" + n.failureSummary)).slice(0, 20)}))`

// spaced sets text as far apart as WCAG 1.4.12 lets a reader do.
const spaced = `Object.assign(document.documentElement.style, %s ? {lineHeight: "1.5", letterSpacing: ".12em", wordSpacing: ".16em"} : {lineHeight: "", letterSpacing: "", wordSpacing: ""});`

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
		for _, v := range visits(language) {
			t.Run(v.name, func(t *testing.T) {
				for i, l := range looks {
					scheme(t, tab, l.colours)
					do(t, tab, chromedp.EmulateViewport(l.width, 800))
					if i == 0 {
						v.open(t, tab, address)
						v.stands(t, tab, places, l.width)
						do(t, tab, chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
					}
					l.judge(t, tab)
				}
				v.stands(t, tab, places, 1280)
			})
		}
	})
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
	if wide := evaluate[int64](t, tab, `document.documentElement.scrollWidth`); wide > l.width {
		t.Errorf("the page is %d px wide on a screen of %d", wide, l.width)
	}
	if l.rules != allRules {
		return
	}
	if wide := evaluate[int64](t, tab, fmt.Sprintf(spaced, "true")+`document.documentElement.scrollWidth`); wide > l.width {
		t.Errorf("with text set apart the page is %d px wide on a screen of %d", wide, l.width)
	}
	do(t, tab, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(spaced, "false")))
}

// stands compares the places of the way out and of the crisis contacts with those
// on the first page that was seen at this width.
func (v visit) stands(t *testing.T, tab context.Context, places map[int64]string, width int64) {
	t.Helper()
	if v.until == "table" {
		return // the way out itself
	}
	place := evaluate[string](t, tab, `[".leave", ".crisis"].map(s => { const r = document.querySelector(s).getBoundingClientRect(); return s + " " + [r.left, r.top + scrollY * (s == ".crisis"), r.right].map(Math.round) }).join("; ")`)
	if places[width] == "" {
		places[width] = place
	}
	if place != places[width] {
		t.Errorf("%d px: %s, but on the first page %s", width, place, places[width])
	}
}

// Who wants less motion gets none; nobody gets an animation.
func TestReducedMotion(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	for _, x := range []struct{ wanted, scroll string }{{"reduce", "auto"}, {"no-preference", "smooth"}} {
		call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: x.wanted}}})
		for _, v := range visits("en") {
			if strings.HasPrefix(v.name, "service, ") && v.name != "service, ordinary" {
				continue
			}
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
	for _, language := range []string{"el", "fi", "de", "lt"} {
		for _, v := range visits(language) {
			if strings.HasPrefix(v.name, "service, ") && v.name != "service, very long words" && v.name != "service, ordinary" || v.until == "table" {
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
