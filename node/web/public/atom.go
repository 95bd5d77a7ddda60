package public

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
)

// inFeed is how many changes a page of a feed holds.
const inFeed = 50

// The elements of RFC 4287 that a feed of changes needs, and the one of RFC 6721 for
// what is gone. Older changes are further pages (RFC 5005, section 3).
type (
	atomFeed struct {
		XMLName  xml.Name      `xml:"http://www.w3.org/2005/Atom feed"`
		Lang     string        `xml:"xml:lang,attr"`
		ID       string        `xml:"id"`
		Title    string        `xml:"title"`
		Subtitle string        `xml:"subtitle,omitempty"`
		Updated  string        `xml:"updated"`
		Author   atomAuthor    `xml:"author"`
		Links    []atomLink    `xml:"link"`
		Entries  []atomEntry   `xml:"entry"`
		Deleted  []atomDeleted `xml:"http://purl.org/atompub/tombstones/1.0 deleted-entry"`
	}
	atomAuthor struct {
		Name string `xml:"name"`
	}
	atomLink struct {
		Rel  string `xml:"rel,attr"`
		Type string `xml:"type,attr"`
		Href string `xml:"href,attr"`
	}
	atomEntry struct {
		ID      string   `xml:"id"`
		Title   string   `xml:"title"`
		Updated string   `xml:"updated"`
		Link    atomLink `xml:"link"`
	}
	atomDeleted struct {
		Ref  string `xml:"ref,attr"`
		When string `xml:"when,attr"`
	}
)

// changes answers GET /{lang}/in/{country}/feed.atom: which services of a country
// changed last or are gone, and on which day.
func (s *Site) changes(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	s.feed(w, r, l, "/feed.atom", 0)
}

// olderChanges answers GET /{lang}/in/{country}/feed/{number}.atom: those before a
// change of that number.
func (s *Site) olderChanges(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	name, ok := strings.CutSuffix(r.PathValue("page"), ".atom")
	before, err := strconv.ParseUint(name, 10, 63)
	if !ok || err != nil || before == 0 || strconv.FormatUint(before, 10) != name {
		s.fail(w, l, http.StatusNotFound)
		return
	}
	s.feed(w, r, l, "/feed/"+name+".atom", before)
}

func (s *Site) feed(w http.ResponseWriter, r *http.Request, l *locale.Language, path string, before uint64) {
	code, ok := s.place(w, r, l, path)
	if !ok {
		return
	}
	operator := s.operatorOf(code)
	if s.opt.Changes == nil || operator == "" {
		s.fail(w, l, http.StatusNotFound)
		return
	}
	list, err := s.opt.Changes(r.Context(), code, before, inFeed+1)
	if err != nil {
		s.fault(w, l, err)
		return
	}
	here := s.base(r) + "/" + l.Tag() + "/in/" + strings.ToLower(code)
	const kind = "application/atom+xml"
	f := atomFeed{
		Lang: l.Tag(), ID: here + "/feed.atom", Title: xmlText(l.CountryName(code) + " – " + l.Say("site")), Author: atomAuthor{xmlText(operator)},
		Links: []atomLink{{"self", kind, here + path}, {"first", kind, here + "/feed.atom"}, {"alternate", "text/html", here}},
	}
	if len(list) > inFeed {
		list = list[:inFeed]
		f.Links = append(f.Links, atomLink{"next", kind, here + "/feed/" + strconv.FormatUint(list[inFeed-1].Seq, 10) + ".atom"})
	}
	if s.opt.Demo {
		f.Subtitle = l.Say("demo")
	}
	newest := time.Unix(0, 0)
	for _, u := range list {
		day := u.Day.UTC().Truncate(24 * time.Hour)
		if day.After(newest) {
			newest = day
		}
		s.entry(r, l, &f, u, day.Format(time.RFC3339))
	}
	f.Updated = newest.UTC().Format(time.RFC3339)
	body, err := xml.Marshal(f)
	if err != nil {
		s.opt.Logger.Error("a feed of changes could not be made", "err", err)
		s.fail(w, l, http.StatusInternalServerError)
		return
	}
	s.answer(w, kind+"; charset=utf-8", append([]byte(xml.Header), body...))
}

// entry adds a change to a feed.
func (s *Site) entry(r *http.Request, l *locale.Language, f *atomFeed, u listing.Update, day string) {
	address := s.base(r) + servicePath(l, u.ID)
	name := address
	if id, err := uuid.Parse(u.ID); err == nil {
		name = id.URN() // the same on every node
	}
	p := u.Shown
	if p == nil || p.Listing == nil || p.Listing.VisibilityValue() == listing.VisibleNobody {
		f.Deleted = append(f.Deleted, atomDeleted{name, day})
		return
	}
	title := newReader(l, *p).text("name", p.Listing.Name, maxName, false).S
	f.Entries = append(f.Entries, atomEntry{ID: name, Title: xmlText(title), Updated: day, Link: atomLink{"alternate", "text/html", address}})
}
