package public

import (
	"net/http"
	"strings"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// Accessibility is what an operator adds to the statement about it.
type Accessibility struct {
	Reviewed    string // day of the last review, "2026-11-29"; "" = never
	Contact     string // where readers can say what does not work; "" = as the operator's contact
	Enforcement string // the body to turn to when that does not help; "" = none is named
	Gaps        string // what else is not accessible here, and why; "" = nothing
}

// accessibility answers GET /{lang}/accessibility: a statement after the model of
// the Implementing Decision (EU) 2018/1523.
func (s *Site) accessibility(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	operator, a := s.operator(), s.opt.Accessibility
	v := struct {
		Accessibility
		Operator string
		Address  string
		Home     string
	}{a, page.Clip(120, operator.Name), s.base(r), "/" + l.Tag() + "/"}
	if v.Contact == "" {
		v.Contact = operator.Contact
	}
	if v.Reviewed != "" {
		v.Reviewed = l.DateText(v.Reviewed)
	}
	s.render(w, http.StatusOK, "accessibility", page.Page{Language: l, Title: l.Say("access.title"), Path: "/accessibility", Index: true, Body: v})
}

// embed answers GET /{lang}/embed: a form for other websites, to be copied.
func (s *Site) embed(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	snippet, err := s.pages.Part(l, "snippet", struct {
		Action, Lang, Country string
		Doors                 []string
	}{s.base(r) + "/" + l.Tag() + "/search", l.Tag(), strings.ToUpper(s.opt.Operator().Country), doorNames})
	if err != nil {
		s.opt.Logger.Error("the form for other websites could not be made", "err", err)
		s.fail(w, l, http.StatusInternalServerError)
		return
	}
	s.render(w, http.StatusOK, "embed", page.Page{Language: l, Title: l.Say("embed.title"), Path: "/embed", Index: true, Body: struct{ Snippet, Home string }{snippet, "/" + l.Tag() + "/"}})
}
