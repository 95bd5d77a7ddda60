package public

import (
	"net/http"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// Accessibility is what an operator adds to the statement about it.
type Accessibility struct {
	Prepared    string    // day on which the statement was put up, "2026-11-29"; "" = not said
	Reviewed    string    // day of the last review; "" = never
	Contact     []Wording // where readers can say what does not work; none = as the operator's contact
	Enforcement []Wording // the body to turn to when that does not help; none = none is named
	Gaps        []Wording // what else is not accessible here, and why; none = nothing
}

// Wording is a text of the operator's in one language. Each reader gets the one in
// the language of the page, else the English one, else the first, marked with the
// language that it is in.
type Wording struct {
	Language string // BCP 47; "" = not known
	Words    string
}

// wording is the one of some texts that this page shows.
func (s *Site) wording(l *locale.Language, list []Wording) text {
	i := listing.Spoken(list, func(w Wording) string { return w.Language }, l.Tag(), locale.English)
	if i < 0 {
		return text{}
	}
	return says(l, list[i].Language, list[i].Words, "", "").Text
}

// accessibility answers GET /{lang}/accessibility: a statement after the model of
// the Implementing Decision (EU) 2018/1523.
func (s *Site) accessibility(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	operator, a := s.operator(), s.opt.Accessibility
	day := func(d string) string {
		if d == "" {
			return ""
		}
		return l.DateText(d)
	}
	contact := a.Contact
	if len(contact) == 0 && operator.Contact != "" {
		contact = []Wording{{Words: operator.Contact}}
	}
	v := struct {
		Operator, Address, Home    string
		Prepared, Reviewed         string
		Contact, Enforcement, Gaps text
	}{
		page.Clip(120, operator.Name), s.base(r), "/" + l.Tag() + "/",
		day(a.Prepared), day(a.Reviewed), s.wording(l, contact), s.wording(l, a.Enforcement), s.wording(l, a.Gaps),
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
