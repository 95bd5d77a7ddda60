package listing

import (
	"net/mail"
	"net/url"
	"strconv"
	"strings"
)

// DialTarget returns what a telephone must dial for the channel: the bare
// digits of a short code (112, 116123), else "+" and digits as in E.164, or the
// digits of a national number. It is "" when the channel is no phone, or its
// value is no number that can be trusted to reach the same place.
func (c Channel) DialTarget() string {
	if c.Type != "phone" {
		return ""
	}
	digits, plus, ok := dialDigits(c.Value)
	if !ok {
		return ""
	}
	switch {
	case c.NumberKind == NumberShortCode || (c.NumberKind == "" && !plus && len(digits) <= 6):
		if plus || len(digits) > 8 {
			return "" // no short code at all
		}
		return digits
	case c.NumberKind != "" && c.NumberKind != NumberInternational:
		return "" // a kind of number that this version cannot dial
	case len(digits) < 5:
		return ""
	case plus:
		return "+" + digits
	}
	return digits
}

// dialDigits takes a written number apart. Letters and anything else
// that is not an ordinary separator make it no number.
func dialDigits(s string) (digits string, plus, ok bool) {
	s = strings.TrimPrefix(strings.Trim(strings.TrimSpace(s), `"' `), "tel:")
	s = strings.TrimSpace(s)
	if rest, found := strings.CutPrefix(s, "+"); found {
		plus, s = true, strings.Replace(rest, "(0)", "", 1)
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case strings.ContainsRune(" .-/()\u00a0\u202f\u2010\u2011\u2013", r):
		default:
			return "", false, false
		}
	}
	digits = b.String()
	if rest, found := strings.CutPrefix(digits, "00"); found && !plus {
		plus, digits = true, rest
	}
	if len(digits) < 2 || len(digits) > 15 || (plus && digits[0] == '0') {
		return "", false, false
	}
	return digits, plus, true
}

// Link returns an address that a page may link to: tel:, mailto:, http: or https:; ""
// when the value is no such thing (a postal address, a name in an app).
func (c Channel) Link() string {
	switch c.TypeValue() {
	case "phone":
		if t := c.DialTarget(); t != "" {
			return "tel:" + t
		}
		return ""
	case "email":
		a, err := mail.ParseAddress(c.Value)
		if err != nil || a.Address != strings.TrimSpace(c.Value) {
			return ""
		}
		return "mailto:" + url.PathEscape(a.Address)
	case "in_person", "post":
		return ""
	}
	if webAddress(c.Value) {
		return c.Value
	}
	return ""
}

// webAddress tells whether s is an absolute http or https address.
func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// ContactChannels returns the ways to make contact: the channels, or where a
// plain HSDS document has none, what its phones, e-mail and web address say. Of
// those everything else is not stated. Telefaxes are left out; a web address has the
// type other, since only the profile can tell a page from a service on it.
func (l *Listing) ContactChannels() []Channel {
	if len(l.Channels) > 0 {
		return l.Channels
	}
	d := derived{seen: map[string]bool{}}
	d.phones(l.Phones)
	d.email(l.Email)
	for _, s := range l.ServiceAtLocations {
		d.phones(s.Phones)
		if s.Location != nil {
			d.phones(s.Location.Phones)
		}
	}
	for _, c := range l.Contacts {
		d.phones(c.Phones)
		d.email(c.Email)
	}
	if o := l.Organization; o != nil {
		d.phones(o.Phones)
		d.email(o.Email)
	}
	d.web(l.URL)
	if o := l.Organization; o != nil && l.URL == "" {
		d.web(o.Website)
	}
	return d.channels
}

// derived collects channels, each value once.
type derived struct {
	channels []Channel
	seen     map[string]bool
}

func (d *derived) add(c Channel) {
	c.Value = strings.Trim(strings.TrimSpace(c.Value), `"`)
	key := c.Value
	if target := c.DialTarget(); target != "" {
		key = target
	}
	if c.Value == "" || d.seen[key] || len(d.channels) >= maxDerived {
		return
	}
	d.seen[key] = true
	if c.ID == "" {
		c.ID = c.Type + "-" + strconv.Itoa(len(d.channels)+1)
	}
	d.channels = append(d.channels, c)
}

// maxDerived bounds what a page has to show of a document full of numbers.
const maxDerived = 24

func (d *derived) phones(phones []Phone) {
	for _, p := range phones {
		c := Channel{ID: p.ID, Type: "phone", Value: p.Number, Label: p.Description}
		switch strings.ToLower(p.Type) {
		case "fax", "pager":
			continue
		case "sms", "text":
			c.Type = "async_message"
		}
		for _, lang := range p.Languages {
			if languageTag.MatchString(lang.Code) {
				c.Languages = append(c.Languages, lang.Code)
			}
		}
		d.add(c)
	}
}

func (d *derived) email(address string) { d.add(Channel{Type: "email", Value: address}) }

func (d *derived) web(address string) {
	c := Channel{Type: Other, Value: address}
	if u, err := url.Parse(address); err == nil && strings.HasSuffix(u.Hostname(), ".onion") {
		c.Type = "onion_site"
	}
	d.add(c)
}
