package control

import (
	"context"
	"net/http"
	"time"
)

// Rescue is what a node offers when most of the nodes that keep the shared
// registry are lost for good, and the members let others go on with it.
type Rescue interface {
	// PlanRecovery tells what a recovery would do. It changes nothing.
	PlanRecovery(ctx context.Context) (RecoveryPlan, error)

	// SignRecovery signs a recovery for this country: the one in the file, or
	// without a file the one that PlanRecovery shows.
	SignRecovery(ctx context.Context, file []byte) (SignedRecovery, error)

	// RunRecovery puts the signatures of these files of one recovery together and
	// carries it out. Doing it again is harmless.
	RunRecovery(ctx context.Context, files [][]byte) (SignedRecovery, error)
}

// RecoveryPlan is what a recovery of the registry would do.
type RecoveryPlan struct {
	Refused   *Error         `json:"refused"` // why it cannot be done; null when it can
	Nodes     []RecoveryNode `json:"nodes"`   // of all members, by country
	OldVoters int            `json:"old_voters"`
	Answering int            `json:"answering"` // of the old voters
	Members   int            `json:"members"`
	Needed    int            `json:"needed"` // members that must sign
	// Confirmed is the last entry that the voters stood by, on which others go
	// on; 0 when none is known. What came later is superseded.
	Confirmed   uint64     `json:"confirmed"`
	ConfirmedAt *time.Time `json:"confirmed_at"` // UTC; null when none is known
	Superseded  []string   `json:"superseded"`   // the kinds of the later commands, in order
	Generation  uint64     `json:"generation"`   // the one that would begin; 0 when it is refused
}

// RecoveryNode is one node of a member as a plan sees it.
type RecoveryNode struct {
	Node     string `json:"node"`
	Country  string `json:"country"`
	Answers  bool   `json:"answers"`
	Seq      uint64 `json:"seq"` // the last entry that it has; 0 when it does not answer
	OldVoter bool   `json:"old_voter"`
	NewVoter bool   `json:"new_voter"`
}

// SignedRecovery is a recovery with signatures.
type SignedRecovery struct {
	Generation uint64   `json:"generation"`
	Confirmed  uint64   `json:"confirmed"` // the last entry that stays
	Hash       string   `json:"hash"`      // of the registry after it, hexadecimal
	Voters     []Voter  `json:"voters"`    // who go on; the first begins
	Signed     []string `json:"signed"`    // countries, sorted
	Needed     int      `json:"needed"`
	File       []byte   `json:"file,omitempty"`
	// Superseded are the kinds of the commands that have to be proposed again, as
	// far as this node has them. Only after it was carried out.
	Superseded []string `json:"superseded,omitempty"`
}

// recovering is the request of [Rescue.RunRecovery].
type recovering struct {
	Files [][]byte `json:"files"`
}

func rescue(mux *http.ServeMux, n Rescue) {
	handle(mux, "/v1/recovery/plan", func(ctx context.Context, _ one) (RecoveryPlan, error) { return n.PlanRecovery(ctx) })
	handle(mux, "/v1/recovery/sign", func(ctx context.Context, in one) (SignedRecovery, error) { return n.SignRecovery(ctx, in.File) })
	handle(mux, "/v1/recovery/run", func(ctx context.Context, in recovering) (SignedRecovery, error) { return n.RunRecovery(ctx, in.Files) })
}

// PlanRecovery is as in [Rescue].
func (c *Client) PlanRecovery(ctx context.Context) (out RecoveryPlan, err error) {
	return out, c.ask(ctx, "/v1/recovery/plan", one{}, &out)
}

// SignRecovery is as in [Rescue].
func (c *Client) SignRecovery(ctx context.Context, content []byte) (out SignedRecovery, err error) {
	return out, c.ask(ctx, "/v1/recovery/sign", one{File: content}, &out)
}

// RunRecovery is as in [Rescue].
func (c *Client) RunRecovery(ctx context.Context, files [][]byte) (out SignedRecovery, err error) {
	return out, c.ask(ctx, "/v1/recovery/run", recovering{files}, &out)
}
