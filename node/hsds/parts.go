package hsds

import (
	"fmt"
	"strings"

	"github.com/2ps-project/waymark/node/listing"
)

// OrganizationID is the id of the organization of a service; "" when it has
// none. One without an id has one that is made from its name.
func OrganizationID(l *listing.Listing) string {
	switch {
	case l.Organization == nil:
		return idOf(l.OrganizationID)
	case l.Organization.ID != "":
		return idOf(l.Organization.ID)
	}
	return madeID("organization", strings.ToLower(l.Organization.Name))
}

// placeID is the id of the i-th place where a service is given.
func placeID(l *listing.Listing, i int) string {
	if id := l.ServiceAtLocations[i].ID; id != "" {
		return idOf(id)
	}
	return madeID(l.ID, "service_at_locations", fmt.Sprint(i))
}

// Places are the ids of the places where a service is given, in its order.
func Places(l *listing.Listing) []string {
	ids := make([]string, len(l.ServiceAtLocations))
	for i := range ids {
		ids[i] = placeID(l, i)
	}
	return ids
}

// Identify gives what stands in a service and also by itself, or in another form in a
// list, the same id everywhere where it has none of its own: as one from a spreadsheet
// has not.
func Identify(d listing.Document, l *listing.Listing) {
	give := func(v any, made func() string) {
		if m, ok := v.(map[string]any); ok {
			if id, _ := m["id"].(string); id == "" {
				m["id"] = made()
			}
		}
	}
	give(d["organization"], func() string { return OrganizationID(l) })
	give(d["program"], func() string { return madeID(l.ID, "program") })
	list, _ := d["service_at_locations"].([]any)
	for i := range min(len(list), len(l.ServiceAtLocations)) {
		id := placeID(l, i)
		give(list[i], func() string { return id })
		if at, ok := list[i].(map[string]any); ok {
			give(at["location"], func() string { return madeID(id, "location") })
		}
	}
}

// Organization returns the organization of a plain service; false when it has
// none of its own.
func Organization(plain listing.Document, l *listing.Listing) (listing.Document, bool) {
	o, ok := plain["organization"].(map[string]any)
	if !ok {
		return nil, false
	}
	o = clone(o)
	o["id"] = OrganizationID(l)
	return o, true
}

// Place returns the place with an id where a plain service is given, with the
// service in it; false when there is none.
func Place(plain listing.Document, l *listing.Listing, id string) (listing.Document, bool) {
	list, _ := plain["service_at_locations"].([]any)
	for i := range l.ServiceAtLocations {
		if i >= len(list) || placeID(l, i) != id {
			continue
		}
		at, ok := list[i].(map[string]any)
		if !ok {
			return nil, false
		}
		at = clone(at)
		service := clone(plain)
		delete(service, "service_at_locations") // it would hold itself
		at["id"], at["service"] = id, service
		if t, ok := plain["last_modified"]; ok {
			at["last_modified"] = t
		}
		delete(at, "service_id")
		return at, true
	}
	return nil, false
}

// ListItem returns an object of HSDS as it stands in a list: what has one value,
// of the objects in it the same, and what HSDS requires.
func ListItem(object string, m map[string]any, inner ...string) listing.Document {
	item := scalars(m)
	for _, name := range inner {
		if one, ok := m[name].(map[string]any); ok {
			sub := scalars(one)
			for _, deep := range [...]string{"organization", "program"} {
				if x, ok := one[deep].(map[string]any); ok {
					sub[deep] = scalars(x)
				}
			}
			item[name] = sub
		}
	}
	id, _ := item["id"].(string)
	complete(object, item, seed{name: id})
	if service, ok := item["service"].(map[string]any); ok { // of a place; HSDS lists it and its schema does not know it
		id, _ := service["id"].(string)
		complete("service", service, seed{name: id})
	}
	return item
}

// CarriedTerm returns the taxonomy term with an id that a document carries, and the
// taxonomy that it says it is of; nil where it says none.
func CarriedTerm(v any, id string) (term, taxonomy map[string]any) {
	switch v := v.(type) {
	case listing.Document:
		return CarriedTerm(map[string]any(v), id)
	case []any:
		for _, x := range v {
			if term, taxonomy = CarriedTerm(x, id); term != nil {
				return term, taxonomy
			}
		}
	case map[string]any:
		if t, ok := v["taxonomy_term"].(map[string]any); ok && carries(t, id) {
			t = clone(t)
			complete("taxonomy_term", t, seed{name: id})
			if x, ok := t["taxonomy_detail"].(map[string]any); ok {
				taxonomy = clone(x)
				complete("taxonomy", taxonomy, seed{name: id})
			}
			return t, taxonomy
		}
		for _, x := range v {
			if term, taxonomy = CarriedTerm(x, id); term != nil {
				return term, taxonomy
			}
		}
	}
	return nil, nil
}

func carries(term map[string]any, id string) bool {
	own, _ := term["id"].(string)
	return own != "" && idOf(own) == id
}

// Located returns latitude and longitude of the places of a service with a
// postal code, as [Postcode] writes it.
func Located(l *listing.Listing, postcode string) (points [][2]float64) {
	for _, at := range l.ServiceAtLocations {
		loc := at.Location
		if loc == nil || loc.Latitude == nil || loc.Longitude == nil {
			continue
		}
		for _, a := range loc.Addresses {
			if Postcode(a.PostalCode) == postcode {
				points = append(points, [2]float64{*loc.Latitude, *loc.Longitude})
				break
			}
		}
	}
	return points
}
