package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
)

// joinLeast is how long a takedown that another country has made must still last
// to be signed in place of a new one.
const joinLeast = 7 * 24 * time.Hour

// decide makes a ruling, or signs the one by which another country has said the
// same, and spreads it. It holds once enough countries have signed.
func (n *Node) decide(s *registry.State, r registry.Ruling) (control.Decision, error) {
	r.Counter = n.docket.Counter(r.Target()) + 1
	for _, p := range n.docket.Pending() {
		if joins(p.Ruling, r, n.o.Now()) {
			return n.countersign(s, p.Envelope)
		}
	}
	r, err := registry.NewRuling(s, r, n.o.Now())
	if err != nil {
		return control.Decision{}, explainRuling(err)
	}
	envelope, err := registry.SignRuling(s.Federation(), r, n.keys().admin)
	if err != nil {
		return control.Decision{}, err
	}
	return n.putRuling(s, envelope)
}

// joins reports whether a ruling that waits says what is wanted, all of it: who
// asks for the one has not seen the other, which may name another last good head,
// a counter that none can follow, or words that nobody wants to have signed.
func joins(waits, wanted registry.Ruling, now time.Time) bool {
	good := waits.Good == wanted.Good || waits.Good != nil && wanted.Good != nil && *waits.Good == *wanted.Good
	return good && waits.Target() == wanted.Target() && waits.Off == wanted.Off && waits.Lasting == wanted.Lasting &&
		waits.Counter == wanted.Counter && waits.Reason == wanted.Reason && waits.Text == wanted.Text && slices.Equal(waits.By, wanted.By) &&
		(waits.Until == 0 || waits.Until.Time().Sub(now) >= joinLeast)
}

// confirms refuses a takedown without an end that has nothing to confirm: it is the
// second of two decisions, while the first one holds. Its counter alone does not say
// so, since a decision that lifts one counts as well.
func confirms(v interface {
	Hidden(identity.OriginID, feed.Key) (registry.Ruling, []identity.OriginID, bool)
}, r registry.Ruling) error {
	if r.Kind != registry.RulingTakedown || !r.Lasting {
		return nil
	}
	if _, _, hidden := v.Hidden(r.Origin, r.Record); hidden {
		return nil
	}
	return &control.Error{Class: control.Refused, Code: "nothing_to_confirm", Message: "No decision of the countries hides this listing now, so there is none that could be made to last.",
		Next: "Decide it for two weeks first, without --lasting. While that holds it can be confirmed."}
}

func (n *Node) countersign(s *registry.State, envelope []byte) (control.Decision, error) {
	if r, _, err := registry.ParseRuling(envelope); err == nil {
		if err := confirms(n.docket.View(), r); err != nil {
			return control.Decision{}, err
		}
	}
	signed, err := registry.CountersignRuling(s.Federation(), envelope, n.keys().admin)
	if err != nil {
		return control.Decision{}, explainRuling(err)
	}
	return n.putRuling(s, signed)
}

// putRuling takes a ruling in and hands it on.
func (n *Node) putRuling(s *registry.State, envelope []byte) (control.Decision, error) {
	r, e, err := registry.ParseRuling(envelope)
	if err != nil {
		return control.Decision{}, explainRuling(err)
	}
	added, err := n.docket.AddRuling(envelope)
	if err != nil {
		return control.Decision{}, explainRuling(err)
	}
	if added {
		item, err := docket.RulingItem(envelope)
		if rep := n.replicator.Load(); err == nil && rep != nil {
			go rep.SpreadDocket(context.Background(), item)
		}
		n.reconsider() // whoever signed sees the effect at once
		// Whoever completes a decision has it recorded at once: once it is in the
		// registry, a member that is admitted later does not raise what it needs.
		go n.record(context.Background())
	}
	if d, ok := n.decision(s, r, rulingID(e.Body)); ok {
		return d, nil
	}
	return control.Decision{}, &control.Error{Class: control.Refused, Code: "superseded", Message: "A later decision about the same is known.", Next: "See: waymark approval list"}
}

// rulingID names a ruling, whoever has signed it.
func rulingID(body []byte) string {
	hash := registry.HashRuling(body)
	return hex.EncodeToString(hash[:])
}

// explainRuling says why a ruling was not taken.
func explainRuling(err error) error {
	if errors.Is(err, registry.ErrSuperseded) || errors.Is(err, registry.ErrConflict) || errors.Is(err, registry.ErrUnauthorised) {
		return &control.Error{Class: control.Refused, Code: "refused", Message: "This cannot be decided: " + err.Error() + ".", Next: "See what is in force with: waymark approval list"}
	}
	return err
}

// decision is how the ruling of an id stands, or the later one about the same
// that is in force.
func (n *Node) decision(s *registry.State, r registry.Ruling, id string) (control.Decision, bool) {
	all := n.decisions(s)
	at := slices.IndexFunc(all, func(d weighed) bool { return d.ID == id })
	if at < 0 {
		at = slices.IndexFunc(all, func(d weighed) bool { return d.InForce && d.target == r.Target() && d.counter >= r.Counter })
	}
	if at < 0 {
		return control.Decision{}, false
	}
	return all[at].Decision, true
}

// weighed is a decision with what it is about.
type weighed struct {
	control.Decision
	target   registry.Target
	counter  uint64
	envelope []byte // while it waits
}

// decisions are the rulings that wait, then those in force. One that lifts
// another is shown until the registry has it.
func (n *Node) decisions(s *registry.State) []weighed {
	var out []weighed
	for _, p := range n.docket.Pending() {
		d := n.weigh(s, p.Ruling, p.Signers, p.Needed)
		d.ID, d.envelope = hex.EncodeToString(p.ID[1:]), p.Envelope
		out = append(out, d)
	}
	for _, h := range n.docket.View().Latest() {
		if h.Ruling.Off && h.Recorded > 0 || h.Ruling.Over(n.o.Now()) {
			continue
		}
		d := n.weigh(s, h.Ruling, h.Signers, len(h.Signers))
		d.InForce = true
		out = append(out, d)
	}
	return out
}

func (n *Node) weigh(s *registry.State, r registry.Ruling, signers []identity.OriginID, needed int) weighed {
	d := weighed{target: r.Target(), counter: r.Counter}
	d.Decision = control.Decision{
		Kind: string(r.Kind), Off: r.Off, Country: n.country(r.Origin), Reason: r.Reason, Text: r.Text,
		Issued: r.Issued.Time(), Signed: n.codes(signers), Needed: needed,
	}
	if body, err := identity.Marshal(r); err == nil {
		d.ID = rulingID(body)
	}
	slices.Sort(d.Signed)
	if r.Kind == registry.RulingTakedown {
		id, err := n.store.ShownID(r.Origin, r.Record)
		if err != nil {
			id = r.Record
		}
		d.Listing = uuid.UUID(id).String()
	}
	if r.Until != 0 {
		until := r.Until.Time()
		d.Until = &until
	}
	return d
}

// Decisions implements [control.Care].
func (a *admin) Decisions(context.Context) ([]control.Decision, error) {
	n := (*Node)(a)
	out := []control.Decision{}
	if s := n.state(); s != nil {
		for _, d := range n.decisions(s) {
			out = append(out, d.Decision)
		}
		for _, v := range n.openVotes(s) {
			out = append(out, v.Decision)
		}
	}
	return out, nil
}

// waitingDecision finds the decision that an id, or its beginning, names.
func (n *Node) waitingDecision(id string) (*registry.State, weighed, error) {
	s, _, err := n.member()
	if err != nil {
		return nil, weighed{}, err
	}
	var found []weighed
	inForce := false
	for _, d := range n.decisions(s) {
		switch {
		case len(id) < 4 || !strings.HasPrefix(d.ID, strings.ToLower(id)):
		case d.envelope == nil:
			inForce = true
		default:
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0 && inForce:
		return nil, weighed{}, &control.Error{Class: control.Refused, Code: "in_force", Message: "This decision has all its signatures: it is in force.", Next: "Nothing is left to do. See: waymark approval list"}
	case len(found) == 0:
		return nil, weighed{}, &control.Error{Class: control.Failed, Code: "no_decision", Message: fmt.Sprintf("No decision that begins with %q waits for a signature.", id), Next: "See them with: waymark approval list"}
	case len(found) > 1:
		return nil, weighed{}, &control.Error{Class: control.Failed, Code: "no_decision", Message: fmt.Sprintf("%d decisions begin with %q.", len(found), id), Next: "Give more digits of the id. See: waymark approval list -o json"}
	}
	return s, found[0], nil
}

// SignDecision implements [control.Care].
func (a *admin) SignDecision(ctx context.Context, id string) (control.Decision, error) {
	n := (*Node)(a)
	if v, ok := n.vote(id); ok {
		return n.endorse(ctx, v)
	}
	s, d, err := n.waitingDecision(id)
	if err != nil {
		return control.Decision{}, err
	}
	return n.countersign(s, d.envelope)
}

// ExportDecision implements [control.Care].
func (a *admin) ExportDecision(_ context.Context, id string) ([]byte, error) {
	n := (*Node)(a)
	if v, ok := n.vote(id); ok {
		return n.approval(v)
	}
	_, d, err := n.waitingDecision(id)
	return d.envelope, err
}

// ImportDecision implements [control.Care].
func (a *admin) ImportDecision(ctx context.Context, file []byte) (control.Decision, error) {
	n := (*Node)(a)
	if d, ok, err := n.takeApproval(ctx, file); ok {
		return d, err
	}
	s, _, err := n.member()
	if err != nil {
		return control.Decision{}, err
	}
	if _, _, err := registry.ParseRuling(file); err != nil {
		return control.Decision{}, &control.Error{Class: control.Usage, Code: "no_decision", Message: "This file is no decision: " + err.Error() + ".", Next: "Use the file that waymark approval export has written."}
	}
	return n.putRuling(s, file)
}

// find is the record behind a listing's id.
func (n *Node) find(id string) (place, error) {
	none := &control.Error{Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("No listing %s is stored here.", id), Next: "Search for it with waymark search, or see: waymark listing list"}
	parsed, err := uuid.Parse(id)
	if err != nil {
		return place{}, none
	}
	o, c, _, err := n.store.Record(feed.Key(parsed))
	switch {
	case errors.Is(err, feed.ErrNoRecord):
		return place{}, none
	case err != nil:
		return place{}, err
	}
	return place{o, c.Key}, nil
}

// Hide implements [control.Care].
func (a *admin) Hide(ctx context.Context, in control.HideRequest) (control.Hidden, error) {
	n := (*Node)(a)
	p, err := n.find(in.ID)
	if err != nil {
		return control.Hidden{}, err
	}
	if !in.Off && !slices.Contains(listing.Terms(listing.VocabularyHiding), in.Reason) {
		return control.Hidden{}, &control.Error{Class: control.Usage, Code: "reason", Message: "Readers are told why something is not shown. Say it with --reason.",
			Next: "One of: " + strings.Join(listing.Terms(listing.VocabularyHiding), ", ") + "."}
	}
	if len(in.Text) > registry.MaxRulingText {
		return control.Hidden{}, &control.Error{Class: control.Usage, Code: "too_long", Message: fmt.Sprintf("The text has %d bytes, at most %d are allowed.", len(in.Text), registry.MaxRulingText), Next: "Write it shorter."}
	}
	out := control.Hidden{ID: in.ID, Country: n.country(p.origin), Local: in.Local}
	if in.Local {
		err = n.hideHere(ctx, p, in)
	} else {
		out.Decision, err = n.hideEverywhere(p, in)
	}
	if err != nil {
		return control.Hidden{}, err
	}
	_, out.Hidden = n.hidden(p.origin, p.key)
	return out, nil
}

func (n *Node) hideHere(ctx context.Context, p place, in control.HideRequest) error {
	var h *hide
	if !in.Off {
		h = &hide{Since: feed.DayOf(n.o.Now()), Reason: in.Reason, Text: in.Text}
	}
	if err := n.hides.set(p, h); err != nil {
		return err
	}
	return n.catalog.Reconsider(ctx, p.origin, p.key)
}

func (n *Node) hideEverywhere(p place, in control.HideRequest) (*control.Decision, error) {
	s, self, err := n.member()
	if err != nil {
		return nil, err
	}
	if self.Origin == p.origin {
		return nil, &control.Error{Class: control.Refused, Code: "own_listing", Message: "This is one of this country's own listings.", Next: "Take it back with: waymark listing unpublish"}
	}
	r := registry.Ruling{Kind: registry.RulingTakedown, Off: in.Off, Lasting: in.Lasting, Origin: p.origin, Record: p.key, Reason: in.Reason, Text: in.Text}
	if in.Off {
		r.Reason = registry.ReasonMistake
	}
	if err := confirms(n.docket.View(), r); err != nil {
		return nil, err
	}
	d, err := n.decide(s, r)
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// Overlay implements [control.Care].
func (a *admin) Overlay(ctx context.Context, in control.OverlayRequest) (control.Overlay, error) {
	n := (*Node)(a)
	if in.Remove {
		mine, err := n.desk.Overlays(ctx, []string{in.ID})
		if err != nil {
			return control.Overlay{}, err
		}
		for _, r := range mine {
			if string(r.Kind) == in.Kind && (in.Language == "" || r.Language == in.Language) {
				_, err := n.desk.RemoveOverlays(ctx, []string{r.ID})
				return overlayOf(r.ID, r.Country, r.Overlay), err
			}
		}
		return control.Overlay{}, &control.Error{Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("This country has no %s beside that listing.", in.Kind)}
	}
	o := listing.Overlay{
		Target: in.ID, Kind: listing.OverlayKind(in.Kind), Language: in.Language, Text: in.Text, Works: in.Works, Cost: in.Cost,
		Languages: in.Languages, Status: listing.Status(in.Status), Expires: in.Expires.UTC().Format(time.DateOnly),
	}
	r, err := n.desk.Overlay(ctx, o)
	if err != nil {
		return control.Overlay{}, err
	}
	return overlayOf(r.ID, r.Country, r.Overlay), nil
}

func overlayOf(id, country string, o listing.Overlay) control.Overlay {
	out := control.Overlay{
		Key: id, Listing: o.Target, Country: country, Kind: string(o.Kind), Language: o.Language, Text: o.Text,
		Works: o.Works, Cost: o.Cost, Languages: o.Languages, Status: string(o.Status),
	}
	if t, err := time.Parse(time.DateOnly, o.Expires); err == nil {
		out.Expires = t
	}
	return out
}

// Overlays implements [control.Care].
func (a *admin) Overlays(ctx context.Context) ([]control.Overlay, error) {
	all, err := a.desk.Overlays(ctx, nil)
	out := []control.Overlay{}
	for _, r := range all {
		out = append(out, overlayOf(r.ID, r.Country, r.Overlay))
	}
	return out, err
}

// Erase implements [control.Care].
func (a *admin) Erase(ctx context.Context, ids []string) ([]control.Summary, error) {
	return a.desk.Erase(ctx, ids)
}

func timeOf(unix int64) time.Time { return time.Unix(unix, 0).UTC() }
