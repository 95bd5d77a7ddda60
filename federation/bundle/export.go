package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Chain reads the registry's entries: at most max from number from on, none past
// the last.
type Chain interface {
	Entries(from uint64, max int) ([][]byte, error)
}

// Views reads feeds. Every [feed.Store] does.
type Views interface {
	View(identity.OriginID) (feed.StoreView, error)
}

// ExportOptions say what a bundle is made of. State, Chain, Feeds and Key are
// needed.
type ExportOptions struct {
	State *registry.State
	Chain Chain              // the entries of State
	Heads registry.HeadChain // of the registry; the zero value when there are none
	// Docket are evidence and rulings as the docket hands them on; nil for none.
	Docket iter.Seq[[]byte]
	Feeds  Views
	// Rules say which feeds may be handed on; nil stands for the keys and anchors
	// of State and Heads. They are given the registry that goes into the file.
	Rules func(*registry.State, registry.HeadChain) feed.Rules
	Key   *identity.Key // the node key of a node in State
	// Countries are whose feeds go in; none means all.
	Countries []string
	// Since is the manifest of an earlier bundle: of feeds that were in it, only
	// what has changed since goes in. Nil for a whole bundle.
	Since []byte
	Now   time.Time // time.Now when zero
}

// Export writes a bundle and returns its table of contents. Feeds that the rules
// do not admit are left out, and named there. When it fails, what was written
// is not a bundle.
//
// Errors: ErrCountry, ErrForeign (a base of another federation), ErrExporter,
// those of ParseManifest, of the store, of w and of the context.
func Export(ctx context.Context, w io.Writer, o ExportOptions) (*Manifest, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	e := &export{ExportOptions: o, state: o.State}
	defer e.close()
	if err := e.registry(); err != nil {
		return nil, err
	}
	if err := e.plan(); err != nil {
		return nil, err
	}
	return e.m, e.write(ctx, w)
}

// export is one bundle in the making.
type export struct {
	ExportOptions
	state *registry.State // as far as the registry's newest head goes
	heads []*registry.SignedHead
	m     *Manifest
	feeds []source // as in m.Feeds
}

func (e *export) close() {
	for _, s := range e.feeds {
		s.view.Close()
	}
}

// registry finds the state that goes into the file: what the voters have put
// their names to, if they have.
func (e *export) registry() error {
	if n, _, ok := e.State.Node(e.Key.Public().NodeID()); !ok || n.Key != e.Key.Public() {
		return fmt.Errorf("%w: %s", ErrExporter, e.Key.Public().NodeID())
	}
	newest := e.Heads.Newest()
	if newest == nil || newest.Seq > e.State.Seq() {
		return nil
	}
	e.heads = slices.Clone(e.Heads.Rotations())
	if len(e.heads) == 0 || !bytes.Equal(e.heads[len(e.heads)-1].Envelope, newest.Envelope) {
		e.heads = append(e.heads, newest)
	}
	if newest.Seq == e.State.Seq() {
		return nil
	}
	e.state = nil
	for seq := uint64(1); seq <= newest.Seq; {
		batch, err := e.batch(seq, newest.Seq)
		if err != nil {
			return err
		}
		for _, b := range batch {
			if e.state, err = step(e.state, b); err != nil {
				return fmt.Errorf("read entry %d of the registry: %w", seq, err)
			}
			seq++
		}
	}
	return nil
}

// step is the registry after one more entry.
func step(s *registry.State, entry []byte) (*registry.State, error) {
	e, err := registry.ParseEntry(entry)
	if err != nil {
		return nil, err
	}
	return registry.Next(s, e)
}

// batch are some entries from number seq on, up to last.
func (e *export) batch(seq, last uint64) ([][]byte, error) {
	batch, err := e.Chain.Entries(seq, int(min(last-seq+1, 256)))
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	if len(batch) == 0 {
		return nil, fmt.Errorf("read the registry: entry %d is missing", seq)
	}
	return batch, nil
}

// plan makes the table of contents. The views that it opens stay as they are
// until the file is written, whatever is published meanwhile.
func (e *export) plan() error {
	s := e.state
	e.m = &Manifest{
		Version: Version, Federation: s.Federation(), Name: s.Name(), Demo: s.Demo(), Made: feed.DayOf(e.Now),
		Exporter: e.Key.Public(), Registry: RegistryPlace{s.Seq(), s.Hash()}, Duty: Duty,
	}
	var since *Manifest
	if e.Since != nil {
		var err error
		if since, err = ParseManifest(e.Since); err != nil {
			return err
		}
		if since.Federation != s.Federation() {
			return fmt.Errorf("%w: the earlier bundle is of %s, this is %s", ErrForeign, since.Federation, s.Federation())
		}
	}
	for _, c := range e.Countries {
		if _, ok := s.MemberByCountry(c); !ok {
			return fmt.Errorf("%w: %s", ErrCountry, c)
		}
	}
	rules := e.rules()
	for _, m := range s.Members() {
		if len(e.Countries) > 0 && !slices.Contains(e.Countries, m.Country) {
			continue
		}
		if err := e.add(rules, m, since); err != nil {
			return err
		}
	}
	var err error
	if e.m.raw, err = identity.Marshal(e.m); err != nil {
		return fmt.Errorf("write a bundle: %w", err)
	}
	return e.m.check()
}

func (e *export) rules() feed.Rules {
	if e.Rules == nil {
		return Rules(e.state, e.Heads, e.Now)
	}
	return e.Rules(e.state, e.Heads)
}

// add puts one member's feed into the table of contents, if there is one.
func (e *export) add(rules feed.Rules, m registry.Member, since *Manifest) error {
	view, err := e.Feeds.View(m.Origin)
	if err != nil {
		return fmt.Errorf("read the feed of %s: %w", m.Country, err)
	}
	head := view.Head()
	if head == nil {
		view.Close()
		return nil
	}
	if _, err := rules.CheckHead(head.Envelope); err != nil {
		view.Close()
		e.m.Left = append(e.m.Left, Left{m.Country, m.Origin, reason(err)})
		return nil
	}
	s := source{view: view, head: head}
	f := Feed{Origin: m.Origin, Country: m.Country, Place: head.Place(), Seq: head.Seq, Changes: head.Count, Bytes: head.Bytes}
	if since != nil {
		if base, ok := since.feed(m.Origin); ok {
			if err := s.since(base, &f); err != nil {
				view.Close()
				return fmt.Errorf("read the feed of %s: %w", m.Country, err)
			}
		}
	}
	e.m.Feeds = append(e.m.Feeds, f)
	e.feeds = append(e.feeds, s)
	return nil
}

// write writes what was planned.
func (e *export) write(ctx context.Context, w io.Writer) error {
	out, err := newWriter(w)
	if err != nil {
		return err
	}
	if err := out.raw(partManifest, e.m.raw); err != nil {
		return err
	}
	if err := e.writeRegistry(ctx, out); err != nil {
		return err
	}
	for i, f := range e.m.Feeds {
		if err := out.part(partFeed, named{f.Origin}); err != nil {
			return err
		}
		if err := e.feeds[i].write(ctx, out, f); err != nil {
			return fmt.Errorf("the feed of %s: %w", f.Country, err)
		}
	}
	return out.end(e.m.Federation, e.Key)
}

func (e *export) writeRegistry(ctx context.Context, out *writer) error {
	heads := chunks[[]byte]{out: out, kind: partRegistry, size: func(b []byte) int { return len(b) }}
	for _, h := range e.heads {
		if err := heads.add(h.Envelope); err != nil {
			return err
		}
	}
	if err := heads.flush(); err != nil {
		return err
	}
	for seq := uint64(1); seq <= e.m.Registry.Seq; {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := e.batch(seq, e.m.Registry.Seq)
		if err != nil {
			return err
		}
		n, size := 0, 0
		for n < len(batch) && (n == 0 || size+len(batch[n]) <= chunkBytes) {
			size += len(batch[n])
			n++
		}
		if err := out.part(partEntries, entries{seq, batch[:n]}); err != nil {
			return err
		}
		seq += uint64(n)
	}
	if e.Docket == nil {
		return nil
	}
	items := chunks[[]byte]{out: out, kind: partItems, size: func(b []byte) int { return len(b) }}
	for item := range e.Docket {
		if err := items.add(item); err != nil {
			return err
		}
	}
	return items.flush()
}

// reason is an error as a table of contents or a report tells it.
func reason(err error) string {
	text := err.Error()
	if len(text) > 300 {
		text = text[:300]
	}
	if !printable(text, len(text)) {
		return "not admitted here"
	}
	return text
}
