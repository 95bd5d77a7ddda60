// Package page renders the pages that people see: one layout, one stylesheet,
// the texts of every offered language, and the headers that keep a reader
// unknown. It works without scripts, sets no cookie and loads nothing
// from elsewhere.
package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/template/parse"
	"time"

	"github.com/2ps-project/waymark/node/locale"
)

//go:embed templates/*.html
var shared embed.FS

// ErrTemplate is returned by [New] when a template cannot be used: it does not
// parse, or it asks for a text that does not exist.
var ErrTemplate = errors.New("broken page template")

// Operator says who runs this node and who else may see a reader's traffic.
type Operator struct {
	Name      string   // as people know it
	Country   string   // ISO 3166-1 alpha-2
	Authority bool     // police, justice or a ministry: said above the fold
	Services  []string // host, proxy and name services in use; empty = not said yet
	Contact   string   // where to write to, shown as text; may be empty
	Statement bool     // the page of its country tells what it says about itself
	Others    []Elsewhere
}

// Elsewhere is the same directory on a node that somebody else runs.
type Elsewhere struct {
	Country   string // ISO 3166-1 alpha-2
	Name      string
	URL       string // https address of its first page, http for an onion address
	Authority bool   // run by police, justice or a ministry
}

// Nearest returns at most n of the others: those that no authority runs first,
// else in the order in which they stand.
func (o Operator) Nearest(n int) []Elsewhere {
	list := slices.Clone(o.Others)
	slices.SortStableFunc(list, func(a, b Elsewhere) int {
		switch {
		case a.Authority == b.Authority:
			return 0
		case a.Authority:
			return 1
		}
		return -1
	})
	return list[:min(n, len(list))]
}

// CrisisContact is somebody to turn to, confirmed by one country.
type CrisisContact struct {
	Kind     string       // emergency, emotional_support, child_helpline, mental_health, victims
	Number   string       // number or address; shown as it is
	Href     template.URL // what leads there; "" = it is shown and no link
	Outbound bool         // Href leads to another site
	Name     string       // own name of the line, beside what it is in the reader's language; may be empty
	Language string       // of Name, BCP 47; "" = not known
	Spoken   string       // languages that are spoken there, as text; may be empty
	Hours    string       // when somebody answers, as text; may be empty
	Date     string       // when it was last checked, "2026-11-23"
	Aging    bool         // that is a while ago
	Lapsed   bool         // that is too long ago to rely on: it stands in a fold, and is no link
}

// CrisisKinds returns the kinds of a [CrisisContact] in the order of the strip.
func CrisisKinds() []string {
	return []string{"emergency", "emotional_support", "mental_health", "child_helpline", "victims"}
}

// Options of a [Renderer].
type Options struct {
	Locale   *locale.Set                                              // required
	Pages    fs.FS                                                    // the caller's templates, *.html: each defines "main:<name>" for its page
	Operator func() Operator                                          // required; asked for every page
	Crisis   func(l *locale.Language, country string) []CrisisContact // in the reader's language; nil = none confirmed
	Exit     func() string                                            // https address to which "leave this page" leads; "" or nil = /leave of this site
	Now      func() time.Time                                         // for the date on paper; nil = time.Now
	Demo     bool                                                     // every page says that its data is invented
	Funcs    func(l *locale.Language) template.FuncMap                // more functions for the caller's templates; nil = none
}

// Renderer renders pages. It does not change after [New] and may be used from
// any goroutine.
type Renderer struct {
	opt    Options
	sets   map[string]*template.Template // by language tag
	css    Asset
	script Asset
	icon   Asset
}

// New parses every template in every language, and checks that each text they
// ask for exists: a node does not start with a page that it cannot show.
func New(opt Options) (*Renderer, error) {
	if opt.Locale == nil || opt.Operator == nil || opt.Pages == nil {
		return nil, fmt.Errorf("%w: locale, pages and operator are required", ErrTemplate)
	}
	if opt.Crisis == nil {
		opt.Crisis = func(*locale.Language, string) []CrisisContact { return nil }
	}
	if opt.Exit == nil {
		opt.Exit = func() string { return "" }
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	r := &Renderer{opt: opt, sets: map[string]*template.Template{}}
	r.css, r.script, r.icon = stylesheet(), exitScript(), icon()
	for _, l := range opt.Locale.Languages() {
		set := template.New("page").Funcs(r.funcs(l))
		if opt.Funcs != nil {
			set.Funcs(opt.Funcs(l))
		}
		if _, err := set.ParseFS(shared, "templates/*.html"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
		}
		if _, err := set.ParseFS(opt.Pages, "*.html"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
		}
		for _, t := range set.Templates() {
			if t.Tree == nil {
				continue
			}
			if err := texts(t.Tree.Root, l); err != nil {
				return nil, fmt.Errorf("%w: %s in %s: %w", ErrTemplate, t.Name(), l.Tag(), err)
			}
		}
		r.sets[l.Tag()] = set
	}
	return r, nil
}

// Page is one page to be rendered.
type Page struct {
	Language *locale.Language
	Title    string // neutral: it stands in the history of a browser
	Country  string // whose crisis contacts to show; "" = the operator's
	Path     string // what follows /{lang} on the same page in another language, "/in/pl"; "" = its first page
	Index    bool   // may search engines list it
	Paper    bool   // it is printed: the printed page says of which day it is
	Data     Data   // the same for programs; zero = none
	Body     any    // for the template
}

// Data is where programs find what a page says.
type Data struct {
	Type string // media type
	Path string
}

// view is what the layout sees.
type view struct {
	Page
	L        *locale.Language
	Lang     string
	Others   []*locale.Language
	Operator Operator
	Crisis   []CrisisContact
	First    []CrisisContact // whom to call first: always in sight
	More     []CrisisContact // all others, and what else there is to say of the first: in a fold
	CrisisIn string
	Checked  string // date of all contacts, when they share one and it is not long ago
	Generic  bool   // there is no emergency contact to rely on: say what holds everywhere
	Home     string // path of the page of the operator's country
	Demo     bool
	Leave    string // where the way out leads
	Away     bool   // that is another site
	Today    string // for the printed page
	CSS      string
	Script   string
	Icon     string
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Render writes the page whose template is "main:name". It sets all headers.
// Nothing is written when it returns an error.
func (r *Renderer) Render(w http.ResponseWriter, status int, name string, p Page) error {
	set := r.sets[p.Language.Tag()]
	if set == nil {
		return fmt.Errorf("render %s: language %q is not offered", name, p.Language.Tag())
	}
	operator := r.opt.Operator()
	v := view{
		Page: p, L: p.Language, Lang: p.Language.Tag(), Others: r.opt.Locale.Languages(),
		Operator: operator, CrisisIn: p.Country, Demo: r.opt.Demo,
		Leave: "/leave", CSS: r.css.Path, Script: r.script.Path, Icon: r.icon.Path,
	}
	if exit := r.opt.Exit(); exit != "" {
		v.Leave, v.Away = exit, true
	}
	if p.Paper {
		v.Today = p.Language.Date(r.opt.Now().UTC())
	}
	if v.CrisisIn == "" {
		v.CrisisIn = operator.Country
	}
	v.Crisis = ordered(r.opt.Crisis(p.Language, v.CrisisIn))
	v.First, v.More = first(v.Crisis)
	v.Checked = commonDate(v.Crisis)
	v.Generic = !slices.ContainsFunc(v.Crisis, func(c CrisisContact) bool { return c.Kind == "emergency" && !c.Lapsed })
	v.Home = "/" + p.Language.Tag() + "/in/" + strings.ToLower(operator.Country)
	if p.Path == "" {
		v.Path = "/"
	}
	if p.Title == "" {
		v.Title = p.Language.Say("site")
	} else {
		v.Title = p.Title + " – " + p.Language.Say("site")
	}
	body := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(body)
	body.Reset()
	if err := set.ExecuteTemplate(body, "top", v); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	if err := set.ExecuteTemplate(body, "main:"+name, p.Body); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	if err := set.ExecuteTemplate(body, "bottom", v); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	Headers(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", p.Language.Tag())
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	if !p.Index {
		w.Header().Set("X-Robots-Tag", "noindex, nofollow")
	}
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

// Part returns the template name of the caller's, filled with body, without a page
// around it.
func (r *Renderer) Part(l *locale.Language, name string, body any) (string, error) {
	var out strings.Builder
	if err := r.sets[l.Tag()].ExecuteTemplate(&out, name, body); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return out.String(), nil
}

// ordered sorts contacts into the order of the strip and leaves out kinds that
// are not known and contacts without a number.
func ordered(in []CrisisContact) []CrisisContact {
	out := make([]CrisisContact, 0, len(in))
	for _, kind := range CrisisKinds() {
		for _, c := range in {
			if c.Kind == kind && strings.TrimSpace(c.Number) != "" {
				out = append(out, c)
			}
		}
	}
	return out
}

// inSight is how many contacts are always in sight: as many as leave room for the
// page on a small telephone.
const inSight = 2

// first divides contacts that are in order. Who calls in a hurry needs a number;
// names, languages and hours can wait in the fold, where the first stand again if
// they have any.
func first(list []CrisisContact) (first, more []CrisisContact) {
	for _, c := range list {
		shown := len(first) < inSight && !c.Lapsed
		if shown {
			first = append(first, c)
		}
		if !shown || c.Kind != "emergency" && c.Name+c.Spoken+c.Hours != "" {
			more = append(more, c)
		}
	}
	return first, more
}

// dated is a contact, and the date that all contacts share.
type dated struct {
	Contact CrisisContact
	Checked string
}

// commonDate returns the date of all contacts, "" when they differ or one of
// them is a while ago.
func commonDate(list []CrisisContact) string {
	if len(list) == 0 {
		return ""
	}
	for _, c := range list {
		if c.Date != list[0].Date || c.Aging || c.Lapsed {
			return ""
		}
	}
	return list[0].Date
}

// Headers sets what every answer of the public pages carries.
func Headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-DNS-Prefetch-Control", "off")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()")
}

// texts checks that every say, count and term with a fixed key has its text.
func texts(n parse.Node, l *locale.Language) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Nodes {
			if err := texts(c, l); err != nil {
				return err
			}
		}
	case *parse.ActionNode:
		return texts(n.Pipe, l)
	case *parse.TemplateNode:
		return texts(n.Pipe, l)
	case *parse.IfNode:
		return branch(&n.BranchNode, l)
	case *parse.RangeNode:
		return branch(&n.BranchNode, l)
	case *parse.WithNode:
		return branch(&n.BranchNode, l)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			if err := texts(c, l); err != nil {
				return err
			}
		}
	case *parse.CommandNode:
		for i, a := range n.Args {
			id, ok := a.(*parse.IdentifierNode)
			if ok && (id.Ident == "say" || id.Ident == "count") && i+1 < len(n.Args) {
				if key, ok := n.Args[i+1].(*parse.StringNode); ok && !l.Has(key.Text) {
					return fmt.Errorf("there is no text %q", key.Text)
				}
			}
			if err := texts(a, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func branch(n *parse.BranchNode, l *locale.Language) error {
	for _, c := range []parse.Node{n.Pipe, n.List, n.ElseList} {
		if err := texts(c, l); err != nil {
			return err
		}
	}
	return nil
}

// funcs are the functions of every template, bound to one language.
func (r *Renderer) funcs(l *locale.Language) template.FuncMap {
	return template.FuncMap{
		"say":      l.Say,
		"count":    l.Count,
		"term":     l.Term,
		"country":  l.CountryName,
		"language": l.LanguageName,
		"date":     l.Date,
		"day":      l.DateText,
		"number":   l.Number,
		"join":     l.Join,
		"lang":     l.Tag,
		"clip":     Clip,
		"address":  address,
		"pair":     func(c CrisisContact, checked string) dated { return dated{c, checked} },
	}
}

// address is a text with places where a line may break: an address that is too long
// for a telephone breaks behind a slash or an at sign, not within a word.
func address(s string) template.HTML {
	return template.HTML(strings.NewReplacer("/", "/<wbr>", "@", "@<wbr>").Replace(template.HTMLEscapeString(s))) //nolint:gosec // escaped
}

// Clip cuts a text to at most n runes, with an ellipsis where it was cut. It
// is how much of somebody else's text a page is willing to carry.
func Clip(n int, s string) string {
	seen := 0
	for i := range s {
		if seen == n {
			return strings.TrimSpace(s[:i]) + "…"
		}
		seen++
	}
	return s
}
