package hsds

import (
	"crypto/sha1"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/node/hsds/schema"
	"github.com/2ps-project/waymark/node/listing"
)

// space is the name space of all ids that are made here from others (RFC 9562,
// version 5), so that the same thing has the same id on every node.
var space = uuid.MustParse("0f6b4a52-93c1-5d0e-8a77-3c5de1b0a9f4")

func madeID(parts ...string) string {
	b := append(make([]byte, 0, 160), space[:]...)
	for i, part := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, part...)
	}
	sum := sha1.Sum(b) // as RFC 9562 has it; uuid.NewSHA1 takes five times as long
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 5<<4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// Plain returns a public document as clients need it that know HSDS and not the
// profile: what the profile says of channels, audience and confidentiality
// stands also as phones, schedules and attributes, and what HSDS requires and
// nobody has said is there and empty. Its own objects stay as they are and come
// first. Channels for which skip is true say nothing there. The document is used up:
// what is returned is made of it. What was added is not to be changed.
//
// The ids of what is added are made from that of the service. [Strip] takes it
// out again.
func Plain(d listing.Document, l *listing.Listing, v Vocabulary, skip func(*listing.Channel) bool) listing.Document {
	out := d
	dropNull(d)
	p := plain{service: l.ID, v: v, known: numbers(l)}
	for i := range l.Channels {
		ch := &l.Channels[i]
		if skip != nil && skip(ch) || ch.StatusValue() != listing.ChannelActive {
			continue
		}
		p.channel(i, ch)
	}
	for _, f := range facts {
		for _, code := range f.of(l) {
			p.attribute(f.vocabulary, code, "", "")
		}
	}
	add(out, "phones", p.phones)
	add(out, "schedules", p.schedules)
	add(out, "attributes", p.attributes)
	complete("service", out, seed{name: l.ID})
	return out
}

// add appends objects to a list of a document, in a copy.
func add(d listing.Document, name string, more []any) {
	if len(more) == 0 {
		return
	}
	own, _ := d[name].([]any)
	d[name] = append(slices.Clip(own), more...)
}

// Strip takes out of a document what [Plain] adds, so that what one node serves
// can be taken in by another as it was.
func Strip(d listing.Document) {
	id, _ := d["id"].(string)
	for _, name := range [...]string{"phones", "schedules", "attributes"} {
		list, _ := d[name].([]any)
		kept := slices.DeleteFunc(slices.Clone(list), func(v any) bool {
			m, _ := v.(map[string]any)
			own, _ := m["id"].(string)
			ref, _ := m[refField].(string)
			return ref != "" && own == madeID(id, name, ref)
		})
		switch {
		case len(kept) == len(list):
		case len(kept) == 0:
			delete(d, name)
		default:
			d[name] = kept
		}
	}
}

// refField says of an object that was made here from what in the profile. With
// it the id can be made again.
const refField = "derived_from"

// plain gathers what is added to one service.
type plain struct {
	service string
	v       Vocabulary
	known   map[string]bool // digits of the numbers that stand there already

	phones, schedules, attributes []any
}

func numbers(l *listing.Listing) map[string]bool {
	known := map[string]bool{}
	for _, p := range l.Phones {
		known[digits(p.Number)] = true
	}
	return known
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// made is an object with an id and its origin.
func (p *plain) made(list, from string) map[string]any {
	return map[string]any{"id": madeID(p.service, list, from), refField: from}
}

func (p *plain) channel(i int, ch *listing.Channel) {
	kind := ch.TypeValue()
	from := fmt.Sprintf("channels/%d", i)
	if ch.ID != "" {
		from = "channels/" + ch.ID
	}
	name := ch.Label
	if name == "" {
		name = p.v.Label(listing.VocabularyChannel, kind)
	}
	if n := digits(ch.Value); (kind == "phone" || kind == "callback") && n != "" && !p.known[n] {
		p.known[n] = true
		phone := p.made("phones", from)
		phone["service_id"], phone["number"], phone["type"], phone["description"] = p.service, ch.Value, "voice", name
		var languages []any
		for _, tag := range ch.Languages {
			languages = append(languages, map[string]any{"id": madeID(p.service, "languages", from, tag), "code": tag})
		}
		if languages != nil {
			phone["languages"] = languages
		}
		p.phones = append(p.phones, phone)
	}
	p.hours(from, name, kind, ch.Hours)
	p.attribute(listing.VocabularyChannel, kind, from, name)
	p.attribute(listing.VocabularyCost, ch.CostValue(), from, said(name, ch.Cost))
	p.attribute(listing.VocabularyAnonymity, ch.AnonymityValue(), from, said(name, ch.Anonymity))
	conditions, stated := ch.BreachConditions()
	if !stated {
		conditions = []string{listing.NotStated}
	}
	for _, c := range conditions {
		var fact *listing.Fact
		if ch.Breach != nil {
			fact = &ch.Breach.Fact
		}
		p.attribute(listing.VocabularyBreach, c, from, said(name, fact))
	}
}

// said is a fact in words: of which channel, and what the service itself says.
func said(channel string, f *listing.Fact) string {
	if f == nil || f.Text == "" {
		return channel
	}
	return channel + ": " + f.Text
}

// hours are one schedule for the days that have the same opening, and one for
// each exception.
func (p *plain) hours(from, name, kind string, h *listing.Hours) {
	if h == nil || h.NotStated {
		return
	}
	one := func(part string) map[string]any {
		s := p.made("schedules", from+"/"+part)
		s["service_id"], s["description"], s["attending_type"] = p.service, name, kind
		if h.Zone != "" {
			s["notes"] = "Times are those of " + h.Zone + "."
		}
		p.schedules = append(p.schedules, s)
		return s
	}
	if h.AlwaysOpen {
		s := one("always")
		s["freq"], s["byday"], s["opens_at"], s["closes_at"] = "WEEKLY", "MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00"
		return
	}
	days := map[[2]string][]string{}
	var order [][2]string
	for _, w := range h.Weekly {
		k := [2]string{w.Opens, w.Closes}
		if days[k] == nil {
			order = append(order, k)
		}
		days[k] = append(days[k], w.Day)
	}
	for _, k := range order {
		s := one("weekly/" + k[0] + "-" + k[1])
		s["freq"], s["byday"], s["opens_at"], s["closes_at"] = "WEEKLY", strings.Join(days[k], ","), k[0], k[1]
	}
	for i, e := range h.Exceptions {
		s := one(fmt.Sprintf("exceptions/%d", i))
		s["valid_from"], s["valid_to"] = e.Date, e.Date
		text := "On this date only, in place of the weekly hours."
		if e.Closed {
			text = "Closed on this date."
		} else {
			s["opens_at"], s["closes_at"] = e.Opens, e.Closes
		}
		s["notes"] = strings.TrimSpace(text + " " + e.Note)
	}
}

// attribute says a code of a vocabulary. Each code stands once for each place.
func (p *plain) attribute(vocabulary, code, from, value string) {
	if code == "" {
		return
	}
	ref := strings.TrimPrefix(from+"/"+vocabulary+"/"+code, "/")
	a := p.made("attributes", ref)
	a["link_entity"], a["link_type"] = "service", vocabulary
	if value != "" {
		a["value"] = value
	}
	a["taxonomy_term"] = p.v.shortTerm(vocabulary, code)
	p.attributes = append(p.attributes, a)
}

// facts are the codes of a service that stand as attributes.
var facts = []struct {
	vocabulary string
	of         func(l *listing.Listing) []string
}{
	{listing.VocabularyKind, func(l *listing.Listing) []string {
		if l.Kind == "" {
			return nil // a plain document says nothing of it
		}
		return []string{string(l.KindValue())}
	}},
	{listing.VocabularyAudience, func(l *listing.Listing) []string { return l.Audience }},
	{listing.VocabularyServiceType, func(l *listing.Listing) []string { return l.ServiceTypes }},
	{listing.VocabularyFormat, func(l *listing.Listing) []string { return l.Formats }},
	{listing.VocabularySetting, func(l *listing.Listing) []string { return l.Settings }},
	{listing.VocabularyReferral, func(l *listing.Listing) []string { return l.Referral }},
	{listing.VocabularyPreventionLevel, func(l *listing.Listing) []string { return l.PreventionLevels }},
	{listing.VocabularyObjective, func(l *listing.Listing) []string { return l.Objectives }},
	{listing.VocabularyGender, func(l *listing.Listing) []string { return given(l.Gender) }},
	{listing.VocabularyEvidence, func(l *listing.Listing) []string { return given(l.Evidence) }},
}

func given(code string) []string {
	if code == "" {
		return nil
	}
	return []string{code}
}

// seed is where an object stands, from which ids are made that it lacks.
type seed struct {
	above *seed
	name  string
	at    int // in a list, from 1; 0 = in none
}

func (s *seed) String() string {
	switch {
	case s.above == nil:
		return s.name
	case s.at > 0:
		return fmt.Sprintf("%s/%s/%d", s.above, s.name, s.at-1)
	}
	return s.above.String() + "/" + s.name
}

// plan is what [complete] looks at in an object.
type plan struct {
	required []schema.Field
	inner    []schema.Field // objects, and lists of them
	formed   []schema.Field // texts that have a form
}

var plans = func() map[string]plan {
	all := map[string]plan{}
	for _, object := range schema.Objects() {
		var p plan
		for _, f := range schema.Fields(object) {
			if f.Required {
				p.required = append(p.required, f)
			}
			if f.Kind == schema.String && formed(f.Format) {
				p.formed = append(p.formed, f)
			}
			if f.Kind == schema.Object || f.Kind == schema.List && f.Object != "string" {
				p.inner = append(p.inner, f)
			}
		}
		all[object] = p
	}
	return all
}()

// complete gives an object, and those in it, the fields that HSDS requires, and each
// the form that it asks for.
func complete(object string, m map[string]any, at seed) {
	p := plans[object]
	conform(p.formed, m)
	for i := range p.required {
		f := &p.required[i]
		if _, there := m[f.Name]; !there {
			m[f.Name] = blank(f, object, at)
		}
	}
	for i := range p.inner {
		f := &p.inner[i]
		switch v := m[f.Name].(type) {
		case map[string]any:
			if f.Kind == schema.Object {
				complete(f.Object, v, seed{above: &at, name: f.Name})
			}
		case []any:
			if f.Kind != schema.List {
				continue
			}
			for i, x := range v {
				if inner, ok := x.(map[string]any); ok {
					complete(f.Object, inner, seed{&at, f.Name, i + 1})
				}
			}
		}
	}
}

func clone(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// blank is the value of a field that must be there and is not.
func blank(f *schema.Field, object string, at seed) any {
	switch {
	case f.Format == "uuid":
		return madeID(at.String(), object, f.Name)
	case f.Values != nil:
		return f.Values[0]
	case f.Kind == schema.Number:
		return int64(0)
	}
	return ""
}
