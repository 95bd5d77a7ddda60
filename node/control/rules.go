package control

import (
	"context"
	"encoding/json"
	"net/http"
)

// Rules is what the countries agree on together beside who is a member: what
// things are called and what holds for everybody. Each change is a decision that
// waits for the signatures of enough countries (see [Care.SignDecision]).
type Rules interface {
	// Vocabulary is what things are called here now.
	Vocabulary(ctx context.Context) (Vocabulary, error)

	// PutVocabulary proposes what the document says, or with Seed the words that
	// the program comes with. Vocabularies, terms and languages that are not in it
	// stay as they are.
	PutVocabulary(ctx context.Context, request RulesRequest) (Proposed, error)

	// Policy is what holds for everybody now.
	Policy(ctx context.Context) (Policy, error)

	// PutPolicy proposes another policy. What the document does not name stays.
	PutPolicy(ctx context.Context, request RulesRequest) (Proposed, error)

	// ActivateRules proposes to go over to a version of the registry's rules.
	ActivateRules(ctx context.Context, version uint64) (Proposed, error)

	// SetClock proposes to set the registry's time back to the clock here, after a
	// wrong clock has moved it ahead.
	SetClock(ctx context.Context) (Proposed, error)
}

// RulesRequest is a change that is to be proposed.
type RulesRequest struct {
	Document json.RawMessage `json:"document,omitempty"` // of the form of [Vocabulary] or [Policy]
	Seed     bool            `json:"seed,omitempty"`
	DryRun   bool            `json:"dry_run,omitempty"` // judge it and propose nothing
	Version  uint64          `json:"version,omitempty"`
}

// Proposed is what came of a proposal.
type Proposed struct {
	Changes   []string   `json:"changes"`   // what would be other than now; empty: nothing, and nothing was proposed
	Notes     []string   `json:"notes"`     // what is allowed and should be looked at
	Decisions []Decision `json:"decisions"` // none with DryRun
	DryRun    bool       `json:"dry_run"`
}

// Vocabulary is all vocabularies and the wording list.
type Vocabulary struct {
	Seq          uint64              `json:"seq"`       // the registry's entry that changed it last; 0: the program's own words hold
	Languages    []string            `json:"languages"` // in which words are to be had
	Vocabularies []Taxonomy          `json:"vocabularies"`
	Wording      map[string][]Banned `json:"wording"` // by language
}

// Taxonomy is one vocabulary.
type Taxonomy struct {
	Code   string            `json:"code"`
	Labels map[string]string `json:"labels"` // by language
	Fixed  bool              `json:"fixed"`  // its codes are the program's own: words can change, codes cannot
	Terms  []Term            `json:"terms"`  // in the order in which they are offered
}

// Term is one term of a vocabulary.
type Term struct {
	Code      string              `json:"code"`
	Parent    string              `json:"parent,omitempty"`
	Labels    map[string]string   `json:"labels"` // by language: what people read
	Synonyms  map[string][]string `json:"synonyms,omitempty"`
	Mappings  []Mapping           `json:"mappings,omitempty"`
	Status    string              `json:"status"` // current or deprecated
	Successor string              `json:"successor,omitempty"`
}

// Mapping is what a term is in another scheme.
type Mapping struct {
	Scheme   string `json:"scheme"`
	Code     string `json:"code"`
	Relation string `json:"relation"` // exact, close, broad, narrow or related
}

// Banned is what texts are not to say.
type Banned struct {
	Term    string `json:"term"`
	Reason  string `json:"reason"`
	Instead string `json:"instead"`
}

// Policy is what holds for everybody.
type Policy struct {
	Rules             uint64           `json:"rules"` // the version of the registry's rules; changed by ActivateRules alone
	Seq               uint64           `json:"seq"`   // the registry's entry that set it last; 0: that of the beginning
	InvitationDays    int64            `json:"invitation_days"`
	VoteDays          int64            `json:"vote_days"`
	Approvals         int64            `json:"approvals"`
	MajorityBelow     int64            `json:"majority_below"`
	OriginsPerCountry int64            `json:"origins_per_country"`
	Voters            int64            `json:"voters"`
	TakedownDays      int64            `json:"takedown_days"`
	EraseDays         int64            `json:"erase_days"`
	Caretakers        int64            `json:"caretakers"`
	Languages         []string         `json:"languages"`
	Cadence           map[string]int64 `json:"cadence"`
	LapseAfter        map[string]int64 `json:"lapse_after"`
	LargeChange       LargeChange      `json:"large_change"`
	Heads             HeadLimits       `json:"heads"`
}

// LargeChange says from when on a change needs a second signature.
type LargeChange struct {
	Listings       int64 `json:"listings"`
	ChannelPercent int64 `json:"channel_percent"`
	Hours          int64 `json:"hours"`
}

// HeadLimits bound what one country's feed may ask of the others.
type HeadLimits struct {
	Burst     int64 `json:"burst"`
	PerMinute int64 `json:"per_minute"`
	Records   int64 `json:"records"`
	Bytes     int64 `json:"bytes"`
	Record    int64 `json:"record"`
	Delta     int64 `json:"delta"`
}

func rules(mux *http.ServeMux, n Rules) {
	handle(mux, "/v1/vocabulary", func(ctx context.Context, _ one) (Vocabulary, error) { return n.Vocabulary(ctx) })
	handle(mux, "/v1/vocabulary/put", n.PutVocabulary)
	handle(mux, "/v1/policy", func(ctx context.Context, _ one) (Policy, error) { return n.Policy(ctx) })
	handle(mux, "/v1/policy/put", n.PutPolicy)
	handle(mux, "/v1/policy/activate", func(ctx context.Context, in RulesRequest) (Proposed, error) {
		return n.ActivateRules(ctx, in.Version)
	})
	handle(mux, "/v1/policy/clock", func(ctx context.Context, _ one) (Proposed, error) { return n.SetClock(ctx) })
}

// Vocabulary is as in [Rules].
func (c *Client) Vocabulary(ctx context.Context) (out Vocabulary, err error) {
	return out, c.ask(ctx, "/v1/vocabulary", one{}, &out)
}

// PutVocabulary is as in [Rules].
func (c *Client) PutVocabulary(ctx context.Context, in RulesRequest) (out Proposed, err error) {
	return out, c.ask(ctx, "/v1/vocabulary/put", in, &out)
}

// Policy is as in [Rules].
func (c *Client) Policy(ctx context.Context) (out Policy, err error) {
	return out, c.ask(ctx, "/v1/policy", one{}, &out)
}

// PutPolicy is as in [Rules].
func (c *Client) PutPolicy(ctx context.Context, in RulesRequest) (out Proposed, err error) {
	return out, c.ask(ctx, "/v1/policy/put", in, &out)
}

// ActivateRules is as in [Rules].
func (c *Client) ActivateRules(ctx context.Context, version uint64) (out Proposed, err error) {
	return out, c.ask(ctx, "/v1/policy/activate", RulesRequest{Version: version}, &out)
}

// SetClock is as in [Rules].
func (c *Client) SetClock(ctx context.Context) (out Proposed, err error) {
	return out, c.ask(ctx, "/v1/policy/clock", one{}, &out)
}
