package fhir

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
)

// Writer writes resources. It is a value for one moment.
type Writer struct {
	Base       string // of this node, "https://directory.example.org"
	Vocabulary hsds.Vocabulary
	Cadence    listing.Cadence
	Now        time.Time
	Demo       bool // every resource is tagged as test data
}

// ChannelExtension is the path of the extension that says what is known of a way
// to make contact, below the base of a node.
const ChannelExtension = "/hsds/profile/fhir-channel"

// Service writes the service of a listing. What lapsed is not asserted, and
// nothing is said of its audience.
func (w *Writer) Service(p listing.Published) Resource {
	l := p.Listing
	active := p.StatusValue() == listing.Active
	r := Resource{
		ResourceType: "HealthcareService", ID: l.ID, Active: &active, Meta: Meta{Tag: w.tags()},
		Identifier: serviceIdentifiers(l), Name: line(l.Name), Comment: line(l.Description),
		Category:       w.concepts(listing.VocabularyKind, string(l.KindValue())),
		Type:           w.concepts(listing.VocabularyServiceType, l.ServiceTypes...),
		Characteristic: append(w.concepts(listing.VocabularyFormat, l.Formats...), w.concepts(listing.VocabularySetting, l.Settings...)...),
		ReferralMethod: w.concepts(listing.VocabularyReferral, l.Referral...),
		Communication:  communication(l),
	}
	if o := organization(l); o != nil {
		r.ProvidedBy = o
	}
	for _, id := range hsds.Places(l) {
		if ValidID(id) {
			r.Location = append(r.Location, Reference{Reference: "Location/" + id})
		}
	}
	if s := line(l.EligibilityDescription); s != "" {
		r.Eligibility = []Eligibility{{s}}
	}
	if l.Program != nil {
		if s := line(l.Program.Name); s != "" {
			r.Program = []Concept{{Text: s}}
		}
	}
	if p.StatusValue() == listing.TemporarilyClosed {
		r.NotAvailable = []Unavailable{{Description: "Temporarily closed."}}
	}
	channels := l.ContactChannels()
	for i := range channels {
		ch := &channels[i]
		if ch.StatusValue() != listing.ChannelActive || l.ChannelFreshness(ch, w.Now, w.Cadence) == listing.Lapsed {
			continue
		}
		if t, ok := w.telecom(ch); ok {
			r.Telecom = append(r.Telecom, t)
		}
		if active && len(p.Alerts) == 0 && !l.HoursInDoubt(ch, w.Now) {
			r.hours(ch.Hours)
		}
	}
	r.seal(hsds.Modified(l, p.Modified))
	return r
}

func serviceIdentifiers(l *listing.Listing) []Identifier {
	list := []Identifier{{System: "urn:ietf:rfc:3986", Value: "urn:uuid:" + l.ID}}
	for _, x := range l.ExternalIDs {
		list = identified(list, x.Scheme, x.ID)
	}
	return list
}

// identified appends an id in a scheme: one that is an address is a system, any
// other is only a name.
func identified(list []Identifier, scheme, value string) []Identifier {
	if value = line(value); value == "" {
		return list
	}
	id, scheme := Identifier{Value: value}, line(scheme)
	if u, err := url.Parse(scheme); err == nil && u.Scheme != "" && !strings.ContainsAny(scheme, " \t\n") {
		id.System = scheme
	} else if scheme != "" {
		id.Type = &Concept{Text: scheme}
	}
	return append(list, id)
}

func organization(l *listing.Listing) *Reference {
	if l.Organization == nil {
		return nil
	}
	r := Reference{Display: line(l.Organization.Name)}
	if id := hsds.OrganizationID(l); ValidID(id) {
		r.Reference = "Organization/" + id
	}
	if r == (Reference{}) {
		return nil
	}
	return &r
}

// communication are the languages of the service and of its channels.
func communication(l *listing.Listing) (out []Concept) {
	var seen []string
	add := func(tag, name string) {
		tag, name = line(tag), line(name)
		if key := cmp.Or(tag, name); key == "" || slices.Contains(seen, key) {
			return
		} else {
			seen = append(seen, key)
		}
		c := Concept{Text: name}
		if codeRule.MatchString(tag) {
			c.Coding = []Code{{System: "urn:ietf:bcp:47", Code: tag}}
		} else if name == "" {
			return
		}
		out = append(out, c)
	}
	for _, x := range l.Languages {
		add(x.Code, x.Name)
	}
	for i := range l.Channels {
		for _, tag := range l.Channels[i].Languages {
			add(tag, "")
		}
	}
	return out
}

// telecom is a channel as a ContactPoint; false for one that is a place.
func (w *Writer) telecom(ch *listing.Channel) (Telecom, bool) {
	kind := ch.TypeValue()
	t := Telecom{System: "other", Value: line(ch.Value)}
	switch link := ch.Link(); {
	case t.Value == "" || kind == "in_person" || kind == "post":
		return t, false
	case kind == "phone" || kind == "callback":
		t.System = "phone"
	case kind == "email":
		t.System = "email"
	case strings.HasPrefix(link, "http"):
		t.System = "url"
	}
	x := Extension{URL: w.Base + ChannelExtension}
	add := func(name, code string) {
		if code = line(code); codeRule.MatchString(code) {
			x.Extension = append(x.Extension, Extension{URL: name, ValueCode: code})
		}
	}
	add("type", kind)
	add("cost", ch.CostValue())
	add("anonymity", ch.AnonymityValue())
	conditions, stated := ch.BreachConditions()
	if !stated {
		conditions = []string{listing.NotStated}
	}
	for _, c := range conditions {
		add("breach", c)
	}
	t.Extension = []Extension{x}
	return t, true
}

var weekdays = map[string]string{"MO": "mon", "TU": "tue", "WE": "wed", "TH": "thu", "FR": "fri", "SA": "sat", "SU": "sun"}

var week = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// hours adds the opening hours of a channel. FHIR has no time after midnight:
// what runs past it is two openings.
func (r *Resource) hours(h *listing.Hours) {
	if h == nil || h.NotStated {
		return
	}
	before := len(r.AvailableTime)
	if h.AlwaysOpen {
		r.open(Available{DaysOfWeek: week, AllDay: true})
	}
	for _, s := range h.Weekly {
		day, ok := weekdays[s.Day]
		opens, ok1 := clock(s.Opens)
		closes, ok2 := clock(s.Closes)
		if h.AlwaysOpen || !ok || !ok1 || !ok2 || s.Opens == "24:00" {
			continue
		}
		switch {
		case opens == "00:00:00" && (closes == "24:00:00" || closes == "00:00:00"):
			r.open(Available{DaysOfWeek: []string{day}, AllDay: true})
		case closes == "24:00:00" || closes == "00:00:00":
			r.open(Available{DaysOfWeek: []string{day}, AvailableStartTime: opens, AvailableEndTime: "23:59:59"})
		case closes > opens:
			r.open(Available{DaysOfWeek: []string{day}, AvailableStartTime: opens, AvailableEndTime: closes})
		default:
			next := week[(slices.Index(week, day)+1)%7]
			r.open(Available{DaysOfWeek: []string{day}, AvailableStartTime: opens, AvailableEndTime: "23:59:59"})
			r.open(Available{DaysOfWeek: []string{next}, AvailableStartTime: "00:00:00", AvailableEndTime: closes})
		}
	}
	for _, e := range h.Exceptions {
		if _, err := time.Parse(time.DateOnly, e.Date); err != nil {
			continue
		}
		if e.Closed {
			r.NotAvailable = append(r.NotAvailable, Unavailable{Description: cmp.Or(line(e.Note), "Closed."), During: &Period{e.Date, e.Date}})
		} else {
			r.except(e.Date + " " + e.Opens + "–" + e.Closes + " " + e.Note)
		}
	}
	if zone := line(h.Zone); zone != "" && len(r.AvailableTime) > before {
		r.except("Times are those of " + zone + ".")
	}
}

// open adds an opening once, and joins days with the same hours.
func (r *Resource) open(a Available) {
	for i := range r.AvailableTime {
		x := &r.AvailableTime[i]
		if x.AllDay == a.AllDay && x.AvailableStartTime == a.AvailableStartTime && x.AvailableEndTime == a.AvailableEndTime {
			for _, d := range a.DaysOfWeek {
				if !slices.Contains(x.DaysOfWeek, d) {
					x.DaysOfWeek = append(slices.Clip(x.DaysOfWeek), d)
				}
			}
			return
		}
	}
	r.AvailableTime = append(r.AvailableTime, a)
}

func (r *Resource) except(s string) {
	if s = line(s); !strings.Contains(r.AvailabilityExceptions, s) {
		r.AvailabilityExceptions = line(r.AvailabilityExceptions + "\n" + s)
	}
}

// clock writes "9:30" as "09:30:00"; "24:00" is the end of the day.
func clock(s string) (string, bool) {
	if s == "24:00" {
		return "24:00:00", true
	}
	t, err := time.Parse("15:04", s)
	return t.Format("15:04:05"), err == nil
}

// Organization writes the organization of a listing; false when it has none that
// FHIR can name.
func (w *Writer) Organization(p listing.Published) (Resource, bool) {
	l := p.Listing
	o, id := l.Organization, hsds.OrganizationID(l)
	if o == nil || !ValidID(id) {
		return Resource{}, false
	}
	active := true
	r := Resource{
		ResourceType: "Organization", ID: id, Active: &active, Meta: Meta{Tag: w.tags()},
		Name: line(o.Name), Alias: lines(o.AlternateName),
		Type: w.concepts(listing.VocabularyOperatorType, lines(o.OperatorType)...),
	}
	for _, x := range o.OrganizationIdentifiers {
		r.Identifier = identified(r.Identifier, cmp.Or(x.IdentifierScheme, x.IdentifierType), x.Identifier)
	}
	if r.Name == "" && len(r.Identifier) == 0 {
		return Resource{}, false // org-1: it has at least one of them
	}
	if parent := o.ParentOrganizationID; ValidID(parent) {
		r.PartOf = &Reference{Reference: "Organization/" + parent}
	}
	if l.Freshness(w.Now, w.Cadence) != listing.Lapsed {
		if u, err := url.Parse(line(o.Website)); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			r.Telecom = append(r.Telecom, Telecom{System: "url", Value: u.String()})
		}
		if s := line(o.Email); s != "" {
			r.Telecom = append(r.Telecom, Telecom{System: "email", Value: s})
		}
	}
	r.seal(hsds.Modified(l, p.Modified))
	return r, true
}

// Location writes the place with an id where a listing is given; false when there
// is none. Of one that is protected it says the region.
func (w *Writer) Location(p listing.Published, id string) (Resource, bool) {
	l := p.Listing
	i := slices.Index(hsds.Places(l), id)
	if i < 0 || !ValidID(id) {
		return Resource{}, false
	}
	r := Resource{
		ResourceType: "Location", ID: id, Status: "active", Mode: "instance", Meta: Meta{Tag: w.tags()},
		Name: line(l.Name), ManagingOrganization: organization(l),
	}
	if p.StatusValue() == listing.TemporarilyClosed {
		r.Status = "suspended"
	} else if p.StatusValue() != listing.Active {
		r.Status = "inactive"
	}
	at := l.ServiceAtLocations[i].Location
	if protected := l.AddressPrecision != "" && l.AddressPrecision != "full"; protected || at == nil {
		r.PhysicalType = physical("area", "Area")
		if l.Region != nil {
			r.Description = line(l.Region.Name)
			if code := line(l.Region.Code); code != "" {
				r.Address = &Address{State: code}
			}
		}
		r.seal(hsds.Modified(l, p.Modified))
		return r, true
	}
	r.Name = cmp.Or(line(at.Name), r.Name)
	r.Alias, r.Description = lines(at.AlternateName), line(at.Description)
	r.Identifier = identified(nil, at.ExternalIdentifierType, at.ExternalIdentifier)
	r.Type = w.concepts(listing.VocabularyLocationType, lines(at.LocationType)...)
	if at.LocationType == "virtual" {
		r.PhysicalType = physical("vi", "Virtual")
	} else {
		r.PhysicalType = physical("si", "Site")
	}
	for _, a := range at.Addresses {
		x := Address{
			Line: lines(a.Address1, a.Address2), City: line(a.City), District: line(a.Region), State: line(a.StateProvince),
			PostalCode: line(a.PostalCode), Country: line(a.Country),
		}
		if a.AddressType == "postal" || a.AddressType == "physical" {
			x.Type = a.AddressType
		}
		if r.Address == nil || r.Address.Type == "postal" && x.Type == "physical" {
			r.Address = &x // one only: where it is, rather than where it gets its post
		}
	}
	if a, b := at.Latitude, at.Longitude; a != nil && b != nil && *a >= -90 && *a <= 90 && *b >= -180 && *b <= 180 {
		r.Position = &Position{Longitude: *b, Latitude: *a}
	}
	r.seal(hsds.Modified(l, p.Modified))
	return r, true
}

func physical(code, name string) *Concept {
	return &Concept{Coding: []Code{{"http://terminology.hl7.org/CodeSystem/location-physical-type", code, name}}}
}
