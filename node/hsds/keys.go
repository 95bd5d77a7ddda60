package hsds

import (
	"strings"
	"time"

	"github.com/2ps-project/waymark/node/listing"
)

// The kinds of keys under which services can be asked for: each stands before
// an id. See [Keys].
const (
	KeyOrganization = "o/"
	KeyLocation     = "l/" // of a service at a location
	KeyTerm         = "t/"
	KeyTaxonomy     = "x/"
	KeyPostcode     = "p/"
	KeyModified     = "m/" // and a time as [ModifiedKey] writes it
)

// Keys returns the exact values by which a service can be asked for: of its
// organization, of the places where it is given, of the terms that it carries,
// its own and those that [Plain] adds, and of the time of its last change.
func Keys(l *listing.Listing, modified time.Time) []string {
	var keys []string
	add := func(kind, id string) {
		if id != "" {
			keys = append(keys, kind+id)
		}
	}
	add(KeyOrganization, OrganizationID(l))
	for i := range l.ServiceAtLocations {
		at := &l.ServiceAtLocations[i]
		add(KeyLocation, placeID(l, i))
		if at.Location != nil {
			for _, a := range at.Location.Addresses {
				add(KeyPostcode, Postcode(a.PostalCode))
			}
		}
	}
	for _, a := range l.Attributes {
		id, taxonomy := a.TaxonomyTermID, ""
		if t := a.TaxonomyTerm; t != nil {
			id, taxonomy = t.ID, t.TaxonomyID
			if t.TaxonomyDetail != nil {
				taxonomy = t.TaxonomyDetail.ID
			}
		}
		add(KeyTerm, idOf(id))
		add(KeyTaxonomy, idOf(taxonomy))
	}
	for _, a := range coded(l) {
		if k, ok := shippedKeys[a]; ok {
			keys = append(keys, k.term, k.taxonomy)
			continue
		}
		add(KeyTerm, TermID(a[0], a[1]))
		add(KeyTaxonomy, TaxonomyID(a[0]))
	}
	add(KeyModified, ModifiedKey(Modified(l, modified)))
	return keys
}

// shippedKeys are the keys of the codes that every listing carries, by taxonomy and
// code: one text for all listings.
var shippedKeys = func() map[[2]string]struct{ term, taxonomy string } {
	keys := map[[2]string]struct{ term, taxonomy string }{}
	for name, id := range shippedIDs {
		if name[1] == "" {
			continue // a taxonomy
		}
		keys[name] = struct{ term, taxonomy string }{KeyTerm + id, KeyTaxonomy + shippedIDs[[2]string{name[0]}]}
	}
	return keys
}()

// coded lists vocabulary and code of what Plain says as attributes.
func coded(l *listing.Listing) (list [][2]string) {
	for _, f := range facts {
		for _, code := range f.of(l) {
			list = append(list, [2]string{f.vocabulary, code})
		}
	}
	for i := range l.Channels {
		ch := &l.Channels[i]
		if ch.StatusValue() != listing.ChannelActive {
			continue
		}
		list = append(list, [2]string{listing.VocabularyChannel, ch.TypeValue()},
			[2]string{listing.VocabularyCost, ch.CostValue()}, [2]string{listing.VocabularyAnonymity, ch.AnonymityValue()})
		conditions, stated := ch.BreachConditions()
		if !stated {
			conditions = []string{listing.NotStated}
		}
		for _, c := range conditions {
			list = append(list, [2]string{listing.VocabularyBreach, c})
		}
	}
	return list
}

// Modified is when a service last changed: as it says itself, else the day of
// its record.
func Modified(l *listing.Listing, record time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339, strings.ToUpper(l.LastModified)); err == nil {
		return t.UTC()
	}
	return record.UTC()
}

// ModifiedKey writes a time so that keys sort as times do.
func ModifiedKey(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Postcode folds a postal code to how it is compared.
func Postcode(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}
