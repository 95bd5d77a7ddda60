package public

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"rsc.io/qr" // small, without dependencies, by one of Go's authors

	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// posterView is a page to be printed: what it leads to, in a few words, and a
// square that a telephone reads.
type posterView struct {
	Title     text
	Lead      string
	Anonymous bool // nobody has to say who they are: true of this directory, not of every service
	Square    square
	Back      string
	BackName  string
}

// square is a QR code as rows of a table: it shows where pictures are off, and
// a line of text browsers is only empty.
type square struct {
	Shown string // the address, as people write it
	Rows  [][]run
}

// run is some modules of one colour.
type run struct {
	Black bool
	Width int
}

// countryPoster answers GET /{lang}/in/{country}/poster.
func (s *Site) countryPoster(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	code, ok := s.place(w, r, l, "/poster")
	if !ok {
		return
	}
	path := "/in/" + strings.ToLower(code)
	s.poster(w, r, l, path, posterView{Title: text{S: l.Say("start.title")}, Lead: l.Say("start.lead"), Anonymous: true, BackName: l.CountryName(code)}, code)
}

// servicePoster answers GET /{lang}/s/{id}/poster.
func (s *Site) servicePoster(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	p, err := s.visible(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fault(w, l, err)
		return
	}
	c := s.one(r.Context(), l, p, asker{})
	s.poster(w, r, l, strings.TrimPrefix(c.Path, "/"+l.Tag()), posterView{Title: c.Name, Lead: c.For, BackName: l.Say("listing.back")}, "")
}

func (s *Site) poster(w http.ResponseWriter, r *http.Request, l *locale.Language, path string, v posterView, country string) {
	code, err := qrCode(s.base(r) + "/" + l.Tag() + path)
	if err != nil {
		s.opt.Logger.Error("a poster could not be drawn", "err", err)
		s.fail(w, l, http.StatusInternalServerError)
		return
	}
	v.Square, v.Back = code, "/"+l.Tag()+path
	s.render(w, http.StatusOK, "poster", page.Page{Language: l, Title: l.Say("poster.title"), Country: country, Path: path + "/poster", Body: v})
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)

// base is the address of this site, without a slash at its end.
func (s *Site) base(r *http.Request) string {
	if s.opt.BaseURL != "" {
		return strings.TrimRight(s.opt.BaseURL, "/")
	}
	u := url.URL{Scheme: "http", Host: "localhost"}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if hostName.MatchString(r.Host) {
		u.Host = r.Host
	}
	return u.String()
}

// quiet is the white margin of a square, in modules: four by ISO/IEC 18004.
const quiet = 4

// qrCode draws an address so that a fold or a stain leaves it readable.
func qrCode(address string) (square, error) {
	c, err := qr.Encode(address, qr.M)
	if err != nil {
		return square{}, err
	}
	side := c.Size + 2*quiet
	sq := square{Shown: shown(address), Rows: make([][]run, side)}
	for y := range side {
		for x := range side {
			black := c.Black(x-quiet, y-quiet) // outside it is white
			if row := sq.Rows[y]; len(row) > 0 && row[len(row)-1].Black == black {
				row[len(row)-1].Width++
				continue
			}
			sq.Rows[y] = append(sq.Rows[y], run{black, 1})
		}
	}
	return sq, nil
}
