package public

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// detailView is the page of one service, in the order in which somebody who is
// afraid needs to know it.
type detailView struct {
	card
	Audience     []string
	Age          string
	Guardian     string
	Channels     []channel
	Happens      text
	HappensNote  string
	Waiting      dated
	Capacity     dated
	Usable       []string
	Limits       []string
	Places       []text
	Place        string // what is said instead of an address
	Referral     []string
	Eligibility  text
	Documents    []text
	Fees         text // what plain HSDS says of the cost
	Interpreting text // what plain HSDS says of interpreters
	Kinds        []string
	Settings     []string
	Formats      []string
	Gender       string
	OperatorType string
	Website      *link
	Source       *link
	Confirmed    string   // when the country last confirmed its list; "" = never
	Standing     []string // what is wrong with that list
	Notes        []note
	Description  text
	DescribedBy  string
	Contact      string
	Evidence     string
	Levels       []string
	Objectives   []string
	ID           string
	Data         string      // Id as it stands in the addresses of the APIs; "" = it has none there
	Refs         []ref       // the companions by name
	InPerson     bool        // one goes there
	Report       *reportForm // nil = reports are not taken
}

// dated is a fact that ages quickly.
type dated struct {
	Stated      bool
	Label, AsOf string
	Source      *link
}

// detail answers GET /{lang}/s/{id}.
func (s *Site) detail(w http.ResponseWriter, r *http.Request, l *locale.Language) {
	id := r.PathValue("id")
	if bare, ok := strings.CutSuffix(id, jsonLD); ok {
		s.data(w, r, l, bare)
		return
	}
	p, err := s.visible(r.Context(), id)
	if hidden, ok := asHidden(err); ok {
		s.notShown(w, l, id, hidden)
		return
	}
	if err != nil {
		s.fault(w, l, err)
		return
	}
	v := s.view(r, l, p)
	s.render(w, http.StatusOK, "detail", page.Page{
		Language: l, Title: l.Say("listing.title"),
		Path: strings.TrimPrefix(v.Path, "/"+l.Tag()), Index: true, Paper: true, Body: v,
		Data: page.Data{Type: "application/ld+json", Path: v.Path + jsonLD},
	})
}

func (s *Site) view(req *http.Request, l *locale.Language, p listing.Published) detailView {
	li, r := p.Listing, newReader(l, p)
	v := detailView{
		card: s.card(req.Context(), l, p, nil, asker{}), Channels: s.channels(l, p), ID: page.Clip(200, li.ID),
		Audience: terms(l, "audience", li.Audience), Age: age(l, li), Guardian: guardian(l, li),
		Happens:  r.text("application_process", li.ApplicationProcess, 1200, false),
		Waiting:  datedFact(l, "waiting", li.WaitingValue(), li.Waiting),
		Capacity: datedFact(l, "capacity", li.CapacityValue(), li.Capacity),
		Referral: terms(l, "referral", li.Referral), Eligibility: r.text("eligibility_description", li.EligibilityDescription, 800, false),
		Kinds: terms(l, "service_type", li.ServiceTypes), Settings: terms(l, "setting", li.Settings), Formats: terms(l, "format", li.Formats),
		OperatorType: operatorType(l, li), Source: webLink(li.Source),
		Description: r.text("description", li.Description, 4000, false),
		Contact:     page.Clip(120, s.opt.Operator().Contact),
		Evidence:    l.Term("evidence", li.EvidenceValue()), Levels: terms(l, "prevention_level", li.PreventionLevels), Objectives: terms(l, "objective", li.Objectives),
	}
	v.Fees = r.text("fees_description", li.FeesDescription, 400, false)
	v.Interpreting = r.text("interpretation_services", li.InterpretationServices, 400, false)
	v.HappensNote, v.DescribedBy = r.original(v.Happens), r.original(v.Description)
	if g := li.GenderValue(); g != listing.NotStated && g != "any" {
		v.Gender = l.Term("gender", g)
	}
	if li.Organization != nil {
		v.Website = webLink(li.Organization.Website)
	}
	if v.Website == nil {
		v.Website = webLink(li.URL)
	}
	if escaped := url.PathEscape(li.ID); escaped == li.ID {
		v.Data = li.ID
	}
	for _, other := range v.Together {
		v.Refs = append(v.Refs, ref{other.Name, other.Path})
	}
	for _, ch := range li.ContactChannels() {
		v.InPerson = v.InPerson || ch.TypeValue() == "in_person"
	}
	v.Confirmed, v.Standing = confirmed(l, p.Country, p.AsOf, s.opt.Now()), standing(l, p.Country, p.Standing)
	v.Notes = notes(l, p)
	v.Report = s.reportForm(l, p, li.ID)
	for i, d := range li.RequiredDocuments {
		if d.Document != "" && i < 8 {
			v.Documents = append(v.Documents, r.text("required_documents."+d.ID+".document", d.Document, 200, false))
		}
	}
	v.coverage(r, li)
	v.place(r, li)
	return v
}

// terms writes codes as their public labels, each once.
func terms(l *locale.Language, vocabulary string, codes []string) []string {
	var list []string
	for i, c := range codes {
		if i < 24 && c != "" {
			list = append(list, page.Clip(120, l.Term(vocabulary, c)))
		}
	}
	return list
}

func datedFact(l *locale.Language, vocabulary, code string, f *listing.DatedFact) dated {
	if code == listing.NotStated {
		return dated{}
	}
	d := dated{Stated: true, Label: l.Term(vocabulary, code)}
	if f != nil {
		d.Source = webLink(f.Source)
		if f.AsOf != "" {
			d.AsOf = l.DateText(page.Clip(20, f.AsOf))
		}
	}
	return d
}

func age(l *locale.Language, li *listing.Listing) string {
	lowest, highest := years(li.MinimumAge), years(li.MaximumAge)
	switch {
	case lowest != "" && highest != "":
		return l.Say("listing.age", "min", lowest, "max", highest)
	case lowest != "":
		return l.Say("listing.age.from", "min", lowest)
	case highest != "":
		return l.Say("listing.age.to", "max", highest)
	}
	return l.Say("listing.age.unsaid")
}

// years writes an age; one that nobody can have reads as not stated.
func years(f *float64) string {
	if f == nil || !(*f >= 0 && *f <= 150) {
		return ""
	}
	return fmt.Sprintf("%g", *f)
}

// guardian speaks of a parent's consent only where minors may come.
func guardian(l *locale.Language, li *listing.Listing) string {
	if li.MinimumAge != nil && *li.MinimumAge >= 18 {
		return ""
	}
	value, from := li.GuardianConsentValue()
	if value == "from_age" {
		return l.Say("listing.guardian.from_age", "age", from)
	}
	return l.Term("guardian_consent", value)
}

func operatorType(l *locale.Language, li *listing.Listing) string {
	if li.OperatorTypeValue() == listing.NotStated {
		return ""
	}
	return l.Term("operator_type", li.OperatorTypeValue())
}

// coverage says from where a listing can be used, and who may.
func (v *detailView) coverage(r reader, li *listing.Listing) {
	c := li.Coverage
	if c == nil {
		return // not stated
	}
	if c.Global {
		v.Usable = append(v.Usable, r.l.Say("listing.usable.global"))
	}
	if c.AnyEU {
		v.Usable = append(v.Usable, r.l.Say("listing.usable.eu"))
	}
	v.Usable = append(v.Usable, r.countries(c.Countries, 40)...)
	for i, region := range c.Regions {
		if i < 20 {
			v.Usable = append(v.Usable, page.Clip(20, region))
		}
	}
	if len(c.LanguageCommunities) > 0 {
		v.Limits = append(v.Limits, r.l.Say("listing.usable.communities", "languages", r.l.Join(r.languages(c.LanguageCommunities, 8))))
	}
	for _, limit := range []struct {
		holds bool
		key   string
	}{{c.Residency, "listing.residency"}, {c.Citizenship, "listing.citizenship"}, {c.Insurance, "listing.insurance"}} {
		if limit.holds {
			v.Limits = append(v.Limits, r.l.Say(limit.key))
		}
	}
}

// place says where a listing is, as precisely as it may be said.
func (v *detailView) place(r reader, li *listing.Listing) {
	region := ""
	if li.Region != nil {
		if region = li.Region.Name; region == "" {
			region = li.Region.Code
		}
		region = page.Clip(120, region)
	}
	switch li.PrecisionValue() {
	case listing.PrecisionHidden:
		v.Place = r.l.Say("listing.hidden")
		return
	case listing.PrecisionRegion:
		v.Place = r.l.Say("listing.hidden")
		if region != "" {
			v.Place = r.l.Say("listing.region_only", "region", region)
		}
		return
	}
	for _, at := range li.ServiceAtLocations {
		if at.Location == nil || len(v.Places) == 8 {
			continue
		}
		for _, a := range at.Location.Addresses {
			var parts []string
			for _, part := range []string{at.Location.Name, a.Address1, a.Address2, strings.TrimSpace(a.PostalCode + " " + a.City), a.StateProvince} {
				if part = strings.TrimSpace(part); part != "" {
					parts = append(parts, page.Clip(100, part))
				}
			}
			if len(parts) > 0 && len(v.Places) < 8 {
				v.Places = append(v.Places, text{S: strings.Join(parts, ", "), Marked: r.foreign(), Lang: r.own})
			}
		}
	}
	if len(v.Places) == 0 && region != "" {
		v.Place = region
	}
}
