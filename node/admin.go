package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/listing"
	"github.com/2ps-project/waymark/node/search"
	"github.com/2ps-project/waymark/node/web/api"
)

// admin is the node as its administrator uses it through the socket.
type admin Node

var _ control.Node = (*admin)(nil)

// Search implements [control.Node].
func (a *admin) Search(ctx context.Context, form map[string][]string) (json.RawMessage, error) {
	q, err := api.ParseQuery(form)
	if err != nil {
		return nil, badQuestion(err)
	}
	n := (*Node)(a)
	answer, err := api.Search(ctx, n, q, api.Clock{Now: n.o.Now(), Cadence: n.cadence()})
	if err != nil {
		return nil, badQuestion(err)
	}
	return json.Marshal(answer)
}

// badQuestion tells what is wrong with a question from what went wrong here.
func badQuestion(err error) error {
	if errors.Is(err, api.ErrBadQuery) || errors.Is(err, search.ErrBadQuery) || errors.Is(err, search.ErrUnknownFacet) || errors.Is(err, search.ErrSnapshotGone) {
		return &control.Error{Class: control.Usage, Code: "bad_question", Message: err.Error()}
	}
	return err
}

// largeImport is the number of listings from which an import is a bulk load.
const largeImport = 500

// Import implements [control.Node].
func (a *admin) Import(ctx context.Context, rows iter.Seq2[control.Row, error], o control.ImportOptions) (control.ImportReport, error) {
	report, err := a.desk.Import(ctx, rows, o)
	if report.Added+report.Changed > largeImport {
		debug.FreeOSMemory() // a machine of this size is shared; the import was the exception
	}
	return report, err
}

// Listings implements [control.Node].
func (a *admin) Listings(ctx context.Context, filter control.Filter) ([]control.Summary, error) {
	if filter.Country != "" && !strings.EqualFold(filter.Country, a.o.Config.Country) {
		return a.foreign(ctx, strings.ToUpper(filter.Country))
	}
	all, err := a.desk.List()
	if filter.State != "" {
		all = slices.DeleteFunc(all, func(s control.Summary) bool {
			return s.State != filter.State && (filter.State != "published" || s.State != "changed")
		})
	}
	return all, err
}

// foreign lists another country's published listings.
func (a *admin) foreign(ctx context.Context, country string) ([]control.Summary, error) {
	out := []control.Summary{}
	q := search.Query{Countries: []string{country}, Professional: true, Order: search.ByID, PerPage: search.MaxPerPage, Page: 1, Now: a.o.Now()}
	for {
		answer, err := a.catalog.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, h := range answer.Hits {
			p, err := a.catalog.Get(ctx, h.ID)
			if errors.Is(err, listing.ErrNotFound) {
				continue // went away meanwhile
			}
			if err != nil {
				return nil, err
			}
			out = append(out, control.Summary{
				ID: h.ID, Country: p.Country, Name: p.Listing.Name, Organization: p.Listing.OrganizationName(), State: "published",
				Revision: h.Revision, Freshness: string(p.Freshness), AssuredDate: p.Listing.AssuredDate,
			})
		}
		if q.Page*q.PerPage >= answer.Total {
			return out, nil
		}
		q.Page, q.Snapshot = q.Page+1, answer.Snapshot
	}
}

// Listing implements [control.Node].
func (a *admin) Listing(ctx context.Context, id string) (json.RawMessage, error) {
	doc, ok, err := a.desk.Document(id)
	if err != nil || ok {
		return doc, err
	}
	p, err := a.catalog.Get(ctx, id)
	if errors.Is(err, listing.ErrNotFound) {
		return nil, &control.Error{Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("There is no listing %s here.", id), Next: "Search for it with: waymark search"}
	}
	if err != nil {
		return nil, err
	}
	return p.Document().JSON(), nil
}

// Check implements [control.Node].
func (a *admin) Check(ctx context.Context, ids []string) ([]control.Checked, error) {
	return a.desk.Check(ctx, ids)
}

// Publish implements [control.Node].
func (a *admin) Publish(ctx context.Context, ids []string) ([]control.Summary, error) {
	return a.desk.Publish(ctx, ids)
}

// Unpublish implements [control.Node].
func (a *admin) Unpublish(ctx context.Context, ids []string) ([]control.Summary, error) {
	return a.desk.Unpublish(ctx, ids)
}

// Confirm implements [control.Node].
func (a *admin) Confirm(ctx context.Context, ids []string) ([]control.Summary, error) {
	return a.desk.Confirm(ctx, ids)
}

// Delete implements [control.Node].
func (a *admin) Delete(ctx context.Context, ids []string) ([]control.Summary, error) {
	return a.desk.Delete(ctx, ids)
}

// Export implements [control.Node].
func (a *admin) Export(ctx context.Context, w io.Writer, o control.ExportOptions) error {
	return a.desk.Export(ctx, w, o)
}

// Status implements [control.Node].
func (a *admin) Status(ctx context.Context) (control.Status, error) {
	n := (*Node)(a)
	c := n.o.Config
	st := control.Status{
		Country: c.Country, Node: n.id.String(), Version: Version(), Role: "mirror", PublicURL: c.Public.URL,
		Members: []control.Member{}, Alarms: []control.Alarm{}, Registry: control.Registry{Voters: []control.Voter{}},
	}
	if st.PublicURL == "" {
		st.PublicURL = "http://" + n.public.Addr().String()
	}
	drafts, err := n.desk.Drafts()
	if err != nil {
		return st, err
	}
	st.Drafts = drafts
	counts, total := n.catalog.Counts(ctx)
	st.Listings = total
	if s := n.state(); s != nil {
		n.registryStatus(ctx, &st, s)
		for _, m := range s.Members() {
			st.Members = append(st.Members, n.memberStatus(m, counts[m.Country]))
		}
	}
	st.Refused = n.refused()
	if r := n.replicator.Load(); r != nil {
		offset, peers := r.Clock()
		st.Clock = control.Clock{Offset: int64(offset / time.Second), Peers: peers}
	}
	n.alarms(&st)
	for _, a := range st.Alarms {
		if a.Code != alarmWaiting {
			st.Degraded, st.DegradedReason = true, a.Text
			break
		}
	}
	return st, nil
}

// statusAge is how old what a status says of the voters may be.
const statusAge = 3 * time.Second

func (n *Node) registryStatus(ctx context.Context, st *control.Status, s *registry.State) {
	st.Federation, st.FederationID, st.Demo = s.Name(), s.Federation().String(), s.Demo()
	st.Registry.Seq = s.Seq()
	keeper := n.keeper.Load().Fresh(ctx, statusAge)
	if !keeper.Leader.IsZero() {
		leader := keeper.Leader.String()
		st.Registry.Leader = &leader
	}
	st.Registry.Quorum = keeper.Quorum
	if h, ok := n.keeper.Load().Head(); ok {
		at := h.Confirmed()
		st.Registry.ConfirmedAt = &at
	}
	for _, id := range keeper.Voters {
		v := control.Voter{Node: id.String()}
		if _, m, ok := s.Node(id); ok {
			v.Country = m.Country
		}
		st.Registry.Voters = append(st.Registry.Voters, v)
	}
	if node, _, ok := s.Node(n.id); ok && node.Publisher {
		st.Role = "publisher"
	}
	if keeper.Voting {
		st.Role += ", voter"
	}
}

func (n *Node) memberStatus(m registry.Member, listings int) control.Member {
	out := control.Member{Country: m.Country, Operator: m.Operator, State: n.memberState(m), Listings: listings}
	if view, err := n.store.View(m.Origin); err == nil {
		if h := view.Head(); h != nil {
			out.Head = &control.Head{Epoch: h.Epoch, N: h.N, Count: h.Count, Root: h.Root.String()}
		}
		view.Close()
	}
	if asOf := n.catalog.AsOf(m.Origin); !asOf.IsZero() {
		out.AsOf = &asOf
	}
	for _, h := range n.catalog.Hidden(m.Origin) {
		out.Hidden += h.Count
	}
	r := n.replicator.Load()
	if r == nil {
		return out
	}
	if known, ok := r.Known(m.Origin); ok && known.N > 0 && (out.Head == nil || known.Epoch > out.Head.Epoch || known.N > out.Head.N) {
		out.Known = &control.Head{Epoch: known.Epoch, N: known.N}
	}
	for _, p := range r.Progress() {
		if p.Origin == m.Origin && p.Of > 0 {
			out.Copied = &control.Copied{Records: p.Records, Of: p.Of}
		}
	}
	return out
}

// memberState is a member's state as this node sees it.
func (n *Node) memberState(m registry.Member) string {
	own := false
	if self, ok := n.self(); ok {
		own = self.Origin == m.Origin
	}
	asOf := n.catalog.AsOf(m.Origin)
	switch r, p := n.replicator.Load(), n.publisher.Load(); {
	case m.Status == registry.StatusWithdrawn:
		return control.StateWithdrawn
	case m.Status == registry.StatusExpelled:
		return control.StateExpelled
	case n.docket.View().Suspended(m.Origin):
		return control.StateSuspended
	case own && p != nil && (p.Quarantined() != nil || p.Forked()):
		return control.StateQuarantined
	case own:
		return control.StateSelf
	case r != nil && r.Frozen(m.Origin):
		return control.StateFrozen
	case r != nil && r.Behind(m.Origin):
		return control.StateBehind
	case !asOf.IsZero() && n.o.Now().Sub(asOf) > feed.BeatLife:
		return control.StateUnconfirmed
	case asOf.IsZero():
		return control.StateUnknown
	}
	return control.StateSynced
}

// explainProposal says why the registry did not take a change.
func explainProposal(err error) error {
	switch {
	case errors.Is(err, consensus.ErrWaiting):
		return &control.Error{Class: control.Degraded, Code: "signed_waits", Message: "Signed, and kept here: the shared registry cannot be changed at present.",
			Next: "Nothing: this node hands it over as soon as enough of the other countries' nodes can be reached. Searching, publishing and copying go on."}
	case errors.Is(err, consensus.ErrNoQuorum):
		return &control.Error{Class: control.Degraded, Code: "no_quorum", Message: "The shared registry cannot be changed now: " + err.Error() + ".",
			Next: "Nothing was changed. Try again when more countries' nodes can be reached; publishing and searching go on."}
	case errors.Is(err, consensus.ErrOutcomeUnknown):
		return &control.Error{Class: control.Failed, Code: "outcome_unknown", Message: "Whether the registry took the change is not known yet.",
			Next: "Look with waymark country list or waymark country pending, and do it again if it is missing: it is never done twice."}
	case errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrCountryTaken), errors.Is(err, registry.ErrUnauthorised):
		return &control.Error{Class: control.Refused, Code: "refused", Message: "The registry refuses this: " + err.Error() + "."}
	}
	return err
}

// Countries lists the members for readers.
func (n *Node) Countries() []listing.CountryView {
	s := n.state()
	if s == nil {
		return nil
	}
	counts, _ := n.catalog.Counts(context.Background())
	var out []listing.CountryView
	for _, m := range s.Members() {
		out = append(out, listing.CountryView{
			Code: m.Country, Operator: m.Operator, OperatorType: m.OperatorType, Listings: counts[m.Country],
			AsOf: n.catalog.AsOf(m.Origin), State: n.memberState(m), Hidden: n.catalog.Hidden(m.Origin),
			RolledBack: n.standing(m.Origin).RolledBack, Since: n.standing(m.Origin).Since,
		})
	}
	return out
}

// CountHidden counts the listings of countries that are held here and not shown, for the API.
func (n *Node) CountHidden(countries []string) int { return n.catalog.CountHidden(countries) }

// Search answers one question, for the pages and the API.
func (n *Node) Search(ctx context.Context, q search.Query) (search.Answer, error) {
	return n.catalog.Search(ctx, q)
}

// Whole is all listings that answer a question, for the API.
func (n *Node) Whole(ctx context.Context, q search.Query) ([]search.Ref, string, error) {
	return n.catalog.Whole(ctx, q)
}

// Keys are the keys of the listings that answer a question, for the API.
func (n *Node) Keys(ctx context.Context, q search.Query, prefix string) ([]string, string, error) {
	return n.catalog.Keys(ctx, q, prefix)
}

// KeyOwner is the first listing that has a key, for the API.
func (n *Node) KeyOwner(ctx context.Context, q search.Query, key string) (search.Ref, bool, error) {
	return n.catalog.KeyOwner(ctx, q, key)
}

// Before are the earlier versions of a listing, for the API.
func (n *Node) Before(ctx context.Context, id string) ([]*listing.Listing, error) {
	return n.catalog.Before(ctx, id)
}

// Changes are what changed in all lists since, for the API.
func (n *Node) Changes(ctx context.Context, after listing.Place, since time.Time, limit int) ([]listing.Change, listing.Place, bool, error) {
	return n.catalog.Changes(ctx, after, since, limit)
}

// Get is one listing, for the pages and the API.
func (n *Node) Get(ctx context.Context, id string) (listing.Published, error) {
	return n.catalog.Get(ctx, id)
}
