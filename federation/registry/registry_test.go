package registry_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// world is a federation of some countries, and one that is not in it.
type world struct {
	t              *testing.T
	pl, de, lt, fi *Member
	*registry.State
}

func newWorld(t *testing.T, members int) *world {
	w := &world{t: t, pl: New(t, "PL"), de: New(t, "DE"), lt: New(t, "LT"), fi: New(t, "FI")}
	_, w.State = w.pl.Found(t)
	for _, m := range []*Member{w.de, w.lt}[:members-1] {
		w.do(w.pl.Invite(t, w.State, m.Country))
		_, c := w.pl.Admit(t, w.State, m)
		w.do(c)
	}
	return w
}

func (w *world) do(command []byte) { w.State = Apply(w.t, w.State, command) }

func (w *world) active() string {
	var out []string
	for _, m := range w.Members() {
		if m.Active() {
			out = append(out, m.Country)
		}
	}
	return strings.Join(out, " ")
}

// propose has Poland invite and propose Finland.
func (w *world) propose() registry.Approve {
	w.do(w.pl.Invite(w.t, w.State, "FI"))
	id, c := w.pl.Admit(w.t, w.State, w.fi)
	w.do(c)
	for _, p := range w.Proposals() {
		if p.ID == id {
			return registry.Approve{Proposal: id, Hash: p.Hash}
		}
	}
	w.t.Fatal("nothing was proposed")
	return registry.Approve{}
}

func TestTheFounderAdmitsUntilTheThird(t *testing.T) {
	w := newWorld(t, 2)
	if !w.FounderAdmits() {
		t.Fatal("with two members the founder no longer admits")
	}
	w.do(w.pl.Invite(t, w.State, "LT"))
	_, c := w.pl.Admit(t, w.State, w.lt)
	w.do(c)
	if got := w.active(); got != "DE LT PL" || w.FounderAdmits() {
		t.Fatalf("members %s, founder admits: %v", got, w.FounderAdmits())
	}
	w.propose()
	if got := w.active(); got != "DE LT PL" {
		t.Fatalf("the founder admitted a fourth alone: %s", got)
	}
}

func TestTheSecondMemberCannotAdmitAlone(t *testing.T) {
	w := newWorld(t, 2)
	w.do(w.de.Invite(t, w.State, "LT"))
	id, c := w.de.Admit(t, w.State, w.lt)
	w.do(c)
	if got := w.active(); got != "DE PL" {
		t.Fatalf("members %s", got)
	}
	_, c = w.pl.Sign(t, w.State, registry.KindApprove, registry.Approve{Proposal: id, Hash: w.Proposals()[0].Hash})
	w.do(c)
	if got := w.active(); got != "DE LT PL" || w.FounderAdmits() {
		t.Fatalf("both have signed: members %s", got)
	}
}

func TestApprovalsCountDistinctMembers(t *testing.T) {
	w := newWorld(t, 3)
	approve := w.propose()
	for range 2 { // the sponsor's own, twice over
		_, c := w.pl.Sign(t, w.State, registry.KindApprove, approve)
		w.do(c)
	}
	if got := w.active(); got != "DE LT PL" {
		t.Fatalf("one member's word counted more than once: %s", got)
	}
	_, c := w.de.Sign(t, w.State, registry.KindObject, registry.Object{Proposal: approve.Proposal, Hash: approve.Hash, Reason: "not yet"})
	w.do(c)
	if p := w.Proposals()[0]; len(p.Objections) != 1 || len(p.Approvals) != 1 {
		t.Fatalf("after an objection: %+v", p)
	}
	_, c = w.lt.Sign(t, w.State, registry.KindApprove, approve)
	w.do(c)
	if got := w.active(); got != "DE FI LT PL" {
		t.Fatalf("a majority of three has signed: %s", got)
	}
	if len(w.Proposals()) != 0 {
		t.Fatal("the proposal still waits")
	}
	if n, m, ok := w.Node(w.fi.Node()); !ok || m.Country != "FI" || !n.Publisher || n.Endpoints[0] != "node.FI.example:7946" {
		t.Fatalf("the newcomer's node: %+v %v", n, ok)
	}
}

func TestOneCommandMayCarryAllApprovals(t *testing.T) {
	w := newWorld(t, 3)
	approve := w.propose()
	_, c := w.de.Sign(t, w.State, registry.KindApprove, approve, w.lt)
	w.do(c)
	if got := w.active(); got != "DE FI LT PL" {
		t.Fatalf("members %s", got)
	}
}

func TestThresholds(t *testing.T) {
	p := registry.DefaultPolicy()
	for members, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 14: 3} {
		if got := p.Needed(members); got != want {
			t.Errorf("of %d members %d must sign, want %d", members, got, want)
		}
	}
}

// TestRefusals is the table of what is refused and why.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		members int
		want    error
		make    func(*world) registry.Entry
	}{
		"noise": {1, registry.ErrMalformed, func(w *world) registry.Entry {
			return registry.Entry{Time: w.Time(), Command: []byte("noise")}
		}},
		"a command of another federation": {1, registry.ErrForeign, func(w *world) registry.Entry {
			_, other := w.pl.Found(w.t)
			return w.entry(w.pl.Invite(w.t, other, "FI"))
		}},
		"the same command again": {1, registry.ErrSeen, func(w *world) registry.Entry {
			c := w.pl.Invite(w.t, w.State, "FI")
			w.do(c)
			return w.entry(c)
		}},
		"from the future": {1, registry.ErrStale, func(w *world) registry.Entry {
			return w.entry(w.command(registry.Command{Base: 99}))
		}},
		"time running back": {1, registry.ErrChain, func(w *world) registry.Entry {
			return registry.Entry{Time: w.Time() - 1, Command: w.pl.Invite(w.t, w.State, "FI")}
		}},
		"signed by nobody": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			_, e, _ := registry.ParseCommand(w.pl.Invite(w.t, w.State, "FI"))
			e.Signatures = nil
			return w.entry(e.Encode())
		}},
		"signed by a stranger": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			return w.entry(w.fi.Invite(w.t, w.State, "FI"))
		}},
		"signed by a member and a stranger": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			_, c := w.pl.Sign(w.t, w.State, registry.KindInvite, registry.Invite{ID: registry.NewID()}, w.fi)
			return w.entry(c)
		}},
		"signed with the publish key": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			_, c, _ := registry.NewCommand(w.State, registry.KindInvite, registry.Invite{}, w.pl.Keys.Publish)
			return w.entry(c)
		}},
		"a body changed after signing": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			_, e, _ := registry.ParseCommand(w.pl.Invite(w.t, w.State, "FI"))
			e.Body = bytes.Replace(e.Body, []byte("FI"), []byte("SE"), 1)
			return w.entry(e.Encode())
		}},
		"a signature given for a head": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			_, e, _ := registry.ParseCommand(w.pl.Invite(w.t, w.State, "FI"))
			return w.entry(identity.Sign(identity.TypeHead, w.Federation(), e.Body, w.pl.Keys.Admin).Encode())
		}},
		"a kind of tomorrow": {1, registry.ErrUnknownKind, func(w *world) registry.Entry {
			return w.entry(w.command(registry.Command{Kind: "takedown"}))
		}},
		"a known kind with new rules": {1, registry.ErrUnknownKind, func(w *world) registry.Entry {
			return w.entry(w.command(registry.Command{Needs: registry.Rules + 1}))
		}},
		"a stranger's kind of tomorrow": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			c := registry.Command{Version: 1, Federation: w.Federation(), Kind: "takedown", ID: registry.NewID(), Base: 1}
			b, _ := c.Sign(w.fi.Keys.Admin)
			return w.entry(b)
		}},
		"an invitation for a member": {2, registry.ErrCountryTaken, func(w *world) registry.Entry {
			return w.entry(w.pl.Invite(w.t, w.State, "DE"))
		}},
		"an invitation for no country": {1, registry.ErrMalformed, func(w *world) registry.Entry {
			return w.entry(w.pl.Invite(w.t, w.State, "fi"))
		}},
		"an invitation for a year": {1, registry.ErrConflict, func(w *world) registry.Entry {
			_, c := w.pl.Sign(w.t, w.State, registry.KindInvite, registry.Invite{ID: registry.NewID(), Country: "FI", SecretHash: [32]byte{1}, Expires: w.Time() + 365*86400})
			return w.entry(c)
		}},
		"an invitation of two members": {2, registry.ErrUnauthorised, func(w *world) registry.Entry {
			_, c := w.pl.Sign(w.t, w.State, registry.KindInvite, registry.Invite{ID: registry.NewID(), Country: "FI", SecretHash: [32]byte{1}, Expires: w.Time() + 60}, w.de)
			return w.entry(c)
		}},
		"one invitation too many": {1, registry.ErrConflict, func(w *world) registry.Entry {
			for i := range registry.MaxOpen {
				_, c := w.pl.Sign(w.t, w.State, registry.KindInvite, registry.Invite{ID: registry.ID{15: byte(i + 1)}, Country: "FI", SecretHash: [32]byte{1}, Expires: w.Time() + 86400})
				w.do(c)
			}
			return w.entry(w.pl.Invite(w.t, w.State, "FI"))
		}},
		"another member cancels": {2, registry.ErrUnauthorised, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			id, _ := Invitation("FI")
			_, c := w.de.Sign(w.t, w.State, registry.KindCancel, registry.Cancel{Invitation: id})
			return w.entry(c)
		}},
		"nobody invited": {1, registry.ErrNoInvitation, func(w *world) registry.Entry {
			_, c := w.pl.Admit(w.t, w.State, w.fi)
			return w.entry(c)
		}},
		"an expired invitation": {1, registry.ErrInvitationExpired, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			_, c := w.pl.Admit(w.t, w.State, w.fi)
			return registry.Entry{Time: w.Time() + 15*86400, Command: c}
		}},
		"a cancelled invitation": {1, registry.ErrInvitationCancelled, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			id, _ := Invitation("FI")
			_, c := w.pl.Sign(w.t, w.State, registry.KindCancel, registry.Cancel{Invitation: id})
			w.do(c)
			_, c = w.pl.Admit(w.t, w.State, w.fi)
			return w.entry(c)
		}},
		"a used invitation": {3, registry.ErrInvitationUsed, func(w *world) registry.Entry {
			w.propose()
			_, c := w.pl.Admit(w.t, w.State, w.fi)
			return w.entry(c)
		}},
		"another country's invitation": {1, registry.ErrWrongCountry, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			return w.entry(w.admit(w.pl, "FI", w.de, nil))
		}},
		"a wrong secret": {1, registry.ErrWrongSecret, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			return w.entry(w.admit(w.pl, "FI", w.fi, []byte("guessed")))
		}},
		"not the sponsor": {2, registry.ErrUnauthorised, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			_, c := w.de.Admit(w.t, w.State, w.fi)
			return w.entry(c)
		}},
		"a newcomer that has not signed": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			thief := *w.fi
			thief.Keys.Node = w.de.Keys.Node
			_, c := w.pl.Admit(w.t, w.State, &thief)
			return w.entry(c)
		}},
		"a newcomer with another's node": {2, registry.ErrConflict, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			clone := *w.fi
			clone.Nodes = w.de.Nodes
			clone.Keys.Node = w.de.Keys.Node
			_, c := w.pl.Admit(w.t, w.State, &clone)
			return w.entry(c)
		}},
		"a newcomer with another's origin": {2, registry.ErrConflict, func(w *world) registry.Entry {
			w.do(w.pl.Invite(w.t, w.State, "FI"))
			w.fi.Origin = w.de.Origin
			_, c := w.pl.Admit(w.t, w.State, w.fi)
			return w.entry(c)
		}},
		"an approval of something else": {3, registry.ErrConflict, func(w *world) registry.Entry {
			a := w.propose()
			a.Hash[0]++
			_, c := w.de.Sign(w.t, w.State, registry.KindApprove, a)
			return w.entry(c)
		}},
		"an approval of nothing": {3, registry.ErrNoProposal, func(w *world) registry.Entry {
			_, c := w.de.Sign(w.t, w.State, registry.KindApprove, registry.Approve{})
			return w.entry(c)
		}},
		"an approval too late": {3, registry.ErrVoteOver, func(w *world) registry.Entry {
			a := w.propose()
			_, c := w.de.Sign(w.t, w.State, registry.KindApprove, a)
			return registry.Entry{Time: w.Time() + 31*86400, Command: c}
		}},
		"an approval after the admission": {3, registry.ErrNoProposal, func(w *world) registry.Entry {
			a := w.propose()
			_, c := w.de.Sign(w.t, w.State, registry.KindApprove, a)
			w.do(c)
			_, c = w.lt.Sign(w.t, w.State, registry.KindApprove, a)
			return w.entry(c)
		}},
		"another member's nodes": {2, registry.ErrUnauthorised, func(w *world) registry.Entry {
			return w.entry(w.nodes(w.pl, registry.Nodes{Origin: w.de.Origin, Nodes: w.de.Nodes}))
		}},
		"no node that publishes": {1, registry.ErrMalformed, func(w *world) registry.Entry {
			w.pl.Nodes[0].Publisher = false
			return w.entry(w.nodes(w.pl, registry.Nodes{Origin: w.pl.Origin, Nodes: w.pl.Nodes}))
		}},
		"a node that has not signed": {1, registry.ErrUnauthorised, func(w *world) registry.Entry {
			more := append(w.pl.Nodes, registry.Machine{Key: w.fi.Keys.Node.Public()})
			return w.entry(w.nodes(w.pl, registry.Nodes{Origin: w.pl.Origin, Nodes: more}))
		}},
		"another publisher in the same epoch": {1, registry.ErrConflict, func(w *world) registry.Entry {
			w.pl.Nodes[0].Publisher = false
			more := append(w.pl.Nodes, registry.Machine{Key: w.fi.Keys.Node.Public(), Publisher: true})
			return w.entry(w.nodes(w.pl, registry.Nodes{Origin: w.pl.Origin, Nodes: more}, w.fi.Keys.Node))
		}},
		"a node of another member": {2, registry.ErrConflict, func(w *world) registry.Entry {
			more := append(w.pl.Nodes, registry.Machine{Key: w.de.Keys.Node.Public()})
			return w.entry(w.nodes(w.pl, registry.Nodes{Origin: w.pl.Origin, Nodes: more}, w.de.Keys.Node))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.members)
			e := c.make(w)
			before := w.Encode()
			_, err := w.Apply(e)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if !bytes.Equal(before, w.Encode()) {
				t.Fatal("a refused entry changed the state")
			}
		})
	}
}

func (w *world) entry(command []byte) registry.Entry {
	return registry.Entry{Time: w.Time() + 1, Command: command}
}

// command is a command of Poland's, an invitation unless c says otherwise.
func (w *world) command(c registry.Command) []byte {
	c.Version, c.Federation, c.ID = registry.Version, w.Federation(), registry.NewID()
	if c.Kind == "" {
		c.Kind = registry.KindInvite
	}
	b, err := c.Sign(w.pl.Keys.Admin)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// admit has a sponsor propose a newcomer by the invitation of a country.
func (w *world) admit(sponsor *Member, country string, newcomer *Member, secret []byte) []byte {
	id, right := Invitation(country)
	if secret == nil {
		secret = right
	}
	st, err := registry.SignStatement(w.Federation(), registry.Statement{Version: 1, Candidate: newcomer.Candidate, Invitation: id, Secret: secret}, newcomer.Keys)
	if err != nil {
		w.t.Fatal(err)
	}
	_, c := sponsor.Sign(w.t, w.State, registry.KindAdmit, registry.Admit{Statement: st})
	return c
}

func (w *world) nodes(by *Member, n registry.Nodes, fresh ...*identity.Key) []byte {
	st, err := registry.SignNodes(w.Federation(), n, fresh...)
	if err != nil {
		w.t.Fatal(err)
	}
	_, c := by.Sign(w.t, w.State, registry.KindNode, registry.SetNodes{Statement: st})
	return c
}

func TestTheFirstToComeInClosesTheOtherInvitations(t *testing.T) {
	w := newWorld(t, 1)
	w.do(w.pl.Invite(t, w.State, "DE"))
	second := registry.NewID()
	_, c := w.pl.Sign(t, w.State, registry.KindInvite, registry.Invite{ID: second, Country: "DE", SecretHash: [32]byte{1}, Expires: w.Time() + 60})
	w.do(c)
	_, c = w.pl.Admit(t, w.State, w.de)
	w.do(c)
	if i, _ := w.Invitation(second); i.Status != registry.InvitationClosed || !errors.Is(i.Err(w.Time()), registry.ErrCountryTaken) {
		t.Fatalf("the other invitation is %s", i.Status)
	}
}

func TestAMemberStatesItsNodes(t *testing.T) {
	w := newWorld(t, 2)
	w.de.Nodes[0].Endpoints[0].Host = "new.example"
	w.de.Nodes[0].Voter = false
	w.do(w.nodes(w.de, registry.Nodes{Origin: w.de.Origin, Nodes: w.de.Nodes}))
	n, m, _ := w.Node(w.de.Node())
	if n.Endpoints[0] != "new.example:7946" || n.VoterOptIn || m.Epoch != 1 {
		t.Fatalf("%+v in epoch %d", n, m.Epoch)
	}
	// Another machine takes over publishing: the epoch goes up.
	w.de.Nodes[0].Publisher = false
	more := append(w.de.Nodes, registry.Machine{Key: w.fi.Keys.Node.Public(), Publisher: true})
	w.do(w.nodes(w.de, registry.Nodes{Origin: w.de.Origin, Nodes: more, Epoch: 2}, w.fi.Keys.Node))
	m, _ = w.MemberByCountry("DE")
	if p, _ := m.Publisher(); p.ID != w.fi.Node() || m.Epoch != 2 {
		t.Fatalf("publisher %s in epoch %d", p.ID, m.Epoch)
	}
}

func TestHeadKeys(t *testing.T) {
	w := newWorld(t, 2)
	publish, admin := w.de.Keys.Publish.ID(), w.de.Keys.Admin.ID()
	for name, c := range map[string]struct {
		origin identity.OriginID
		epoch  uint64
		key    identity.KeyID
		want   bool
	}{
		"its publish key":         {w.de.Origin, 1, publish, true},
		"its admin key":           {w.de.Origin, 1, admin, false},
		"another's origin":        {w.pl.Origin, 1, publish, false},
		"an epoch to come":        {w.de.Origin, 2, publish, false},
		"no epoch":                {w.de.Origin, 0, publish, false},
		"an origin nobody has":    {w.fi.Origin, 1, publish, false},
		"a key that nobody knows": {w.de.Origin, 1, w.fi.Keys.Publish.ID(), false},
	} {
		if _, ok := w.HeadKey(c.origin, c.epoch, 5, c.key); ok != c.want {
			t.Errorf("%s: %v, want %v", name, ok, c.want)
		}
	}
}

func TestGenesis(t *testing.T) {
	pl, de := New(t, "PL"), New(t, "DE")
	good, s := pl.Found(t)
	if s.Seq() != 1 || s.Demo() || s.Name() != "Test federation" || s.Founder() != pl.Origin {
		t.Fatalf("%+v", s)
	}
	if _, other := pl.Found(t); other.Federation() == s.Federation() {
		t.Fatal("two federations have one id")
	}
	for name, e := range map[string]registry.Entry{
		"noise":           {Time: good.Time, Command: []byte("noise")},
		"another time":    {Time: good.Time + 1, Command: good.Command},
		"a missing proof": {Time: good.Time, Command: without(t, good.Command, 2)},
	} {
		if _, err := registry.Begin(e); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, _, err := registry.Found("x", false, pl.Candidate, de.Keys, Start); !errors.Is(err, registry.ErrUnauthorised) {
		t.Errorf("founded with another's keys: %v", err)
	}
	bad := pl.Candidate
	bad.Operator = "two\nlines"
	if _, _, err := registry.Found("x", false, bad, pl.Keys, Start); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("founded with a name of two lines: %v", err)
	}
}

func without(t *testing.T, envelope []byte, i int) []byte {
	e, err := identity.ParseEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	e.Signatures = append(e.Signatures[:i], e.Signatures[i+1:]...)
	return e.Encode()
}

func TestAnOldBaseIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("10,001 signatures")
	}
	w := newWorld(t, 1)
	first := w.pl.Invite(t, w.State, "FI")
	early := w.command(registry.Command{Base: w.Seq(), Payload: []byte{0xa0}})
	w.do(first)
	id, _ := Invitation("FI")
	for range 5000 { // give out and withdraw
		_, c := w.pl.Sign(t, w.State, registry.KindCancel, registry.Cancel{Invitation: id})
		w.do(c)
		id = registry.NewID()
		_, c = w.pl.Sign(t, w.State, registry.KindInvite, registry.Invite{ID: id, Country: "FI", SecretHash: [32]byte{1}, Expires: w.Time() + 60})
		w.do(c)
	}
	if _, err := w.Apply(w.entry(early)); !errors.Is(err, registry.ErrStale) {
		t.Fatalf("a command made %d entries ago: %v", w.Seq()-1, err)
	}
	if _, err := w.Apply(w.entry(first)); !errors.Is(err, registry.ErrSeen) && !errors.Is(err, registry.ErrStale) {
		t.Fatalf("the first command again: %v", err)
	}
}

func FuzzEntry(f *testing.F) {
	pl := New(f, "PL")
	e, s := pl.Found(f)
	f.Add(e.Encode())
	f.Add(registry.Entry{Time: s.Time() + 1, Command: pl.Invite(f, s, "DE")}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := registry.ParseEntry(b)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Encode(), b) {
			t.Fatal("an entry has two encodings")
		}
		_, _ = registry.Begin(e)
		if next, err := s.Apply(e); err == nil && (next.Seq() != 2 || next.Hash() == s.Hash()) {
			t.Fatalf("an applied entry left %d", next.Seq())
		}
	})
}

func FuzzCommand(f *testing.F) {
	pl, de := New(f, "PL"), New(f, "DE")
	_, s := pl.Found(f)
	s = Apply(f, s, pl.Invite(f, s, "DE"))
	_, admit := pl.Admit(f, s, de)
	_, e, err := registry.ParseCommand(admit)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("admit", e.Body)
	f.Add("invite", []byte{0xa0})
	f.Add("node", []byte{0xa1, 1, 0x41, 0})
	for kind, payload := range map[registry.Kind]any{
		registry.KindKeys:      SetKeys(f, s, pl.Adding(pl.Fresh(identity.RoleAdmin, 1)), pl.Fresh(identity.RoleAdmin, 1)),
		registry.KindEvidence:  pl.Fork(f, s, 1, 1),
		registry.KindRuling:    registry.RecordRuling{Ruling: Ruling(f, s, pl.Takedown(1), de)},
		registry.KindCaretaker: registry.SetCaretakers{Origin: pl.Origin, By: []identity.OriginID{de.Origin}},
	} {
		b, err := identity.Marshal(payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(kind), b)
	}
	// Whatever a member signs, no node may fall over it.
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		c := registry.Command{Version: 1, Federation: s.Federation(), Kind: registry.Kind(kind), ID: registry.ID{1}, Base: s.Seq(), Payload: payload}
		b, err := c.Sign(pl.Keys.Admin)
		if err != nil {
			return
		}
		if next, err := s.Apply(registry.Entry{Time: s.Time(), Command: b}); err == nil {
			if _, err := registry.Replay(nil); err == nil {
				t.Fatal("nothing was replayed into something")
			}
			_ = next.Encode()
		}
		_, _, _ = registry.ParseCommand(payload)
	})
}
