package fiction

// sort is what the listings of one sort have in common.
type sort struct {
	key       string // of its texts: name.KEY, what.KEY
	who       string // of the texts that say for whom
	types     []string
	audience  []string
	formats   []string
	settings  []string
	channels  []string // the first one always, the others mostly
	levels    []string
	objective string
	days      int // within which it must be checked, under the default cadence
	minAge    int
	maxAge    int // 0: none
	kind      string
	visible   string
	referral  string
}

// The cadences of [listing.DefaultCadence] in days, rounded down to be safe.
const (
	daysCrisis   = 28
	daysHelpline = 88
	daysClinic   = 180
	daysResource = 360
)

var (
	self    = []string{"self.not_offended", "self.offended_unknown", "self.unsure"}
	viewers = []string{"self.not_offended", "self.csam_use", "self.unsure"}
	kin     = []string{"partner_family", "friend_colleague", "parent_of_young_person"}
	experts = []string{"professional.health", "professional.social", "professional.education", "professional.police_justice"}

	helpline = sort{key: "helpline", who: "who.self", types: []string{"helpline"}, audience: append(self[:3:3], kin...),
		formats: []string{"individual"}, channels: []string{"phone", "async_message", "callback"},
		levels: []string{"primary", "secondary"}, objective: "fear_may_offend", days: daysHelpline, minAge: 18, referral: "self"}
	chat = sort{key: "chat", who: "who.self", types: []string{"anonymous_chat"}, audience: viewers,
		formats: []string{"individual"}, settings: []string{"online"}, channels: []string{"live_chat", "async_message"},
		levels: []string{"secondary"}, objective: "fear_may_offend", days: daysHelpline, minAge: 18, referral: "self"}
	counselling = sort{key: "counselling", who: "who.self", types: []string{"counselling"}, audience: append(self[:3:3], "self.under_investigation"),
		formats: []string{"individual"}, settings: []string{"charity_office"}, channels: []string{"phone", "in_person", "email"},
		levels: []string{"secondary"}, objective: "fear_may_offend", days: daysClinic, minAge: 18, referral: "self"}
	therapy = sort{key: "therapy", who: "who.self", types: []string{"psychotherapy_individual", "medical_psychiatric"},
		audience: append(self[:3:3], "self.csam_use", "self.after_sentence"), formats: []string{"individual"},
		settings: []string{"outpatient_clinic"}, channels: []string{"in_person", "phone", "video"},
		levels: []string{"secondary", "tertiary"}, objective: "fear_may_offend", days: daysClinic, minAge: 18, referral: "any"}
	group = sort{key: "group", who: "who.self", types: []string{"psychotherapy_group", "peer_support"}, audience: append(self[:3:3], "self.in_proceedings", "self.after_sentence"),
		formats: []string{"group"}, settings: []string{"outpatient_clinic"}, channels: []string{"email", "video"},
		levels: []string{"secondary", "tertiary"}, objective: "after_proceedings", days: daysClinic, minAge: 18, referral: "any"}
	programme = sort{key: "programme", who: "who.self", types: []string{"self_help_programme", "self_assessment"}, audience: viewers,
		formats: []string{"self_paced"}, settings: []string{"online", "home"}, channels: []string{"web_self_guided", "onion_site"},
		levels: []string{"secondary"}, objective: "fear_may_offend", days: daysResource, minAge: 18, referral: "self"}
	family = sort{key: "family", who: "who.family", types: []string{"family_support"}, audience: kin,
		formats: []string{"individual", "group"}, channels: []string{"phone", "email"},
		levels: []string{"primary", "secondary"}, objective: "fear_may_offend", days: daysClinic, minAge: 18, referral: "self"}
	youth = sort{key: "youth", who: "who.youth", types: []string{"anonymous_chat", "helpline"}, audience: []string{"self.not_offended", "self.unsure", "parent_of_young_person"},
		formats: []string{"individual"}, settings: []string{"online"}, channels: []string{"live_chat", "phone"},
		levels: []string{"primary", "secondary"}, objective: "young_people", days: daysHelpline, minAge: 12, maxAge: 17, referral: "self"}
	consult = sort{key: "consult", who: "who.professional", types: []string{"professional_consultation"}, audience: experts,
		formats: []string{"individual"}, channels: []string{"phone", "email"},
		levels: []string{"secondary", "tertiary"}, objective: "fear_may_offend", days: daysClinic, visible: "professionals", referral: "professional"}
	training = sort{key: "training", who: "who.professional", types: []string{"training", "information_resource"}, audience: append(experts[:4:4], "researcher_policy"),
		formats: []string{"self_paced"}, settings: []string{"online"}, channels: []string{"web_self_guided"},
		levels: []string{"primary"}, objective: "during_proceedings", days: daysResource, kind: "professional_resource", referral: "professional"}
	crisis = sort{key: "crisis", who: "who.any", types: []string{"crisis_line"}, audience: append(self[:3:3], "partner_family", "self.csam_use"),
		formats: []string{"individual"}, channels: []string{"phone", "live_chat"},
		levels: []string{"secondary"}, objective: "fear_may_offend", days: daysCrisis, kind: "crisis", referral: "self"}
)

// slot is one place in the pattern of listings.
type slot struct {
	sort    *sort
	place   placing
	reach   reach
	pair    int // how far the companion is; 0: none
	private bool
	alert   bool
	closed  bool // temporarily
	gone    bool // defunct
	full    bool // takes nobody new
}

type placing int

const (
	nowhere placing = iota // reached from anywhere
	address                // a place with its address
	region                 // only the region is told
	local                  // an address, for people of its region only
)

type reach int

const (
	national reach = iota
	anyEU
	worldwide
)

// pattern is the order of slots; Cycle long. The pairs stand at even places
// within one organization, which has four listings.
var pattern = [Cycle]slot{
	{sort: &helpline},
	{sort: &therapy, place: address},
	{sort: &counselling, place: address, private: true},
	{sort: &programme, reach: worldwide},
	{sort: &youth, pair: 1},
	{sort: &helpline, pair: -1},
	{sort: &chat, reach: anyEU},
	{sort: &family},
	{sort: &therapy, place: region},
	{sort: &crisis},
	{sort: &consult},
	{sort: &group, place: region},
	{sort: &counselling, place: local},
	{sort: &training},
	{sort: &programme, reach: anyEU},
	{sort: &family, place: address},
	{sort: &therapy, place: address, full: true},
	{sort: &chat, alert: true},
	{sort: &counselling, place: address, closed: true},
	{sort: &helpline, gone: true},
}

// goneSlot is the slot of the defunct stubs, which no check can be too old for.
const goneSlot = Cycle - 1
