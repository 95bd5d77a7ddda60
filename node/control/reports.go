package control

import (
	"context"
	"net/http"
)

// Desk is what lies on the editors' desk beside their listings.
type Desk interface {
	// Reports are what readers said is wrong with own listings, the oldest first.
	Reports(ctx context.Context) (Reports, error)

	// DropReports removes reports that somebody has looked into, or that nobody can
	// read, all or none.
	DropReports(ctx context.Context, ids []string) (Dropped, error)
}

// Report is what one reader said. Nothing is known of the reader.
type Report struct {
	ID      string `json:"id"`
	Listing string `json:"listing"`
	Name    string `json:"name,omitempty"` // of the listing; empty when it is no longer shown
	Choice  string `json:"choice"`         // closed, wrong_number, hours, no_answer, language or unsafe
	Text    string `json:"text,omitempty"` // only where the operator of the reader's node allows it
	Day     string `json:"day"`            // 2026-11-29, UTC
}

// Reports is the list.
type Reports struct {
	Reports    []Report `json:"reports"`    // never null
	Unreadable int      `json:"unreadable"` // how many there are beside them, sealed to a key that this node no longer has
	Locked     []Locked `json:"locked"`     // those; never null
}

// Locked is a report that nobody here can read. It can be dropped like any other.
type Locked struct {
	ID  string `json:"id"`
	Day string `json:"day"` // 2026-11-29, UTC
}

// Dropped is how many reports were removed.
type Dropped struct {
	Dropped int `json:"dropped"`
}

func desk(mux *http.ServeMux, n Desk) {
	handle(mux, "/v1/reports", func(ctx context.Context, _ one) (Reports, error) { return n.Reports(ctx) })
	handle(mux, "/v1/reports/drop", func(ctx context.Context, in one) (Dropped, error) { return n.DropReports(ctx, in.IDs) })
}

// Reports is as in [Desk].
func (c *Client) Reports(ctx context.Context) (out Reports, err error) {
	return out, c.ask(ctx, "/v1/reports", one{}, &out)
}

// DropReports is as in [Desk].
func (c *Client) DropReports(ctx context.Context, ids []string) (out Dropped, err error) {
	return out, c.ask(ctx, "/v1/reports/drop", one{IDs: ids}, &out)
}
