package listing

import (
	"net"
	"net/url"
	"strings"
)

// PublicPage is where the country's own node shows this directory, so that a
// reader who does not trust one operator can read another's page.
type PublicPage struct {
	URL  string `json:"url"` // as Address takes it
	AsOf string `json:"as_of"`
}

// Address returns the address of the page, without a slash at its end; "" when
// it is none that a reader may be sent to: https, or http for an onion address
// or this very machine (demonstrations), and nothing after a question mark.
func (p *PublicPage) Address() string {
	if p == nil || len(p.URL) > 300 {
		return ""
	}
	u, err := url.Parse(strings.TrimSpace(p.URL))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return ""
	}
	host := u.Hostname()
	here := host == "localhost" || net.ParseIP(host).IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here && !strings.HasSuffix(host, ".onion")) {
		return ""
	}
	return strings.TrimRight(u.String(), "/")
}

func (s *Sheet) checkPage(c *checker) {
	if s.Page == nil {
		return
	}
	if s.Page.Address() == "" {
		c.add("public_page.url", CodeBadValue, "This is no address at which readers find the directory. Write it with https:// in front, or http:// for an onion address, and without anything after a question mark.")
	}
	c.day("public_page.as_of", s.Page.AsOf)
}
