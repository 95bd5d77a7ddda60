package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/docket"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node/control"
)

// pageOfItems bounds one look into the docket while a bundle is written.
const pageOfItems = 1 << 20

// ExportBundle implements [control.Care].
func (a *admin) ExportBundle(ctx context.Context, w io.Writer, o control.BundleOptions) error {
	n := (*Node)(a)
	s, _, err := n.member()
	if err != nil {
		return err
	}
	_, err = bundle.Export(ctx, w, bundle.ExportOptions{
		State: s, Chain: n.store.Chain(), Heads: n.keeper.Load().HeadChain(), Docket: n.docketItems, Feeds: seen{n}, Rules: n.rulesOver,
		Key: n.keys().node, Countries: o.Countries, Since: o.Since, Now: n.o.Now(),
	})
	return err
}

// docketItems yields what the docket holds.
func (n *Node) docketItems(yield func([]byte) bool) {
	for after := []byte(nil); ; {
		items, next := n.docket.Items(after, pageOfItems)
		for _, item := range items {
			if !yield(item) {
				return
			}
		}
		if next == nil {
			return
		}
		after = next
	}
}

// seen views feeds at moments when their heads may be seen by others.
type seen struct{ n *Node }

// View implements [bundle.Views].
func (s seen) View(o identity.OriginID) (view feed.StoreView, err error) {
	p := s.n.publisher.Load()
	if own, ok := s.n.origin(); !ok || own != o || p == nil {
		return s.n.store.View(o)
	}
	p.Shared(func() { view, err = s.n.store.View(o) })
	return view, err
}

// rulesOver are this node's rules over a registry and its heads, which may be
// newer than its own.
func (n *Node) rulesOver(s *registry.State, heads registry.HeadChain) feed.Rules {
	r := bundle.Rules(s, heads, n.now())
	r.Keys = n.docket.View().Keys(anchoredToo{r.Keys, n.keeper.Load()})
	r.Limits = limits(s.Policy())
	return r
}

// anchoredToo adds the places on record that this node knows itself.
type anchoredToo struct {
	feed.Keys
	keeper *consensus.Keeper // nil: none
}

// Anchor implements [feed.Keys].
func (a anchoredToo) Anchor(o identity.OriginID, epoch, number uint64) (identity.Hash, bool) {
	if hash, ok := a.Keys.Anchor(o, epoch, number); ok || a.keeper == nil {
		return hash, ok
	}
	return a.keeper.Anchor(o, epoch, number)
}

// ImportBundle implements [control.Care].
func (a *admin) ImportBundle(ctx context.Context, path string, o control.BundleImport, progress func(control.Progress)) (control.BundleReport, error) {
	n := (*Node)(a)
	wanted, err := n.wantedFederation(o.Federation)
	if err != nil {
		return control.BundleReport{}, err
	}
	f, err := openRegular(path)
	if err != nil {
		return control.BundleReport{}, &control.Error{Class: control.Failed, Code: "no_file", Message: fmt.Sprintf("The bundle cannot be read: %v.", err), Next: "Give the path of a file that the node's user may read."}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return control.BundleReport{}, err
	}
	opts := bundle.ImportOptions{
		Federation: wanted, State: n.state(), Chain: n.store.Chain(), Rules: n.rulesOver, Store: n.store, Appender: n,
		TakeItem: func(item []byte) error {
			_, err := n.docket.Add(item)
			return err
		},
		Fork:   n.forkFound,
		DryRun: o.DryRun, Now: n.o.Now(), Progress: progress,
	}
	if k := n.keeper.Load(); k != nil {
		opts.Heads = k.HeadChain()
	}
	opts.TakeRegistry = n.takeRegistry(wanted)
	if p := n.publisher.Load(); p != nil {
		opts.Own, _ = n.origin()
		opts.NewerOwn, opts.Adopted = p.Seen, func() { n.adopt(p, opts.Own) }
	}
	empty := opts.State == nil
	report, err := bundle.Import(ctx, f, info.Size(), opts)
	if report == nil {
		return control.BundleReport{}, err
	}
	if err == nil && empty && !o.DryRun {
		err = n.catalog.Rebuild(ctx, nil) // the countries were not known while their feeds came
	}
	return *report, err
}

// openRegular opens a file that is one: opening a pipe would wait for ever.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// wantedFederation is the one that a bundle must be of.
func (n *Node) wantedFederation(named string) (identity.FederationID, error) {
	if named != "" {
		f, err := identity.ParseFederationID(named)
		if err != nil || f.IsZero() {
			return f, &control.Error{Class: control.Usage, Code: "bad_federation", Message: fmt.Sprintf("%q is no federation's id.", named), Next: "It is the line federation_id in: waymark status -o json"}
		}
		return f, nil
	}
	if s := n.state(); s != nil {
		return s.Federation(), nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.join != nil:
		return n.join.Federation, nil
	case n.known != nil:
		return n.known.Federation, nil
	}
	return identity.FederationID{}, nil
}

// forkFound is shown two heads of one number.
func (n *Node) forkFound(held, shown *feed.SignedHead) {
	if _, err := n.docket.AddEvidence(feed.NewEvidence(held, shown)); err != nil {
		n.o.Logger.Warn("two contradicting heads in a bundle could not be kept as evidence", "err", err)
	}
}

// takeRegistry takes the registry out of a bundle: entries that are not here,
// and the heads that confirm them.
func (n *Node) takeRegistry(f identity.FederationID) func(context.Context, uint64, [][]byte, [][]byte) error {
	return func(ctx context.Context, from uint64, entries, heads [][]byte) error {
		if n.keeper.Load() == nil {
			if err := n.openKeeper(f, nil, false); err != nil {
				return err
			}
		}
		return n.keeper.Load().Take(ctx, from, entries, heads)
	}
}

// proof is a piece of evidence, with how it stands.
type proof struct {
	control.Evidence
	evidence feed.Evidence
}

// evidence lists what the registry has on record, then what it will have.
func (n *Node) evidence() ([]proof, error) {
	s := n.state()
	if s == nil {
		return nil, nil
	}
	var out []proof
	add := func(f registry.Fork, e feed.Evidence, recorded bool) {
		m, _ := s.MemberByOrigin(f.Origin)
		out = append(out, proof{control.Evidence{
			ID: fmt.Sprintf("%s-%d.%d", m.Country, f.Epoch, f.N), Country: m.Country, Epoch: f.Epoch, N: f.N, A: f.A.String(), B: f.B.String(),
			Recorded: recorded, Over: m.Epoch > f.Epoch,
		}, e})
	}
	for _, f := range s.Evidence() {
		e, err := n.recordedEvidence(f.Seq)
		if err != nil {
			return nil, err
		}
		add(f, e, true)
	}
	for _, c := range n.docket.Unrecorded() {
		if e, ok := c.Payload.(feed.Evidence); ok {
			f, err := s.CheckEvidence(e)
			if err != nil {
				continue // the docket knows a newer registry by now
			}
			add(registry.Fork{Origin: f.Origin, Epoch: f.Epoch, N: f.N, A: f.A.Hash, B: f.B.Hash}, e, false)
		}
	}
	return out, nil
}

// recordedEvidence reads it out of the registry's entry.
func (n *Node) recordedEvidence(seq uint64) (feed.Evidence, error) {
	var out feed.Evidence
	entries, err := n.store.Chain().Entries(seq, 1)
	if err != nil || len(entries) == 0 {
		return out, errors.Join(err, fmt.Errorf("registry entry %d is not here", seq))
	}
	entry, err := registry.ParseEntry(entries[0])
	if err != nil {
		return out, err
	}
	command, _, err := registry.ParseCommand(entry.Command)
	if err != nil {
		return out, err
	}
	return out, identity.Unmarshal(command.Payload, &out)
}

// Evidence implements [control.Care].
func (a *admin) Evidence(context.Context) ([]control.Evidence, error) {
	all, err := (*Node)(a).evidence()
	out := []control.Evidence{}
	for _, p := range all {
		out = append(out, p.Evidence)
	}
	return out, err
}

// ExportEvidence implements [control.Care].
func (a *admin) ExportEvidence(_ context.Context, id string) ([]byte, error) {
	n := (*Node)(a)
	all, err := n.evidence()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if !strings.EqualFold(p.ID, id) {
			continue
		}
		last, err := n.store.Chain().Last()
		if err != nil {
			return nil, err
		}
		entries, err := n.store.Chain().Entries(1, int(last))
		if err != nil {
			return nil, err
		}
		return docket.ExportEvidence(p.evidence, entries)
	}
	return nil, &control.Error{Class: control.Failed, Code: "no_evidence", Message: fmt.Sprintf("There is no evidence %q.", id), Next: "See what there is with: waymark evidence list"}
}
