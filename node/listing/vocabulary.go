package listing

import (
	"maps"
	"slices"
	"sync/atomic"
)

// The vocabularies of the profile. Codes are stable; what people read are labels,
// which belong to the interface and to the federation's registry.
const (
	VocabularyAudience        = "audience"
	VocabularyServiceType     = "service_type"
	VocabularyChannel         = "channel"
	VocabularyNumberKind      = "number_kind"
	VocabularyChannelStatus   = "channel_status"
	VocabularyAnonymity       = "anonymity"
	VocabularyBreach          = "breach"
	VocabularyCost            = "cost"
	VocabularyFormat          = "format"
	VocabularySetting         = "setting"
	VocabularyGender          = "gender"
	VocabularyReferral        = "referral"
	VocabularyCapacity        = "capacity"
	VocabularyWaiting         = "waiting"
	VocabularyEvidence        = "evidence"
	VocabularyOperatorType    = "operator_type"
	VocabularyPreventionLevel = "prevention_level"
	VocabularyObjective       = "objective"
	VocabularyKind            = "kind"
	VocabularyVisibility      = "visibility"
	VocabularyPrecision       = "address_precision"
	VocabularyTopicAcceptance = "topic_acceptance"
	VocabularyBasis           = "basis"
	VocabularyMethod          = "verification_method"
	VocabularyStatus          = "status"
	VocabularyLocationType    = "location_type"
	VocabularyWorks           = "works_here"
	VocabularyHiding          = "hiding_reason"
	VocabularyCrisis          = "crisis_kind"
)

// Other is a code of most vocabularies, for what none of their codes says; a
// text beside it says what.
const Other = "other"

// Codes that the software itself acts on.
const (
	PrecisionFull   = "full"
	PrecisionRegion = "region"
	PrecisionHidden = "hidden"

	AcceptanceConfirmed    = "confirmed_by_service"
	AcceptanceStated       = "stated_publicly"
	AcceptanceNotConfirmed = "not_confirmed"

	ChannelActive = "active"
	ChannelPaused = "paused"

	NumberInternational = "international"
	NumberShortCode     = "national_short_code"
)

// vocabularies holds the codes in the order in which they are offered.
var vocabularies = map[string][]string{
	VocabularyAudience: {
		"self.not_offended", "self.offended_unknown", "self.under_investigation", "self.in_proceedings",
		"self.custody", "self.after_sentence", "self.csam_use", "self.unsure",
		"partner_family", "friend_colleague", "parent_of_young_person",
		"professional.health", "professional.social", "professional.education", "professional.police_justice",
		"researcher_policy", Other,
	},
	VocabularyServiceType: {
		"helpline", "anonymous_chat", "email_advice", "self_assessment", "self_help_programme",
		"guided_online_programme", "counselling", "psychotherapy_individual", "psychotherapy_group",
		"medical_psychiatric", "peer_support", "family_support", "professional_consultation", "training",
		"information_resource", "referral_only", "crisis_line", Other,
	},
	VocabularyChannel: {
		"phone", "callback", "live_chat", "async_message", "email", "video", "in_person", "post",
		"web_self_guided", "onion_site", Other,
	},
	VocabularyNumberKind:    {NumberInternational, NumberShortCode},
	VocabularyChannelStatus: {ChannelActive, ChannelPaused},
	VocabularyAnonymity: {
		"full", "pseudonymous_ok", "technical_trace", "name_required", "official_id_required", NotStated,
	},
	VocabularyBreach: {
		"identifiable_child_at_risk", "planned_serious_offence", "past_offence_disclosed", "risk_to_self",
		"court_order", Other,
	},
	VocabularyCost: {
		"free", "insurance_covered", "sliding", "paid", "free_from_country_only", Other, NotStated,
	},
	VocabularyFormat: {"individual", "group", "self_paced", Other},
	VocabularySetting: {
		"online", "outpatient_clinic", "hospital", "charity_office", "prison", "probation", "home", Other,
	},
	VocabularyGender:          {"any", "men", "women", "all_genders", NotStated},
	VocabularyReferral:        {"self", "professional", "court", "any", Other},
	VocabularyCapacity:        {"open", "limited", "closed_to_new", NotStated},
	VocabularyWaiting:         {"none", "days", "weeks", "months", NotStated},
	VocabularyEvidence:        {"effective", "promising", "prudent", "pioneering", "not_rated"},
	VocabularyOperatorType:    {"health", "charity", "university", "public_authority", "police_justice", "peer_run", "private_practice", Other, NotStated},
	VocabularyPreventionLevel: {"primary", "secondary", "tertiary"},
	VocabularyObjective:       {"fear_may_offend", "during_proceedings", "after_proceedings", "young_people"},
	VocabularyKind:            {string(KindHelp), string(KindCrisis), string(KindReporting), string(KindProfessional)},
	VocabularyVisibility:      {string(VisiblePublic), string(VisibleProfessionals), string(VisibleNobody)},
	VocabularyPrecision:       {PrecisionFull, PrecisionRegion, PrecisionHidden},
	VocabularyTopicAcceptance: {AcceptanceConfirmed, AcceptanceStated, AcceptanceNotConfirmed},
	VocabularyBasis:           {"service_said", "editor_read", "editor_tested"},
	VocabularyMethod:          {"called", "emailed", "provider_attested", "web_only", "official_register"},
	VocabularyStatus:          {string(Active), string(Inactive), string(Defunct), string(TemporarilyClosed)},
	VocabularyLocationType:    {"physical", "postal", "virtual"},
	VocabularyCrisis:          {"emergency", "emotional_support", "mental_health", "child_helpline", "victims"},
	VocabularyWorks:           {"yes", "partly", "no", NotStated},
	VocabularyHiding:          {"privacy", "danger", "unlawful", "false", "rights", "request", "compromised", "unreachable", "misuse", "mistake", Other},
}

// fixed are the vocabularies on whose codes the software itself acts, or which say
// how a record is to be handled: another code would be one that it cannot heed, so
// no federation adds to them.
var fixed = []string{
	VocabularyNumberKind, VocabularyChannelStatus, VocabularyKind, VocabularyVisibility, VocabularyPrecision,
	VocabularyTopicAcceptance, VocabularyBasis, VocabularyStatus, VocabularyLocationType, VocabularyCrisis, VocabularyHiding,
}

// Code is a code of a vocabulary as the countries have agreed on it.
type Code struct {
	Code       string
	Deprecated bool // read, and no longer offered
}

// agreed is what this process offers and knows. A process is a node of one
// federation, or, in a demonstration, several nodes of one.
var agreed atomic.Pointer[map[string][]Code]

// Agree has the vocabularies hold the given codes from now on, as the countries
// have agreed: by vocabulary, in the order in which they are offered. What the
// program itself comes with stays known: codes that are not among the given ones
// are read and no longer offered. Fixed vocabularies, and those that are not named,
// stay as they come; nil ends what was agreed before.
func Agree(by map[string][]Code) {
	all := make(map[string][]Code, len(by))
	for v, list := range by {
		if _, known := vocabularies[v]; known && slices.Contains(fixed, v) {
			continue
		}
		list = slices.Clone(list)
		for _, c := range vocabularies[v] {
			if !slices.ContainsFunc(list, func(o Code) bool { return o.Code == c }) {
				list = append(list, Code{c, true})
			}
		}
		all[v] = list
	}
	agreed.Store(&all)
}

// codes are the codes of a vocabulary.
func codes(vocabulary string) []Code {
	if all := agreed.Load(); all != nil {
		if list, ok := (*all)[vocabulary]; ok {
			return list
		}
	}
	return asShipped[vocabulary]
}

var asShipped = func() map[string][]Code {
	all := make(map[string][]Code, len(vocabularies))
	for v, list := range vocabularies {
		for _, c := range list {
			all[v] = append(all[v], Code{Code: c})
		}
	}
	return all
}()

// Vocabularies returns the names of all vocabularies in alphabetical order.
func Vocabularies() []string { return slices.Sorted(maps.Keys(vocabularies)) }

// Fixed tells whether the codes of a vocabulary are the program's own, so that
// countries cannot add any.
func Fixed(vocabulary string) bool { return slices.Contains(fixed, vocabulary) }

// Shipped returns the codes of a vocabulary that the program itself comes with.
// The slice is the caller's.
func Shipped(vocabulary string) []string { return slices.Clone(vocabularies[vocabulary]) }

// Terms returns the codes of a vocabulary in the order in which they are offered;
// nil when there is no such vocabulary. The slice is the caller's.
func Terms(vocabulary string) []string {
	var out []string
	for _, c := range codes(vocabulary) {
		if !c.Deprecated {
			out = append(out, c.Code)
		}
	}
	return out
}

// Known tells whether code is a code of the vocabulary, offered or not.
func Known(vocabulary, code string) bool {
	return slices.ContainsFunc(codes(vocabulary), func(c Code) bool { return c.Code == code })
}
