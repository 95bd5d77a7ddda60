package public

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/page"
)

// card is one service in a list.
type card struct {
	Name         text
	Marked       []search.Piece // Name cut at the words that were asked for; nil = none stands in it
	Found        found
	Path         string
	Organisation string
	Country      string
	Cross        bool // based in another country than the reader
	For          string
	Closed       string
	Stub         bool // it has closed for good: only its name, and where to go instead
	Alert        text
	Ways         []channel
	More         int // ways of contact that are not on the card
	Freshness    string
	Stale        bool
	Checked      string // date; "" = never
	Method       string // how; "" = not stated
	ForPros      bool
	Reporting    bool
	Topic        bool   // the service has not confirmed that it takes on this topic
	Together     []card // companions: shown with it, wherever it is shown; theirs are left out
	Successors   []ref
	Said         []said    // by caretakers, now
	Why          []string  // what put it where it stands in an answer, most important first
	Note         *note     // by the partner of the reader's country
	Pro          *proFacts // for those who came by their door

	code     string // of Country
	asOf     time.Time
	standing listing.Standing
}

// proFacts are what professionals ask first. The words are theirs, too.
type proFacts struct {
	Evidence string
	Levels   []string
	Referral []string
}

// ref names another service.
type ref struct {
	Name text
	Path string
}

const (
	waysOnCard  = 2
	maxTogether = search.MaxTogether
	maxName     = 160
)

func servicePath(l *locale.Language, id string) string {
	return "/" + l.Tag() + "/s/" + url.PathEscape(id)
}

// asker is what is known of a reader while an answer is made.
type asker struct {
	From         string // country, ISO 3166-1 alpha-2; "" = not said
	Professional bool
	Explain      bool                // say why each service stands where it does
	Marks        *search.Highlighter // nil = no words were asked for
}

// found is the part of a description in which the words stand.
type found struct {
	text
	Pieces []search.Piece // nil = in none
}

// excerptLen is about how many letters of it are shown.
const excerptLen = 160

// mark notes where the words of the question stand in a card.
func (c *card) mark(h *search.Highlighter, r reader, li *listing.Listing) {
	if h == nil {
		return
	}
	language := func(t text) string {
		if t.Marked {
			return t.Lang
		}
		return r.l.Tag()
	}
	hit := func(list []search.Piece) []search.Piece {
		if slices.ContainsFunc(list, func(p search.Piece) bool { return p.Hit }) {
			return list
		}
		return nil
	}
	c.Marked = hit(h.Pieces(c.Name.S, language(c.Name)))
	c.Found.text = r.text("description", li.Description, 20_000, false)
	c.Found.Pieces = hit(h.Excerpt(c.Found.S, language(c.Found.text), excerptLen))
}

// card makes the card of a listing, with those of its companions: first of all
// those that have no other place in the list.
func (s *Site) card(ctx context.Context, l *locale.Language, p listing.Published, together []search.Ref, who asker) card {
	c := s.one(ctx, l, p, who)
	for _, id := range search.First(together, p.Listing.Companions) {
		if len(c.Together) == maxTogether {
			break
		}
		other, ok := s.shown(ctx, id)
		// Beside what everybody sees stands only what everybody may see.
		if ok && id != p.Listing.ID && (who.Professional || p.Listing.ProfessionalsOnly() || !other.Listing.ProfessionalsOnly()) {
			c.Together = append(c.Together, s.one(ctx, l, other, who))
		}
	}
	return c
}

// one makes the card of a listing alone.
func (s *Site) one(ctx context.Context, l *locale.Language, p listing.Published, who asker) card {
	li, r, now := p.Listing, newReader(l, p), s.opt.Now()
	c := card{
		Name: r.text("name", li.Name, maxName, false), Path: servicePath(l, li.ID),
		Organisation: page.Clip(120, li.OrganizationName()), Country: l.CountryName(p.Country),
		Cross: who.From != "" && !strings.EqualFold(who.From, p.Country), For: strings.Join(audiences(l, li), " · "),
		Closed: closed(l, li), Stub: li.StatusValue() == listing.Defunct, Alert: alert(r, li, now),
		ForPros: li.VisibilityValue() == listing.VisibleProfessionals, Reporting: li.KindValue() == listing.KindReporting,
		Topic: forSelf(li) && li.AcceptanceValue() == listing.AcceptanceNotConfirmed, Successors: s.refs(ctx, l, li.Successors, li.ID),
		Said: caretakers(l, p), code: strings.ToUpper(p.Country), asOf: p.AsOf, standing: p.Standing,
	}
	if c.Name.S == "" {
		c.Name.S = li.ID
	}
	c.mark(who.Marks, r, li)
	c.Freshness, c.Stale, c.Checked = s.checked(l, li, now)
	if li.Verification != nil && listing.Known(listing.VocabularyMethod, li.Verification.Method) {
		c.Method = l.Term("verification_method", li.Verification.Method)
	}
	if !c.Stub { // a number that is free again may be somebody else's
		c.Ways = s.channels(l, p)
	}
	if len(c.Ways) > waysOnCard {
		c.More, c.Ways = len(c.Ways)-waysOnCard, c.Ways[:waysOnCard]
	}
	if who.Professional {
		c.Pro = &proFacts{l.Term("evidence", li.EvidenceValue()), terms(l, "prevention_level", li.PreventionLevels), terms(l, "referral", li.Referral)}
	}
	if who.From != "" && c.Cross {
		for _, n := range notes(l, p) {
			if strings.EqualFold(n.code, who.From) && n.Works+n.Cost != "" {
				c.Note = &n
			}
		}
	}
	return c
}

// shown returns a listing that this page may show.
func (s *Site) shown(ctx context.Context, id string) (listing.Published, bool) {
	p, err := s.opt.Catalog.Get(ctx, id)
	return p, err == nil && p.Listing != nil && p.Listing.VisibilityValue() != listing.VisibleNobody
}

// checked says how old the last check of a listing is.
func (s *Site) checked(l *locale.Language, li *listing.Listing, now time.Time) (label string, old bool, day string) {
	f := li.Freshness(now, s.opt.Cadence())
	if d, ok := li.Assured(now); ok {
		day = l.Date(d)
	}
	return l.Term("freshness", string(f)), f != listing.Fresh && f != listing.Due, day
}

// audiences says for whom a listing is, in the few words of a card.
func audiences(l *locale.Language, li *listing.Listing) []string {
	var list []string
	for _, group := range []struct {
		key string
		has func(string) bool
	}{
		{"for.self", doors["self"]},
		{"for.other", func(c string) bool { return c == "partner_family" || c == "friend_colleague" }},
		{"for.young", func(c string) bool { return c == "parent_of_young_person" }},
		{"for.professional", doors["professional"]},
	} {
		for _, code := range li.Audience {
			if group.has(code) {
				list = append(list, l.Say(group.key))
				break
			}
		}
	}
	return list
}

func forSelf(li *listing.Listing) bool {
	for _, c := range li.Audience {
		if strings.HasPrefix(c, "self.") {
			return true
		}
	}
	return false
}

// closed says in which way a service is not open at all; "" when it is.
func closed(l *locale.Language, li *listing.Listing) string {
	switch li.StatusValue() {
	case listing.Active:
		return ""
	case listing.Defunct:
		if li.DefunctSince != "" {
			return l.Say("listing.closed_since", "date", l.DateText(page.Clip(20, li.DefunctSince)))
		}
		return l.Say("listing.closed_for_good")
	case listing.TemporarilyClosed:
		return l.Say("listing.closed_for_now")
	}
	return l.Say("listing.inactive")
}

// alert returns the notice of a listing while it holds.
func alert(r reader, li *listing.Listing, now time.Time) text {
	if li.AlertUntil != "" {
		if until, err := time.Parse(time.DateOnly, li.AlertUntil); err == nil && now.After(until.AddDate(0, 0, 1)) {
			return text{}
		}
	}
	return r.text("alert", li.Alert, 400, true)
}

// refs looks up other listings by id; what is not shown here is left out.
func (s *Site) refs(ctx context.Context, l *locale.Language, ids []string, self string) []ref {
	var list []ref
	for _, id := range ids {
		if len(list) == maxTogether {
			break
		}
		if id == self {
			continue
		}
		p, ok := s.shown(ctx, id)
		if !ok {
			continue
		}
		name := newReader(l, p).text("name", p.Listing.Name, maxName, false)
		if name.S == "" {
			name.S = id
		}
		list = append(list, ref{name, servicePath(l, p.Listing.ID)})
	}
	return list
}
