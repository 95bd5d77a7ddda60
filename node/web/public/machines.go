package public

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/hsds"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/locale"
	"github.com/2ps-project/waymark/node/web/page"
)

// What programs read on the same addresses as people. Nothing of it says whom a
// service is for: what stands in a result list of a search engine, or in a feed
// reader, is seen by others.

const (
	// jsonLD ends the address of a service's data.
	jsonLD = ".jsonld"
	// securityLife is how long what security.txt says may be relied on. It is made
	// anew for each request; RFC 9116 recommends less than a year.
	securityLife = 90 * 24 * time.Hour
)

// answer writes something that is no page.
func (s *Site) answer(w http.ResponseWriter, kind string, body []byte) {
	page.Headers(w.Header())
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // the reader has gone
}

// data answers GET /{lang}/s/{id}.jsonld: the service as schema.org has it.
func (s *Site) data(w http.ResponseWriter, r *http.Request, l *locale.Language, id string) {
	p, err := s.visible(r.Context(), id)
	if err != nil {
		s.fault(w, l, err)
		return
	}
	body, err := json.Marshal(s.schema(r, l, p))
	if err != nil {
		s.opt.Logger.Error("the data of a service could not be made", "err", err)
		s.fail(w, l, http.StatusInternalServerError)
		return
	}
	s.answer(w, "application/ld+json", body)
}

type object = map[string]any

// schema is a service in the words of schema.org, as hsds.LinkedData has it, with
// this page as its address, labels for codes, and of the texts and links of others
// only what the page shows too.
func (s *Site) schema(r *http.Request, l *locale.Language, p listing.Published) object {
	li, c := p.Listing, s.one(r.Context(), l, p, asker{})
	out := hsds.LinkedData(li)
	delete(out, "description")
	delete(out, "availableChannel")
	delete(out, "inLanguage")
	address := s.base(r) + c.Path
	out["@id"], out["url"], out["name"], out["identifier"] = address, address, c.Name.S, page.Clip(200, li.ID)
	out["sdDatePublished"] = p.Modified.UTC().Format(time.DateOnly)
	if operator := s.operatorOf(p.Country); operator != "" {
		out["sdPublisher"] = object{"@type": "Organization", "name": operator}
	}
	if s.opt.Demo {
		out["disambiguatingDescription"] = l.Say("demo")
	}
	if c.Name.Lang != "" {
		out["inLanguage"] = c.Name.Lang
	}
	if provider, ok := out["provider"].(object); ok {
		provider["name"] = c.Organisation
		delete(provider, "url")
		if site := webLink(li.Organization.Website); site != nil {
			provider["url"] = site.URL
		}
	}
	if kinds := terms(l, "service_type", li.ServiceTypes); len(kinds) > 0 {
		out["serviceType"] = kinds
	}
	if c.Stub {
		return out // its ways of contact may be somebody else's by now
	}
	if d := newReader(l, p).text("description", li.Description, 1000, false); d.S != "" {
		out["description"] = d.S
	}
	var ways []object
	for _, ch := range s.channels(l, p) {
		ways = append(ways, schemaChannel(ch))
	}
	if len(ways) > 0 {
		out["availableChannel"] = ways
	}
	return out
}

// schemaChannel is a way of contact. One that was not confirmed for too long has
// no address, as on the page.
func schemaChannel(ch channel) object {
	out := object{"@type": "ServiceChannel", "name": ch.Type}
	if len(ch.Languages) > 0 {
		out["availableLanguage"] = ch.Languages
	}
	if ch.Href == "" || ch.Lapsed {
		return out
	}
	href := string(ch.Href)
	switch kind, rest, _ := strings.Cut(href, ":"); kind {
	case "tel":
		out["servicePhone"] = object{"@type": "ContactPoint", "telephone": rest}
	case "sms":
		out["serviceSmsNumber"] = object{"@type": "ContactPoint", "telephone": rest}
	default:
		out["serviceUrl"] = href
	}
	return out
}

// xmlText is a text of somebody else's without white space around it; one of
// nothing gets a dash, since a title must not be empty.
func xmlText(text string) string {
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return "–"
	}
	return page.Clip(maxName, text)
}

// operatorOf is who publishes for a country; "" when nobody does.
func (s *Site) operatorOf(code string) string {
	for _, c := range s.opt.Catalog.Countries() {
		if strings.EqualFold(c.Code, code) {
			return c.Operator
		}
	}
	return ""
}

// sitemap answers GET /sitemap.xml: the pages that say nothing about who opens
// them. No service is among them.
func (s *Site) sitemap(w http.ResponseWriter, r *http.Request) {
	type location struct {
		Address string `xml:"loc"`
	}
	var out struct {
		XMLName xml.Name   `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		Pages   []location `xml:"url"`
	}
	paths := []string{"/", "/safety", "/accessibility"}
	for _, c := range s.opt.Catalog.Countries() {
		if twoLetters(c.Code) {
			paths = append(paths, "/in/"+strings.ToLower(c.Code))
		}
	}
	for _, l := range s.opt.Locale.Languages() {
		for _, path := range paths {
			out.Pages = append(out.Pages, location{s.base(r) + "/" + l.Tag() + path})
		}
	}
	body, err := xml.Marshal(out)
	if err != nil {
		s.fail(w, s.tongue(r), http.StatusInternalServerError)
		return
	}
	s.answer(w, "application/xml; charset=utf-8", append([]byte(xml.Header), body...))
}

// robots answers GET /robots.txt.
func (s *Site) robots(w http.ResponseWriter, r *http.Request) {
	s.answer(w, "text/plain; charset=utf-8", fmt.Appendf(nil, "User-agent: *\nDisallow: /api/\nDisallow: /leave\nDisallow: /*/report/\n\nSitemap: %s/sitemap.xml\n", s.base(r)))
}

// security answers GET /.well-known/security.txt (RFC 9116).
func (s *Site) security(w http.ResponseWriter, r *http.Request) {
	if s.opt.SecurityContact == "" {
		s.fail(w, s.tongue(r), http.StatusNotFound)
		return
	}
	expires := s.opt.Now().UTC().Truncate(24 * time.Hour).Add(securityLife)
	text := fmt.Sprintf("Contact: %s\nExpires: %s\nPreferred-Languages: en\n", s.opt.SecurityContact, expires.Format(time.RFC3339))
	if s.opt.BaseURL != "" {
		text += "Canonical: " + s.base(r) + "/.well-known/security.txt\n"
	}
	s.answer(w, "text/plain; charset=utf-8", []byte(text))
}
