package public

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// mostSaved is how many services a saved table holds: the most of one search.
const mostSaved = 100

// table answers a question with a file that a spreadsheet opens. Its name says
// nothing of what is in it.
func (s *Site) table(w http.ResponseWriter, r *http.Request, l *locale.Language, f form) {
	q := f.query(l.Tag())
	q.Now, q.Page, q.PerPage, q.Snapshot = s.opt.Now(), 1, mostSaved, ""
	answer, err := s.opt.Catalog.Search(r.Context(), q)
	if err != nil {
		s.fault(w, l, err)
		return
	}
	base := s.base(r)
	rows := [][]string{{
		l.Say("listing.title"), l.Say("listing.runs"), strings.TrimRight(l.Say("card.based", "country", ""), ": "), l.Say("listing.for"), l.Say("listing.contact"),
		l.Say("listing.languages"), l.Say("listing.know"), l.Say("listing.cost"), l.Say("listing.referral"),
		l.Say("listing.pro.evidence"), l.Say("listing.pro.level"), l.Say("listing.checked"), l.Say("listing.website"),
	}}
	if s.opt.Demo {
		rows = append([][]string{{l.Say("demo")}}, rows...)
	}
	for _, c := range s.cards(r.Context(), l, answer.Hits, asker{From: f.Country, Professional: true}) {
		for _, one := range append([]card{c}, c.Together...) {
			rows = append(rows, one.row(base))
		}
	}
	var out bytes.Buffer
	out.WriteString("\ufeff") // spreadsheets take it for UTF-8 then
	file := csv.NewWriter(&out)
	file.UseCRLF = true
	for _, row := range rows {
		for i := range row {
			row[i] = harmless(row[i])
		}
		_ = file.Write(row) // into memory
	}
	file.Flush()
	page.Headers(w.Header())
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="list.csv"`)
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	h.Set("X-Robots-Tag", "noindex, nofollow")
	_, _ = w.Write(out.Bytes())
}

// row is a card as a line of the table.
func (c card) row(base string) []string {
	var ways, languages, know, cost []string
	add := func(list *[]string, way, s string) {
		if s != "" {
			*list = append(*list, way+": "+s)
		}
	}
	for _, w := range c.Ways {
		value := w.Value
		if w.Lapsed {
			value = ""
		}
		add(&ways, w.Type, value)
		add(&languages, w.Type, strings.Join(w.Languages, ", "))
		add(&know, w.Type, w.KnowShort)
		add(&cost, w.Type, w.Cost.Label)
	}
	join := func(list []string) string { return strings.Join(list, "; ") }
	return []string{
		c.Name.S, c.Organisation, c.Country, c.For, join(ways), join(languages), join(know), join(cost),
		strings.Join(c.Pro.Referral, ", "), c.Pro.Evidence, strings.Join(c.Pro.Levels, ", "), c.Checked, base + c.Path,
	}
}

// harmless is a cell that no spreadsheet takes for a formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r|", rune(s[0])) {
		return "'" + s
	}
	return s
}
