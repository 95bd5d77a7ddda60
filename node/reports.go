package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/report"
	"github.com/2ps-project/waymark/federation/transport"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/web/public"
)

// Where the nodes of other countries bring reports, and where those that nobody
// can call fetch them.
const (
	pathReports      = "/r1/reports"
	pathReportsFetch = "/r1/reports/fetch"
)

func (n *Node) openReports() (*report.Box, error) {
	return report.New(report.Options{
		Drawer: n.store.Reports(), Link: (*reportLink)(n), Self: n.reportSelf, Recipient: n.reportRecipient, Origin: n.originOf,
		Now: n.o.Now, Logger: n.o.Logger,
	})
}

// reportSelf is this node as package report sees it.
func (n *Node) reportSelf() (report.Self, bool) {
	m, in := n.self()
	if !in {
		return report.Self{}, false
	}
	var siblings []identity.NodeID
	for _, other := range m.Nodes {
		if other.ID != n.id {
			siblings = append(siblings, other.ID)
		}
	}
	return report.Self{
		Federation: n.state().Federation(), Origin: m.Origin, Publisher: n.publishes(m),
		Hidden: n.o.Config.Federation.OutboundOnly || len(n.o.Config.Federation.Advertise) == 0,
		Key:    n.keys().seal, Peers: n.peers(), Siblings: siblings,
	}, true
}

// reportRecipient is the node of a country whose editors read reports. What is
// shown of a country that has left has nobody to read about it.
func (n *Node) reportRecipient(o identity.OriginID) (report.Recipient, bool) {
	s := n.state()
	if s == nil {
		return report.Recipient{}, false
	}
	m, ok := s.MemberByOrigin(o)
	if !ok || m.Left != 0 {
		return report.Recipient{}, false
	}
	p, ok := m.Publisher()
	return report.Recipient{Seal: m.Seal, Node: p.ID, Hidden: len(p.Endpoints) == 0}, ok
}

// originOf is whose a node is that may speak here.
func (n *Node) originOf(id identity.NodeID) (identity.OriginID, bool) {
	if n.state() == nil {
		return identity.OriginID{}, false
	}
	_, m, ok := n.docket.View().Node(id)
	return m.Origin, ok
}

// reportLink carries reports over the federation port.
type reportLink Node

// Deliver implements [report.Link].
func (l *reportLink) Deliver(ctx context.Context, to identity.NodeID, batch []byte) ([]byte, error) {
	return l.post(ctx, to, pathReports, batch)
}

// Fetch implements [report.Link].
func (l *reportLink) Fetch(ctx context.Context, from identity.NodeID, done []byte) ([]byte, error) {
	return l.post(ctx, from, pathReportsFetch, done)
}

func (l *reportLink) post(ctx context.Context, to identity.NodeID, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+to.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := l.transport.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reports: %s answers %d", to, answer.StatusCode)
	}
	return io.ReadAll(io.LimitReader(answer.Body, report.MaxBatch+1))
}

// serveReports answers peers. Only the node that publishes for a country is given
// what is kept for it.
func (n *Node) serveReports(w http.ResponseWriter, r *http.Request) {
	peer, ok := transport.PeerOf(r.Context())
	from, known := n.originOf(peer)
	if !ok || !known {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, report.MaxBatch+1))
	if err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var answer []byte
	switch r.URL.Path {
	case pathReports:
		answer, err = n.reports.Take(from, body)
	case pathReportsFetch:
		if to, reads := n.reportRecipient(from); !reads || to.Node != peer {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		answer, err = n.reports.Give(from, body)
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	switch {
	case errors.Is(err, report.ErrMalformed):
		w.WriteHeader(http.StatusBadRequest)
	case errors.Is(err, report.ErrNobody):
		w.WriteHeader(http.StatusConflict)
	case err != nil:
		n.o.Logger.Error("reports of another country could not be kept", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
	default:
		_, _ = w.Write(answer) // who went away asks again
	}
}

// reporter is what the pages see of all this.
type reporter Node

var _ public.Reports = (*reporter)(nil)

// Report implements [public.Reports].
func (r *reporter) Report(ctx context.Context, id, choice, text string) error {
	n := (*Node)(r)
	p, err := n.Get(ctx, id)
	if err != nil {
		return err
	}
	to, ok := n.reportOrigin(p.Country)
	if !ok {
		return public.ErrNotReported
	}
	err = n.reports.Submit(to, report.Report{Listing: p.Listing.ID, Choice: choice, Text: report.Clean(text)})
	if errors.Is(err, report.ErrNobody) || errors.Is(err, report.ErrFull) {
		return public.ErrNotReported
	}
	return err
}

// Reads implements [public.Reports].
func (r *reporter) Reads(country string) bool {
	_, ok := (*Node)(r).reportOrigin(country)
	return ok
}

// reportOrigin is the member for a country, if somebody there reads reports.
func (n *Node) reportOrigin(country string) (identity.OriginID, bool) {
	s := n.state()
	if s == nil {
		return identity.OriginID{}, false
	}
	m, ok := s.MemberByCountry(country)
	if !ok {
		return identity.OriginID{}, false
	}
	_, ok = n.reportRecipient(m.Origin)
	return m.Origin, ok
}

// Reports implements [control.Desk].
func (a *admin) Reports(ctx context.Context) (control.Reports, error) {
	n := (*Node)(a)
	if _, _, err := n.member(); err != nil {
		return control.Reports{}, err
	}
	if m, in := n.self(); in && !n.publishes(m) {
		return control.Reports{}, n.errMirror(m)
	}
	list, locked, err := n.reports.List()
	out := control.Reports{Reports: []control.Report{}, Unreadable: len(locked), Locked: []control.Locked{}}
	for _, r := range locked {
		out.Locked = append(out.Locked, control.Locked{ID: r.ID.String(), Day: r.Day.Time().Format(time.DateOnly)})
	}
	for _, r := range list {
		c := control.Report{ID: r.ID.String(), Listing: r.Listing, Choice: r.Choice, Text: r.Text, Day: r.Day.Time().Format(time.DateOnly)}
		if p, err := n.Get(ctx, r.Listing); err == nil {
			c.Name = p.Listing.Name
		} else if !errors.Is(err, listing.ErrNotFound) && ctx.Err() != nil {
			return control.Reports{}, ctx.Err()
		}
		out.Reports = append(out.Reports, c)
	}
	return out, err
}

// DropReports implements [control.Desk].
func (a *admin) DropReports(_ context.Context, ids []string) (control.Dropped, error) {
	n := (*Node)(a)
	list, locked, err := n.reports.List()
	if err != nil {
		return control.Dropped{}, err
	}
	known := map[string]report.ID{}
	for _, r := range list {
		known[r.ID.String()] = r.ID
	}
	for _, r := range locked {
		known[r.ID.String()] = r.ID
	}
	var drop []report.ID
	for _, id := range ids {
		r, ok := known[id]
		if !ok {
			return control.Dropped{}, &control.Error{Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("There is no report %s; nothing was dropped.", id), Next: "See them with: waymark report list"}
		}
		drop = append(drop, r)
	}
	count, err := n.reports.Drop(drop...)
	return control.Dropped{Dropped: count}, err
}
