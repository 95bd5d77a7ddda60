package control

import (
	"context"
	"net/http"
	"time"
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

	// Machines are the nodes of this country, by id.
	Machines(ctx context.Context) ([]Machine, error)

	// Ticket is the file by which a further machine of a country is made; no
	// country means this one.
	Ticket(ctx context.Context, country string) ([]byte, error)

	// AddMachine takes in what a further machine asks for: as a mirror of this
	// country, or of any country when a key of that has signed.
	AddMachine(ctx context.Context, file []byte) (MachineAdded, error)

	// RemoveMachine strikes a mirror of this country off, with the admin key that
	// lies on it. Which is its id or the beginning of that.
	RemoveMachine(ctx context.Context, which string) (Machine, error)

	// TakeOver makes this mirror the node that publishes. Without the old one, that
	// is struck off, and its admin key withdrawn: it is lost.
	TakeOver(ctx context.Context, withoutOld bool) (KeyChange, error)

	// Rekey decides, with other countries, that a country which lost all its keys
	// gets those of a new machine: of the file that this one asks with.
	Rekey(ctx context.Context, file []byte) (Decision, error)
}

// Machine is a node of this country.
type Machine struct {
	Node      string   `json:"node"`      // id, hexadecimal
	Role      string   `json:"role"`      // publisher or mirror
	Addresses []string `json:"addresses"` // host:port; null: it only calls others
	Voter     bool     `json:"voter"`     // ready to keep the registry
	Here      bool     `json:"here"`      // the node that answers
	Reachable bool     `json:"reachable"` // from the node that answers
	AdminKey  string   `json:"admin_key"` // id of the admin key in use that lies on it; empty when that is not known
}

// MachineAdded is what became of a machine's request.
type MachineAdded struct {
	Country string `json:"country"`
	Node    string `json:"node"`
	As      string `json:"as"` // mirror, return or sheet
	In      bool   `json:"in"` // it is a node of its country now
	// Due is when it becomes one; null when it is, or nothing waits.
	Due *time.Time `json:"due"`
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
	handle(mux, "/v1/member/rekey", func(ctx context.Context, in one) (Decision, error) { return n.Rekey(ctx, in.File) })
	handle(mux, "/v1/machines", func(ctx context.Context, _ one) ([]Machine, error) { return n.Machines(ctx) })
	handle(mux, "/v1/machine/ticket", func(ctx context.Context, in one) (file, error) {
		b, err := n.Ticket(ctx, in.Value)
		return file{b}, err
	})
	handle(mux, "/v1/machine/add", func(ctx context.Context, in one) (MachineAdded, error) { return n.AddMachine(ctx, in.File) })
	handle(mux, "/v1/machine/remove", func(ctx context.Context, in one) (Machine, error) { return n.RemoveMachine(ctx, in.Value) })
	handle(mux, "/v1/machine/take-over", func(ctx context.Context, in one) (KeyChange, error) { return n.TakeOver(ctx, in.Yes) })
}

// Rule is as in [Membership].
func (c *Client) Rule(ctx context.Context, in MemberRuling) (out Decision, err error) {
	return out, c.ask(ctx, "/v1/member/rule", in, &out)
}

// Withdraw is as in [Membership].
func (c *Client) Withdraw(ctx context.Context, country string) (out Member, err error) {
	return out, c.ask(ctx, "/v1/member/withdraw", one{Value: country}, &out)
}

// Machines is as in [Membership].
func (c *Client) Machines(ctx context.Context) (out []Machine, err error) {
	return out, c.ask(ctx, "/v1/machines", one{}, &out)
}

// Ticket is as in [Membership].
func (c *Client) Ticket(ctx context.Context, country string) ([]byte, error) {
	var out file
	err := c.ask(ctx, "/v1/machine/ticket", one{Value: country}, &out)
	return out.File, err
}

// AddMachine is as in [Membership].
func (c *Client) AddMachine(ctx context.Context, content []byte) (out MachineAdded, err error) {
	return out, c.ask(ctx, "/v1/machine/add", one{File: content}, &out)
}

// RemoveMachine is as in [Membership].
func (c *Client) RemoveMachine(ctx context.Context, which string) (out Machine, err error) {
	return out, c.ask(ctx, "/v1/machine/remove", one{Value: which}, &out)
}

// TakeOver is as in [Membership].
func (c *Client) TakeOver(ctx context.Context, withoutOld bool) (out KeyChange, err error) {
	return out, c.ask(ctx, "/v1/machine/take-over", one{Yes: withoutOld}, &out)
}

// Rekey is as in [Membership].
func (c *Client) Rekey(ctx context.Context, content []byte) (out Decision, err error) {
	return out, c.ask(ctx, "/v1/member/rekey", one{File: content}, &out)
}
