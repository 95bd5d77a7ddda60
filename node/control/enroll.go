package control

import (
	"context"
	"net/http"
	"time"
)

// Enrolment is what a node offers around joining beyond inviting, knocking and
// approving: a look at the invitations, and the way of a request that is carried.
type Enrolment interface {
	// Invitations are those that this country has given out, the newest first.
	Invitations(ctx context.Context) ([]Invited, error)

	// CancelInvitation ends an open invitation; nobody can use it any more. Which
	// is an id, its beginning, or a country that has one open invitation.
	CancelInvitation(ctx context.Context, which string) (Invited, error)

	// Object signs this country's word against a country that has knocked, with a
	// reason for the others. It stops nobody, and a later approval takes it back.
	Object(ctx context.Context, country, reason string) (Pending, error)

	// RequestJoin is Join for a node without a connection: it makes a file that
	// somebody carries to the country that invited. Made again with the same
	// invitation it is the same.
	RequestJoin(ctx context.Context, invitation string) (JoinRequest, error)

	// TakeRequest takes in such a file, as a knock. It may be brought again.
	TakeRequest(ctx context.Context, file []byte) (Pending, error)
}

// The states of an invitation.
const (
	InvitedOpen      = "open"
	InvitedUsed      = "used"
	InvitedExpired   = "expired"
	InvitedCancelled = "cancelled"
	InvitedClosed    = "closed" // its country came in by another one
)

// Invited is an invitation that was given out.
type Invited struct {
	ID      string    `json:"id"` // hexadecimal
	Country string    `json:"country"`
	State   string    `json:"state"`
	Expires time.Time `json:"expires"` // UTC
}

// JoinRequest is a request to join that is carried.
type JoinRequest struct {
	Joined
	File []byte `json:"file"` // text
}

// objection is the request of [Enrolment.Object].
type objection struct {
	Country string `json:"country"`
	Reason  string `json:"reason"`
}

func enrolment(mux *http.ServeMux, n Enrolment) {
	handle(mux, "/v1/invitations", func(ctx context.Context, _ one) ([]Invited, error) { return n.Invitations(ctx) })
	handle(mux, "/v1/invitation/cancel", func(ctx context.Context, in one) (Invited, error) { return n.CancelInvitation(ctx, in.Value) })
	handle(mux, "/v1/object", func(ctx context.Context, in objection) (Pending, error) { return n.Object(ctx, in.Country, in.Reason) })
	handle(mux, "/v1/request", func(ctx context.Context, in one) (JoinRequest, error) { return n.RequestJoin(ctx, in.Value) })
	handle(mux, "/v1/request/take", func(ctx context.Context, in one) (Pending, error) { return n.TakeRequest(ctx, in.File) })
}

// Invitations is as in [Enrolment].
func (c *Client) Invitations(ctx context.Context) (out []Invited, err error) {
	return out, c.ask(ctx, "/v1/invitations", one{}, &out)
}

// CancelInvitation is as in [Enrolment].
func (c *Client) CancelInvitation(ctx context.Context, which string) (out Invited, err error) {
	return out, c.ask(ctx, "/v1/invitation/cancel", one{Value: which}, &out)
}

// Object is as in [Enrolment].
func (c *Client) Object(ctx context.Context, country, reason string) (out Pending, err error) {
	return out, c.ask(ctx, "/v1/object", objection{country, reason}, &out)
}

// RequestJoin is as in [Enrolment].
func (c *Client) RequestJoin(ctx context.Context, invitation string) (out JoinRequest, err error) {
	return out, c.ask(ctx, "/v1/request", one{Value: invitation}, &out)
}

// TakeRequest is as in [Enrolment].
func (c *Client) TakeRequest(ctx context.Context, file []byte) (out Pending, err error) {
	return out, c.ask(ctx, "/v1/request/take", one{File: file}, &out)
}
