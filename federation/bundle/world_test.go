package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// now is when everything here happens.
var now = registrytest.Start.AddDate(0, 1, 0)

// chain is a registry's entries in memory.
type chain [][]byte

func (c *chain) Entries(from uint64, limit int) ([][]byte, error) {
	if from > uint64(len(*c)) {
		return nil, nil
	}
	rest := (*c)[from-1:]
	return rest[:min(limit, len(rest))], nil
}

// world is a federation of a few countries in which everything is published at
// one node, that of the first country.
type world struct {
	t          testing.TB
	members    map[string]*registrytest.Member
	founder    *registrytest.Member
	state      *registry.State
	chain      chain
	heads      registry.HeadChain
	store      *feedtest.Memory
	publishers map[string]*feed.Publisher
	guards     string // the folder of the publish guards
	at         time.Time
	vector     bool // the voters also put the places of feeds on record
}

// found makes a federation of these countries; the first founds it.
func found(t testing.TB, countries ...string) *world {
	t.Helper()
	w := &world{t: t, members: map[string]*registrytest.Member{}, publishers: map[string]*feed.Publisher{}, store: feedtest.NewMemory(), guards: t.TempDir(), at: now}
	for i, c := range countries {
		m := registrytest.New(t, c)
		w.members[c] = m
		if i == 0 {
			w.founder = m
			entry, s := m.Found(t)
			w.state, w.chain = s, chain{entry.Encode()}
			continue
		}
		w.command(w.founder.Invite(t, w.state, c))
		id, admit := w.founder.Admit(t, w.state, m)
		w.command(admit)
		if _, in := w.state.MemberByCountry(c); !in {
			p := w.state.Proposals()[0]
			if p.ID != id {
				t.Fatal("another proposal waits")
			}
			for _, by := range countries[1:i] {
				if _, in := w.state.MemberByCountry(c); !in {
					_, approve := w.members[by].Sign(t, w.state, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
					w.command(approve)
				}
			}
		}
		if _, in := w.state.MemberByCountry(c); !in {
			t.Fatalf("%s was not admitted", c)
		}
	}
	return w
}

// command takes a command into the registry.
func (w *world) command(c []byte) {
	w.t.Helper()
	e := registry.Entry{Time: w.state.Time() + 1, Command: c}
	s, err := w.state.Apply(e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.state, w.chain = s, append(w.chain, e.Encode())
}

// confirm has the voters sign the registry as it is, and where the feeds are.
// Countries, if named, are the voters from now on.
func (w *world) confirm(countries ...string) {
	w.t.Helper()
	h := registry.Head{
		Version: registry.HeadVersion, Federation: w.state.Federation(), Generation: 1, Rotation: max(w.heads.Rotation(), 1),
		Seq: w.state.Seq(), Hash: w.state.Hash(), Voters: w.heads.Voters(),
		Issued: w.at.Unix(), Expires: w.at.Add(registry.HeadLife).Unix(),
	}
	if len(countries) > 0 {
		h.Rotation++
		h.Voters = nil
		for _, c := range countries {
			h.Voters = append(h.Voters, w.members[c].Keys.Node.Public())
		}
		h.Voters = registry.SortVoters(h.Voters)
	}
	if len(h.Voters) == 0 {
		h.Voters = []identity.PublicKey{w.founder.Keys.Node.Public()}
	}
	for _, m := range w.members {
		view, err := w.store.View(m.Origin)
		if err != nil {
			w.t.Fatal(err)
		}
		if head := view.Head(); head != nil && w.vector {
			h.Feeds = append(h.Feeds, registry.Anchor{Origin: m.Origin, Place: head.Place()})
		}
		view.Close()
	}
	h.Feeds = registry.SortAnchors(h.Feeds)
	w.at = w.at.Add(time.Second)
	var signatures []identity.Signature
	for _, m := range w.members {
		if key := m.Keys.Node; slices.Contains(h.Voters, key.Public()) || slices.Contains(w.heads.Voters(), key.Public()) {
			signatures = append(signatures, key.Sign(identity.TypeRegistryHead, h.Federation, h.Encode()))
		}
	}
	next, _, err := w.heads.Add(h.Envelope(signatures), w.state, w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.heads = next
}

func (w *world) rules() feed.Rules {
	return feed.Rules{Federation: w.state.Federation(), Keys: registry.Unanchored{State: w.state}, Now: w.at}
}

// publish publishes edits of a country, a day after what was published before.
func (w *world) publish(country string, edits ...feed.Edit) *feed.SignedHead {
	w.t.Helper()
	w.at = w.at.Add(24 * time.Hour)
	m, p := w.members[country], w.publishers[country]
	if p == nil {
		var err error
		if p, err = feed.NewPublisher(feed.PublisherOptions{
			Federation: w.state.Federation(), Origin: m.Origin, Store: w.store, Appender: w.store,
			Keys: func() feed.Keys { return w.rules().Keys }, Registry: func() uint64 { return w.state.Seq() },
			PublishKey: m.Keys.Publish, AdminKey: m.Keys.Admin, GuardPath: filepath.Join(w.guards, country),
			Now: func() time.Time { return w.at },
		}); err != nil {
			w.t.Fatal(err)
		}
		w.publishers[country] = p
	}
	head, err := p.Publish(context.Background(), slices.Values(edits))
	if err != nil {
		w.t.Fatal(err)
	}
	p.Wait()
	return head
}

// backup lets everything that was published since be forgotten, as a whole disk
// put back from a copy forgets it.
func (w *world) backup() (restore func()) {
	store, guards := w.store.Snapshot(), w.t.TempDir()
	if err := os.CopyFS(guards, os.DirFS(w.guards)); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.store.Restore(store)
		w.guards, w.publishers = guards, map[string]*feed.Publisher{}
	}
}

// put are edits that give records from number from up to, not including, to a
// text.
func put(from, to int, text string) (out []feed.Edit) {
	for i := from; i < to; i++ {
		out = append(out, feed.Edit{Key: feedtest.RecordKey(i), Op: feed.Put, Type: "listing", Body: fmt.Appendf(nil, "%s %d %s", text, i, bytes.Repeat([]byte{'.'}, i%400))})
	}
	return out
}

func drop(op feed.Op, numbers ...int) (out []feed.Edit) {
	for _, i := range numbers {
		out = append(out, feed.Edit{Key: feedtest.RecordKey(i), Op: op})
	}
	return out
}

// export writes a bundle at the founder's node.
func (w *world) export(change func(*bundle.ExportOptions)) []byte {
	w.t.Helper()
	var out bytes.Buffer
	o := bundle.ExportOptions{State: w.state, Chain: &w.chain, Heads: w.heads, Feeds: w.store, Key: w.founder.Keys.Node, Now: w.at}
	if change != nil {
		change(&o)
	}
	m, err := bundle.Export(context.Background(), &out, o)
	if err != nil {
		w.t.Fatal(err)
	}
	read, err := bundle.ReadManifest(bytes.NewReader(out.Bytes()))
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Equal(read.Raw(), m.Raw()) {
		w.t.Fatal("the table of contents in the file is another than the one returned")
	}
	return out.Bytes()
}

// replica is a node that takes bundles.
type replica struct {
	t     testing.TB
	store *feedtest.Memory
	state *registry.State
	chain chain
	heads registry.HeadChain
	items [][]byte
	forks int
	at    time.Time
}

// past is the registry as it was after an entry.
func (r *replica) past(seq uint64) (*registry.State, error) { return registry.Replay(r.chain[:seq]) }

func newReplica(t testing.TB, at time.Time) *replica {
	return &replica{t: t, store: feedtest.NewMemory(), at: at}
}

func (r *replica) options() bundle.ImportOptions {
	return bundle.ImportOptions{
		State: r.state, Chain: &r.chain, Heads: r.heads, Store: r.store, Appender: r.store, Now: r.at,
		TakeRegistry: func(_ context.Context, from uint64, entries, heads [][]byte) error {
			for i, b := range entries {
				if seq := from + uint64(i); seq != uint64(len(r.chain))+1 {
					return fmt.Errorf("entry %d after %d", seq, len(r.chain))
				}
				e, err := registry.ParseEntry(b)
				if err != nil {
					return err
				}
				if r.state, err = registry.Next(r.state, e); err != nil {
					return err
				}
				r.chain = append(r.chain, b)
			}
			for _, b := range heads {
				next, _, err := r.heads.AddPast(b, r.state, r.past, r.at)
				if err != nil && !errors.Is(err, registry.ErrHeadOld) {
					return err
				}
				r.heads = next
			}
			return nil
		},
		TakeItem: func(item []byte) error {
			if bytes.HasPrefix(item, []byte("bad")) {
				return fmt.Errorf("does not hold here")
			}
			r.items = append(r.items, item)
			return nil
		},
		Fork: func(held, shown *feed.SignedHead) {
			if held.Epoch == shown.Epoch && held.N == shown.N && held.Hash != shown.Hash {
				r.forks++
			}
		},
	}
}

// take imports a bundle. A replica without a registry names the federation.
func (r *replica) take(b []byte, change func(*bundle.ImportOptions)) (*bundle.Report, error) {
	r.t.Helper()
	o := r.options()
	if r.state == nil {
		m, err := bundle.ReadManifest(bytes.NewReader(b))
		if err == nil {
			o.Federation = m.Federation
		}
	}
	if change != nil {
		change(&o)
	}
	return bundle.Import(context.Background(), bytes.NewReader(b), int64(len(b)), o)
}

func (r *replica) mustTake(b []byte) *bundle.Report {
	r.t.Helper()
	report, err := r.take(b, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// same checks that the replica holds exactly the world's feeds.
func (r *replica) same(w *world) {
	r.t.Helper()
	if r.state == nil || r.state.Hash() != w.state.Hash() {
		r.t.Fatal("the registry is another one")
	}
	origins, err := w.store.Origins()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, o := range origins {
		if got, want := contents(r.t, r.store, o), contents(w.t, w.store, o); !slices.Equal(got, want) {
			r.t.Fatalf("feed %s: %d lines, want %d", o, len(got), len(want))
		}
	}
}

// contents are a feed's head, live entries and records as lines.
func contents(t testing.TB, s feed.Store, o identity.OriginID) (out []string) {
	t.Helper()
	view, err := s.View(o)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if view.Head() == nil {
		return nil
	}
	out = append(out, view.Head().Hash.String())
	if err := view.Since(0, true, func(c feed.Change, raw []byte) bool {
		out = append(out, fmt.Sprintf("%d %s %s %x", c.Seq, c.Key, c.Hash, raw))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func items(list ...string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, s := range list {
			if !yield([]byte(s)) {
				return
			}
		}
	}
}

// outcomes are the report's outcomes by country.
func outcomes(r *bundle.Report) map[string]string {
	out := map[string]string{}
	for _, f := range r.Feeds {
		out[f.Country] = f.Outcome
	}
	return out
}
