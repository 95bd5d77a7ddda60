package public

import (
	"net/http"

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// safety answers GET /{lang}/safety: what the way out can and cannot do, what
// is kept here, and where else the same can be read.
func (s *Site) safety(w http.ResponseWriter, _ *http.Request, l *locale.Language) {
	s.render(w, http.StatusOK, "safety", page.Page{Language: l, Title: l.Say("safety.title"), Path: "/safety", Index: true, Body: struct {
		Operator page.Operator
		Home     string
		Reports  bool // mistakes can be reported
	}{s.operator(), "/" + l.Tag() + "/", s.opt.Reports != nil}})
}
