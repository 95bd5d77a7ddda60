package listing

import (
	"regexp"
	"strconv"
	"strings"
)

// The methods of this file read a field with caution: a value that this
// version does not know, or none at all, is read as what promises least.

// KindUnknown is the reading of a kind that this version does not know. Such a
// listing is shown to nobody.
const KindUnknown Kind = "unknown"

// KindValue returns the kind: help when absent, [KindUnknown] when not known.
func (l *Listing) KindValue() Kind {
	switch {
	case l.Kind == "":
		return KindHelp
	case Known(VocabularyKind, string(l.Kind)):
		return l.Kind
	}
	return KindUnknown
}

// ProfessionalsOnly reports whether the listing stands in the view of
// professionals alone. Reporting hotlines never stand among help.
func (l *Listing) ProfessionalsOnly() bool {
	return l.VisibilityValue() == VisibleProfessionals || l.KindValue() == KindReporting
}

// VisibilityValue returns who is shown the listing: everybody when absent,
// nobody when the value or the kind is not known.
func (l *Listing) VisibilityValue() Visibility {
	switch {
	case l.KindValue() == KindUnknown:
		return VisibleNobody
	case l.Visibility == "":
		return VisiblePublic
	case Known(VocabularyVisibility, string(l.Visibility)):
		return l.Visibility
	}
	return VisibleNobody
}

// PrecisionValue returns how much of the place may be shown: full when absent,
// hidden when not known.
func (l *Listing) PrecisionValue() string {
	switch {
	case l.AddressPrecision == "":
		return PrecisionFull
	case Known(VocabularyPrecision, l.AddressPrecision):
		return l.AddressPrecision
	}
	return PrecisionHidden
}

// StatusValue returns the status; one that is not known reads as inactive.
func (l *Listing) StatusValue() Status {
	if Known(VocabularyStatus, string(l.Status)) {
		return l.Status
	}
	return Inactive
}

// AcceptanceValue returns whether the service is known to accept people with
// this concern; not_confirmed when absent or not known.
func (l *Listing) AcceptanceValue() string {
	if l.TopicAcceptance != nil && Known(VocabularyTopicAcceptance, l.TopicAcceptance.Value) {
		return l.TopicAcceptance.Value
	}
	return AcceptanceNotConfirmed
}

// GenderValue, EvidenceValue, CapacityValue, WaitingValue and
// OperatorTypeValue return the code of a field; "not_stated" (evidence:
// "not_rated") when it is absent or not known.
func (l *Listing) GenderValue() string { return cautious(VocabularyGender, l.Gender, NotStated) }

// EvidenceValue: see [Listing.GenderValue].
func (l *Listing) EvidenceValue() string {
	return cautious(VocabularyEvidence, l.Evidence, "not_rated")
}

// CapacityValue: see [Listing.GenderValue].
func (l *Listing) CapacityValue() string { return l.Capacity.code(VocabularyCapacity) }

// WaitingValue: see [Listing.GenderValue].
func (l *Listing) WaitingValue() string { return l.Waiting.code(VocabularyWaiting) }

// OperatorTypeValue: see [Listing.GenderValue].
func (l *Listing) OperatorTypeValue() string {
	if l.Organization == nil {
		return NotStated
	}
	return cautious(VocabularyOperatorType, l.Organization.OperatorType, NotStated)
}

// OrganizationName returns the name of the organization, "" when only its id
// is known.
func (l *Listing) OrganizationName() string {
	if l.Organization == nil {
		return ""
	}
	return l.Organization.Name
}

var fromAge = regexp.MustCompile(`^from_age:([0-9]{1,2})$`)

// GuardianConsentValue returns none, required, from_age or not_stated; with
// from_age also the age from which no consent is needed, else -1.
func (l *Listing) GuardianConsentValue() (value string, age int) {
	switch l.GuardianConsent {
	case "none", "required":
		return l.GuardianConsent, -1
	}
	if m := fromAge.FindStringSubmatch(l.GuardianConsent); m != nil {
		age, _ = strconv.Atoi(m[1]) // two digits
		return "from_age", age
	}
	return NotStated, -1
}

// AnonymityValue returns what the channel's service says about anonymity;
// not_stated when absent or not known.
func (c *Channel) AnonymityValue() string { return c.Anonymity.code(VocabularyAnonymity) }

// CostValue returns what contact costs; not_stated when absent or not known.
func (c *Channel) CostValue() string { return c.Cost.code(VocabularyCost) }

// StatusValue returns the status of the channel: active when absent, paused
// when not known.
func (c *Channel) StatusValue() string {
	if c.Status == "" || c.Status == ChannelActive {
		return ChannelActive
	}
	return ChannelPaused
}

// TypeValue returns the type of the channel; other when not known.
func (c *Channel) TypeValue() string { return cautious(VocabularyChannel, c.Type, Other) }

// BreachConditions returns what would make the service tell someone. stated is
// false when the service says nothing about it, which is not the same as a
// promise. A condition that is not known reads as other.
func (c *Channel) BreachConditions() (conditions []string, stated bool) {
	if c.Breach == nil || c.Breach.Value == NotStated {
		return nil, false
	}
	for _, code := range c.Breach.Conditions {
		conditions = append(conditions, cautious(VocabularyBreach, code, Other))
	}
	text := strings.TrimSpace(c.Breach.Text + c.Breach.Value)
	return conditions, len(conditions) > 0 || text != ""
}

// code reads a fact that may be absent.
func (f *Fact) code(vocabulary string) string {
	if f == nil {
		return NotStated
	}
	return cautious(vocabulary, f.Value, NotStated)
}

// code reads a dated fact that may be absent.
func (f *DatedFact) code(vocabulary string) string {
	if f == nil {
		return NotStated
	}
	return cautious(vocabulary, f.Value, NotStated)
}

func cautious(vocabulary, code, otherwise string) string {
	if Known(vocabulary, code) {
		return code
	}
	return otherwise
}
