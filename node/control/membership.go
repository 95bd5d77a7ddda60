package control

import (
	"context"
	"net/http"
)

// Membership is what a node offers around who is a member and with which
// machines.
type Membership interface {
	// Rule makes a decision about another country's membership, or signs the one
	// that waits: it takes effect when enough countries have signed.
	Rule(ctx context.Context, request MemberRuling) (Decision, error)

	// Withdraw ends this country's own membership, at once. Country must be its
	// code, so that nobody does it by mistake.
	Withdraw(ctx context.Context, country string) (Member, error)
}

// What can be decided about a membership.
const (
	RuleSuspend = "suspend"
	RuleResume  = "resume" // ends a suspension
	RuleExpel   = "expel"
)

// MemberRuling says what to decide about a country.
type MemberRuling struct {
	Country string `json:"country"`
	Rule    string `json:"rule"`             // RuleSuspend, RuleResume or RuleExpel
	Reason  string `json:"reason,omitempty"` // a code of the registry's reasons; needed but for RuleResume
	Text    string `json:"text,omitempty"`   // in words, for everybody
}

func membership(mux *http.ServeMux, n Membership) {
	handle(mux, "/v1/member/rule", n.Rule)
	handle(mux, "/v1/member/withdraw", func(ctx context.Context, in one) (Member, error) { return n.Withdraw(ctx, in.Value) })
}

// Rule is as in [Membership].
func (c *Client) Rule(ctx context.Context, in MemberRuling) (out Decision, err error) {
	return out, c.ask(ctx, "/v1/member/rule", in, &out)
}

// Withdraw is as in [Membership].
func (c *Client) Withdraw(ctx context.Context, country string) (out Member, err error) {
	return out, c.ask(ctx, "/v1/member/withdraw", one{Value: country}, &out)
}
