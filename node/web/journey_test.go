package web_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/2ps-project/waymark/node/web/webtest"
)

// person goes through the pages as somebody does, and counts what they do.
type person struct {
	t     *testing.T
	tab   context.Context
	steps []string
}

func (p *person) step(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.steps = append(p.steps, what)
	do(p.t, p.tab, actions...)
}

// find is what a person finds on the page: a thing that is in sight, or can be
// scrolled to, and that says these words. It is found by nothing else.
func (p *person) find(what, words string) string {
	p.t.Helper()
	found := evaluate[string](p.t, p.tab, fmt.Sprintf(`(() => {
		const seen = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility == "visible";
		const says = e => (e.innerText || e.textContent).trim().replace(/\s+/g, " ").startsWith(%q);
		let e = [...document.querySelectorAll(%q)].find(e => seen(e) && says(e));
		if (e && e.matches("label")) e = e.control;
		if (!e || !seen(e)) return "";
		document.querySelectorAll("[data-found]").forEach(x => x.removeAttribute("data-found"));
		e.setAttribute("data-found", "");
		return e.localName;
	})()`, words, what))
	if found == "" {
		p.t.Fatalf("after %q there is no %s that says %q on %s", p.steps, what, words, evaluate[string](p.t, p.tab, `location.pathname + document.querySelector("h1").innerText`))
	}
	return `[data-found]`
}

// choose picks an entry of a list, known by its label, by typing how it begins.
func (p *person) choose(label, beginning string) {
	p.t.Helper()
	list := p.find("label", label)
	p.step("choose "+beginning, chromedp.Focus(chromedp.CSS(list)), chromedp.KeyEvent(beginning))
}

// press follows a link or presses a button that says these words.
func (p *person) press(words, until string) {
	p.t.Helper()
	thing := p.find("a, button", words)
	p.step("press "+words, chromedp.Click(chromedp.CSS(thing)), chromedp.WaitVisible(chromedp.CSS(until)))
}

// reached checks that a page says how to get to the chat, and that it is
// anonymous, before it describes anything.
func (p *person) reached(most int, anonymous string) {
	p.t.Helper()
	html := evaluate[string](p.t, p.tab, `document.querySelector("main").outerHTML`)
	if !strings.Contains(html, `href="`+webtest.ChatURL+`"`) || !strings.Contains(html, anonymous) {
		p.t.Errorf("after %d steps (%s) there is no anonymous chat:\n%.2000s", len(p.steps), strings.Join(p.steps, "; "), html)
	}
	if len(p.steps) > most {
		p.t.Errorf("it took %d steps: %s", len(p.steps), strings.Join(p.steps, "; "))
	}
}

// Somebody in Ireland, a country without a node, finds an anonymous chat in
// Polish on a telephone with scripts off in at most four steps, by nothing but the
// words in sight: from the first page and from the page of the country, which stands
// on a card.
func TestAnonymousChatIsFoundInFourSteps(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	do(t, tab, chromedp.EmulateViewport(320, 640))
	scriptsOff(t, tab)
	const polish, english = "Nie. O nic nie pytają", "No. Nothing is asked and nothing is kept"
	for name, x := range map[string]struct {
		from, anonymous string
		way             func(p *person)
	}{
		"first page in Polish": {"/pl/", polish, func(p *person) {
			p.choose("Gdzie jesteś?", "Irl")
			p.choose("Jak chcesz się skontaktować?", "Cza")
			p.press("Niepokoją mnie moje własne myśli", "#narrow")
		}},
		"first page in English": {"/en/", english, func(p *person) {
			p.choose("Where are you?", "Irel")
			p.choose("Which language do you want to speak or write?", "Polish")
			p.press("I am worried about my own thoughts", "#narrow")
		}},
		"page of the country": {"/pl/in/ie", polish, func(p *person) {
			p.choose("Jak chcesz się skontaktować?", "Cza")
			p.press("Niepokoją mnie moje własne myśli", "#narrow")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &person{t: t, tab: tab}
			do(t, tab, chromedp.Navigate(address+x.from))
			x.way(p)
			if n := evaluate[int](t, tab, `document.querySelectorAll('a[href="`+webtest.ChatURL+`"]').length`); n == 0 {
				t.Error("the list itself does not lead to the chat")
			}
			p.press("Czat Przykład", ".channel")
			p.reached(4, x.anonymous)
		})
	}
}

// The same with nothing but a keyboard: every list, button and link is reached
// with Tab and used with letters, Enter and Space.
func TestJourneyByKeyboardAlone(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	do(t, tab, chromedp.EmulateViewport(320, 640), chromedp.Navigate(address+"/pl/"))
	scriptsOff(t, tab)
	do(t, tab, chromedp.Navigate(address+"/pl/"), chromedp.WaitVisible(chromedp.CSS("#country")))
	until := func(selector string) {
		t.Helper()
		for range 120 {
			do(t, tab, chromedp.KeyEvent(kb.Tab))
			if evaluate[bool](t, tab, `document.activeElement?.matches('`+selector+`') ?? false`) {
				return
			}
		}
		t.Fatalf("%s is not reached with Tab", selector)
	}
	until("#country")
	do(t, tab, chromedp.KeyEvent("Irl"))
	until("#channel")
	do(t, tab, chromedp.KeyEvent("Cza"))
	until(`button[value="self"]`)
	do(t, tab, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#narrow")))
	until(`input[name="anonymity"][value="full"]`)
	do(t, tab, chromedp.KeyEvent(" "))
	until(`.options button`)
	do(t, tab, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(`input[name="anonymity"]:checked`)))
	until(`.card h3 a[href$="/s/` + webtest.ChatID + `"]`)
	do(t, tab, chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(".channel")))
	until(`a[href="` + webtest.ChatURL + `"]`)
	p := &person{t: t, tab: tab}
	p.reached(0, "Nie. O nic nie pytają")
}

// at waits until the tab shows an address and tells whether one can go back to
// another page of the site from there.
func at(t *testing.T, tab context.Context, want, other string) (back bool) {
	t.Helper()
	do(t, tab, chromedp.WaitVisible(chromedp.CSS("table")))
	h := call(t, tab, cdppage.GetNavigationHistory, cdp.Empty{})
	if have := h.Entries[h.CurrentIndex].URL; have != want {
		t.Errorf("the tab shows %s, want %s", have, want)
	}
	for i, e := range h.Entries {
		back = back || int64(i) < h.CurrentIndex && e.URL == other
	}
	return back
}

func shift(t *testing.T, tab context.Context) {
	t.Helper()
	for _, kind := range []input.DispatchKeyEventType{"rawKeyDown", "keyUp"} {
		p := input.DispatchKeyEventParams{Type: kind, Key: "Shift", Code: "ShiftLeft", WindowsVirtualKeyCode: 16}
		if kind == "rawKeyDown" {
			p.Modifiers = 8
		}
		call(t, tab, input.DispatchKeyEvent, p)
	}
}

// One leaves by a click, by the first stop of the keyboard, and, with scripts,
// by Shift three times; a page that was left so is not the one before.
func TestLeavingThePage(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	service := address + "/en/s/" + webtest.ChatID
	open := func() {
		t.Helper()
		do(t, tab, chromedp.Navigate("about:blank"), chromedp.Navigate(service), chromedp.WaitVisible(chromedp.CSS(".channel")))
	}
	status := func() string { return evaluate[string](t, tab, `document.querySelector(".leaving").textContent`) }
	t.Run("by mouse", func(t *testing.T) {
		open()
		do(t, tab, chromedp.Click(chromedp.CSS(".leave")))
		if at(t, tab, address+"/leave", service) {
			t.Error("Back leads to the page that was left")
		}
	})
	t.Run("by keyboard", func(t *testing.T) {
		open()
		do(t, tab, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
		if at(t, tab, address+"/leave", service) {
			t.Error("Back leads to the page that was left")
		}
	})
	t.Run("by Shift three times", func(t *testing.T) {
		open()
		shift(t, tab)
		if s := status(); s != "Press Shift two more times to leave this page." {
			t.Errorf("after one: %q", s)
		}
		shift(t, tab)
		if s := status(); s != "Press Shift one more time to leave this page." {
			t.Errorf("after two: %q", s)
		}
		shift(t, tab)
		if at(t, tab, address+"/leave", service) {
			t.Error("Back leads to the page that was left")
		}
	})
	t.Run("not by typing capitals", func(t *testing.T) {
		open()
		shift(t, tab)
		shift(t, tab)
		do(t, tab, chromedp.KeyEvent("x"))
		shift(t, tab)
		for range 4 {
			do(t, tab, chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
		}
		if have := evaluate[string](t, tab, `location.href`); have != service {
			t.Errorf("the page was left for %s", have)
		}
	})
	t.Run("too slowly", func(t *testing.T) {
		open()
		shift(t, tab)
		do(t, tab, chromedp.Poll[chromedp.Void](`document.querySelector(".leaving").textContent.startsWith("That took too long.")`, chromedp.WithPollingTimeout(15*time.Second)))
	})
	t.Run("scripts off", func(t *testing.T) {
		scriptsOff(t, tab)
		open()
		do(t, tab, chromedp.Click(chromedp.CSS(".leave")))
		at(t, tab, address+"/leave", service)
		open()
		do(t, tab, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
		at(t, tab, address+"/leave", service)
	})
}

// What is printed: lists and services without buttons and with their date, a
// poster on one sheet with nothing but what belongs on a wall.
func TestPrintedPages(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	sheets := regexp.MustCompile(`/Type\s*/Page[^s]`)
	list := some(visits("en"))
	for _, v := range list {
		v.open(t, tab, address)
		file := call(t, tab, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PaperWidth: 8.27, PaperHeight: 11.69}).Data
		n := len(sheets.FindAll(file, -1))
		if !bytes.HasPrefix(file, []byte("%PDF-")) || n == 0 || n > 12 || strings.Contains(v.name, "poster") && n != 1 {
			t.Errorf("%s: %d sheets of paper", v.name, n)
		}
	}
	call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	seen := func(selector string) int {
		return evaluate[int](t, tab, `[...document.querySelectorAll('`+selector+`')].filter(e => e.getClientRects().length).length`)
	}
	for _, v := range list {
		v.open2(t, tab, address)
		if v.until == "table" || v.press != "" {
			continue
		}
		if n := seen(".bar, .languages, form, button, select"); n > 0 {
			t.Errorf("%s: %d things are printed that paper cannot do", v.name, n)
		}
		if strings.HasPrefix(v.name, "service, ordinary") && seen(".paper") != 1 {
			t.Errorf("%s: the paper does not say of which day it is", v.name)
		}
		if strings.HasPrefix(v.name, "poster") && (seen(".crisis, footer, .demo") > 0 || seen(".qr") != 1) {
			t.Errorf("%s: there is more on the poster than belongs on a wall, or no square", v.name)
		}
	}
}

// open2 opens a page that is looked at as paper, where its buttons are not seen.
func (v visit) open2(t *testing.T, tab context.Context, address string) {
	t.Helper()
	do(t, tab, chromedp.Navigate(address+v.path))
}

// With forced colours every part keeps an edge, with nothing but the system's
// colours; only the square of a poster keeps its own.
func TestForcedColours(t *testing.T) {
	tab := browser(t)
	address := everything(t)
	do(t, tab, chromedp.EmulateViewport(320, 640))
	call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
	type seen struct {
		Parts        int
		Bare, Forced []string
	}
	all := 0
	for _, v := range some(visits("en")) {
		if v.until == "table" {
			continue
		}
		v.open(t, tab, address)
		s := evaluate[seen](t, tab, `(() => {
			const parts = [...document.querySelectorAll(".leave, .panel, .card, .know, .badge, .crisis, button, select, textarea, input:not([type=hidden])")].filter(e => e.getClientRects().length);
			const name = e => e.outerHTML.slice(0, 90);
			return {Parts: parts.length, Bare: parts.filter(e => !e.matches("[type=checkbox], [type=radio]") && getComputedStyle(e).borderTopStyle == "none").map(name),
				Forced: [...document.querySelectorAll("body *")].filter(e => getComputedStyle(e).forcedColorAdjust != "auto" && !e.closest(".qr")).map(name)};
		})()`)
		if all += s.Parts; len(s.Bare) > 0 || len(s.Forced) > 0 {
			t.Errorf("%s: without an edge %q, with colours of its own %q", v.name, s.Bare, s.Forced)
		}
	}
	if all < 50 {
		t.Errorf("only %d parts were looked at", all)
	}
}

// The whole way in browsers that show nothing but text.
func TestTextBrowsers(t *testing.T) {
	address := everything(t)
	for name, b := range map[string]struct {
		read, ask []string // before the address
	}{
		"lynx": {[]string{"lynx", "-dump", "-nolist", "-assume_charset=utf-8", "-display_charset=utf-8", "-width=200"}, []string{"lynx", "-dump", "-nolist", "-assume_charset=utf-8", "-display_charset=utf-8", "-width=200", "-post_data"}},
		"w3m":  {[]string{"w3m", "-dump", "-cols", "200", "-O", "UTF-8"}, []string{"w3m", "-dump", "-cols", "200", "-O", "UTF-8", "-post", "/dev/stdin"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				missing(t, name+" is not installed: the pages were not read with it (apt-get install "+name+")")
			}
			run := func(args []string, path, form string) string {
				t.Helper()
				c := exec.CommandContext(t.Context(), args[0], append(args[1:], address+path)...)
				c.Env = append(c.Environ(), "HOME="+t.TempDir(), "LANG=C.UTF-8")
				c.Stdin = strings.NewReader(form)
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %v\n%s", c.Args, err, out)
				}
				return strings.Join(strings.Fields(string(out)), " ")
			}
			has := func(text string, words ...string) {
				t.Helper()
				at := 0
				for _, w := range words {
					i := strings.Index(text[at:], w)
					if i < 0 {
						t.Fatalf("%q is missing or comes too early in:\n%s", w, text)
					}
					at += i
				}
			}
			has(run(b.read, "/pl/", ""), "Opuść tę stronę", "Czy ktoś jest teraz w niebezpieczeństwie?", "Gdzie jesteś?", "Niepokoją mnie moje własne myśli")
			form := "country=IE&language=pl&channel=live_chat&door=self"
			if name == "lynx" {
				form += "\n---\n"
			}
			has(run(b.ask, "/pl/search", form), "Opuść tę stronę", "Czat Przykład", "Czat", "chat.example.org", "Czy będą wiedzieć, kim jestem?", "Anonimowo")
			has(run(b.read, "/pl/s/"+webtest.ChatID, ""), "Czat Przykład", "chat.example.org", "Czy będą wiedzieć, kim jestem?", "Co skłoniłoby ich", "Czat dla młodych", "Coś się tu nie zgadza?")
			has(run(b.read, "/pl/in/ie/poster", ""), "/pl/in/ie")
			has(run(b.read, "/leave", ""), "23")
		})
	}
}
