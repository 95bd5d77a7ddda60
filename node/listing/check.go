package listing

import (
	"strings"
)

// CheckImport returns what keeps a foreign document from being taken in at
// all: it needs an id, a name, a status of HSDS, and an organization, nested with
// its name or as organization_id. Anything else may be missing or odd and is
// then read as not stated.
func (l *Listing) CheckImport() Faults {
	var f Faults
	if blank(l.ID) {
		f.add("id", CodeMissing, "The listing has no id. Give it one that stays the same for ever, best a UUID.")
	}
	if blank(l.Name) {
		f.add("name", CodeMissing, "The listing has no name. Write the name under which people know the service.")
	}
	switch {
	case blank(string(l.Status)):
		f.add("status", CodeMissing, "The listing has no status. Choose one of: %s.", choices(VocabularyStatus))
	case !Known(VocabularyStatus, string(l.Status)):
		f.badCode("status", VocabularyStatus, string(l.Status))
	}
	switch {
	case l.Organization == nil && blank(l.OrganizationID):
		f.add("organization", CodeMissing, "Nobody is named who provides the service. Add the organization, or its id.")
	case l.Organization != nil && blank(l.Organization.Name):
		f.add("organization.name", CodeMissing, "The organization has no name. Write it.")
	}
	return f
}

// CheckServe returns what keeps a listing from being published at all, even as
// one whose facts are not stated: the faults of [Listing.CheckImport], and a
// public part that is larger than a record may be.
func (l *Listing) CheckServe() Faults {
	f := l.CheckImport()
	if l.size > MaxShare {
		f.add("", CodeTooLarge, "The public part of the listing is too large: a record holds at most %d bytes. "+
			"Shorten its texts, or publish translations apart.", MaxShare)
	}
	return f
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

func choices(vocabulary string) string { return strings.Join(vocabularies[vocabulary], ", ") }

func (f *Faults) badCode(path, vocabulary, code string) {
	f.add(path, CodeBadCode, "%.60q is not a known code. Choose one of: %s.", code, choices(vocabulary))
}
