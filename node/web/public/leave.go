package public

import (
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// calendar is a page that anybody might have open: the month. It names nothing
// of this site, has no link back and loads nothing. Its one link, where the
// country names a target, leads on to a page elsewhere that is as ordinary.
var calendar = template.Must(template.New("leave").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><title>{{.Month}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="robots" content="noindex, nofollow">
<link rel="stylesheet" href="{{.CSS}}"></head>
<body><main><h1>{{.Month}}</h1>
<table><thead><tr>{{range .Days}}<th scope="col">{{.}}</th>{{end}}</tr></thead><tbody>
{{range .Weeks}}<tr>{{range .}}<td{{if .Today}} aria-current="date"{{end}}>{{if .Today}}<b>{{.Text}}</b>{{else}}{{.Text}}{{end}}</td>{{end}}</tr>
{{end}}</tbody></table>
<p>{{.Date}}</p>
{{with .Exit}}<p><a href="{{.URL}}" rel="noreferrer noopener nofollow"{{with .Language}} lang="{{.}}"{{end}}>{{.Label}}</a></p>
{{end}}</main></body></html>
`))

var calendarSheet = page.NewAsset("calendar", "css", "text/css; charset=utf-8", []byte(`:root{color-scheme:light dark;font:110%/1.6 Georgia,"Times New Roman",serif}html{background:Canvas;color:CanvasText}a{color:LinkText}body{max-width:34rem;margin:3rem auto;padding:0 1rem;text-align:center}table{width:100%;border-collapse:collapse}th{font-weight:400;opacity:.8}td{padding:.5rem 0;border-top:1px solid #8885}b{border-bottom:.2rem solid}`))

// leavePath is where this site's own way out is.
const leavePath = "/leave"

type date struct {
	Text  string
	Today bool
}

// leave answers with the calendar. It always answers, from this node alone.
func (s *Site) leave(w http.ResponseWriter, r *http.Request) {
	l := s.opt.Locale.Match(r.Header.Get("Accept-Language"))
	page.Headers(w.Header())
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", l.Tag())
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Vary", "Accept-Language")
	view := month(l, s.opt.Now().UTC())
	if x := s.exit(); x != nil {
		view["Exit"] = x
	}
	_ = calendar.Execute(w, view)
}

func month(l *locale.Language, now time.Time) map[string]any {
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	days := make([]string, 7)
	for i := range days {
		days[i] = l.WeekdayShort(i)
	}
	var weeks [][]date
	week := slices.Repeat([]date{{}}, (int(first.Weekday())+6)%7) // blanks before the first
	for d := first; d.Month() == now.Month(); d = d.AddDate(0, 0, 1) {
		week = append(week, date{strconv.Itoa(d.Day()), d.Day() == now.Day()})
		if len(week) == 7 {
			weeks, week = append(weeks, week), nil
		}
	}
	if len(week) > 0 {
		weeks = append(weeks, slices.Concat(week, slices.Repeat([]date{{}}, 7-len(week))))
	}
	return map[string]any{"Lang": l.Tag(), "Month": l.MonthYear(now), "Date": l.Date(now), "Days": days, "Weeks": weeks, "CSS": calendarSheet.Path}
}
