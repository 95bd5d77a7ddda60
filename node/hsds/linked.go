package hsds

import (
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// LinkedData returns a service in the words of schema.org (JSON-LD): Service,
// Organization, ServiceChannel, ContactPoint. Empty members are left out, and so is
// whom the service is for: whoever follows such data must not learn that from it.
// l is the public listing.
func LinkedData(l *listing.Listing) map[string]any {
	out := map[string]any{"@context": "https://schema.org", "@type": "Service", "@id": "urn:uuid:" + l.ID, "identifier": l.ID, "name": l.Name}
	set(out, "description", l.Description)
	set(out, "url", l.URL)
	set(out, "inLanguage", l.TextLanguage)
	set(out, "license", l.Licence)
	if l.Organization != nil && l.Organization.Name != "" {
		provider := map[string]any{"@type": "Organization", "name": l.Organization.Name}
		set(provider, "url", l.Organization.Website)
		out["provider"] = provider
	}
	if len(l.ServiceTypes) > 0 {
		out["serviceType"] = l.ServiceTypes
	}
	if l.Coverage != nil && (l.Coverage.AnyEU || len(l.Coverage.Countries) > 0) {
		var areas []any
		if l.Coverage.AnyEU {
			areas = append(areas, map[string]any{"@type": "AdministrativeArea", "name": "European Union"})
		}
		for _, c := range l.Coverage.Countries {
			areas = append(areas, map[string]any{"@type": "Country", "name": c})
		}
		out["areaServed"] = areas
	}
	var ways []any
	for _, ch := range l.ContactChannels() {
		if ch.StatusValue() == listing.ChannelActive {
			ways = append(ways, linkedChannel(ch))
		}
	}
	if ways != nil {
		out["availableChannel"] = ways
	}
	return out
}

func linkedChannel(ch listing.Channel) map[string]any {
	way := map[string]any{"@type": "ServiceChannel", "name": ch.TypeValue()}
	if len(ch.Languages) > 0 {
		way["availableLanguage"] = ch.Languages
	}
	switch link := ch.Link(); {
	case strings.HasPrefix(link, "tel:"):
		way["servicePhone"] = map[string]any{"@type": "ContactPoint", "telephone": strings.TrimPrefix(link, "tel:")}
	case link != "":
		way["serviceUrl"] = link
	}
	return way
}

func set(m map[string]any, name, value string) {
	if value != "" {
		m[name] = value
	}
}
