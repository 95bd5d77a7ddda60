package public

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// Reports takes what readers say is wrong with a service.
type Reports interface {
	// Reads tells whether somebody for a country reads what is said about its
	// services.
	Reads(country string) bool
	// Report keeps what is wrong with the listing of that id until its country
	// has it. It fails with listing.ErrNotFound, and with ErrNotReported when
	// nothing more is taken today.
	Report(ctx context.Context, id, choice, text string) error
}

// ErrNotReported is returned where a report cannot be taken now.
var ErrNotReported = errors.New("the report is not taken")

// wrongs are what a reader can say is wrong, in the order of the form.
var wrongs = []string{"closed", "wrong_number", "hours", "no_answer", "language", "unsafe"}

const (
	maxReport     = 500     // characters of the reader's own words
	maxReportForm = 8 << 10 // bytes of the posted form
)

// reportForm is the form on the page of a service.
type reportForm struct {
	Action     string
	Crisis     []page.CrisisContact
	Operator   string // who reads it
	Country    string
	Choices    []string
	Chosen     string
	AllowsText bool
	Text       string
	Max        int
}

// reportForm is the form for a service; nil when nobody would read it.
func (s *Site) reportForm(l *locale.Language, p listing.Published, id string) *reportForm {
	if s.opt.Reports == nil || !s.opt.Reports.Reads(p.Country) || url.PathEscape(id) != id {
		return nil
	}
	f := &reportForm{
		Action: "/" + l.Tag() + "/report/" + id, Country: l.CountryName(p.Country), Choices: wrongs,
		AllowsText: s.opt.ReportText && !s.opt.Operator().Authority, Max: maxReport,
	}
	if f.Operator = page.Clip(120, s.operatorOf(p.Country)); f.Operator == "" {
		return nil // who would read it is said, or nothing is taken
	}
	contacts := s.crisis(l, s.opt.Operator().Country)
	for _, kind := range page.CrisisKinds() {
		for _, c := range contacts {
			if c.Kind == kind && !c.Aging && !c.Lapsed && c.Number != "" && len(f.Crisis) < 3 { // the strip has all, with their dates
				f.Crisis = append(f.Crisis, c)
			}
		}
	}
	return f
}

// reportView answers a report.
type reportView struct {
	Title string
	Text  string
	Form  *reportForm // to be sent again
	Back  string
}

// report answers /{lang}/report/{id}.
func (s *Site) report(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	id := r.PathValue("id")
	back := "/" + l.Tag() + "/s/" + url.PathEscape(id)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		redirect(w, back)
		return
	}
	p, err := s.visible(r.Context(), id)
	if err != nil {
		s.fault(w, l, err)
		return
	}
	form := s.reportForm(l, p, id)
	if form == nil {
		s.fail(w, l, http.StatusNotFound)
		return
	}
	said, err := posted(r, maxReportForm)
	if err != nil {
		s.unread(w, l, err)
		return
	}
	form.Chosen = said.Get("choice")
	if form.AllowsText {
		form.Text = strings.ReplaceAll(strings.TrimSpace(strings.ToValidUTF8(said.Get("text"), "")), "\r\n", "\n")
	}
	v, status := reportView{Back: back}, http.StatusBadRequest
	switch {
	case !slices.Contains(wrongs, form.Chosen):
		v.Title, v.Form = l.Say("report.choose"), form
	case utf8.RuneCountInString(form.Text) > maxReport:
		v.Title, v.Form = l.Say("report.long", "max", l.Number(maxReport)), form
	default:
		status = s.submit(r.Context(), l, id, form, &v)
	}
	s.render(w, status, "report", page.Page{Language: l, Title: l.Say("listing.title"), Path: "/s/" + id, Body: v})
}

// submit hands a report over and says what became of it.
func (s *Site) submit(ctx context.Context, l *locale.Language, id string, form *reportForm, v *reportView) int {
	err := s.opt.Reports.Report(ctx, id, form.Chosen, form.Text)
	if err == nil {
		v.Title, v.Text = l.Say("report.done"), l.Say("report.done.text", "operator", form.Operator)
		return http.StatusOK
	}
	if !errors.Is(err, ErrNotReported) {
		s.opt.Logger.Error("a reader's report could not be kept", "err", err)
	}
	v.Title, v.Form = l.Say("report.failed"), form
	return http.StatusServiceUnavailable
}

// visible returns a listing that anybody may see: one that is for nobody is not
// found, and of one that is hidden the error says so.
func (s *Site) visible(ctx context.Context, id string) (listing.Published, error) {
	if len(id) > 200 {
		return listing.Published{}, listing.ErrNotFound
	}
	p, err := s.opt.Catalog.Get(ctx, id)
	if err == nil && (p.Listing == nil || p.Listing.VisibilityValue() == listing.VisibleNobody) {
		err = listing.ErrNotFound
	}
	return p, err
}
