package enroll_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// box is a new machine of a member.
func box(t testing.TB, m *Member) enroll.Box {
	t.Helper()
	return enroll.Box{
		Keys:      registry.Keys{Admin: m.Fresh(identity.RoleAdmin, 50), Publish: m.Fresh(identity.RolePublish, 50), Node: m.Fresh(identity.RoleNode, 50)},
		Endpoints: []registry.Endpoint{{Kind: "tcp", Host: "second.example", Port: 7946}},
	}
}

// carriedTicket is a ticket as the new machine reads it.
func carriedTicket(t testing.TB, f *Federation, country string) *enroll.Ticket {
	t.Helper()
	made, err := enroll.NewTicket(f.State, country)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.File()
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := enroll.ParseTicket(text)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// request is a machine's request as the other side reads it.
func request(t testing.TB, r *enroll.MachineRequest, err error) *enroll.MachineRequest {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.File()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = enroll.ParseMachineRequest(text); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASecondMachine(t *testing.T) {
	f := NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	b := box(t, de)
	ticket := carriedTicket(t, f, "DE")
	if len(ticket.Contacts) != 3 || ticket.Epoch != 1 || ticket.Operator == "" {
		t.Fatalf("the ticket: %+v", ticket)
	}
	r, err := ticket.Mirror(b)
	r = request(t, r, err)
	f.Do(f.Sign(registry.KindNode, registry.SetNodes{Statement: r.Nodes}, "DE"))
	f.Do(f.Sign(registry.KindKeys, registry.SetKeys{Statement: r.Keys}, "DE"))
	n, m, ok := f.State.Node(r.Node)
	if !ok || n.Publisher || m.Country != "DE" || *n.Admin != b.Admin.ID() || m.Epoch != 1 {
		t.Fatalf("the second node: %+v", n)
	}
	// It speaks for its country.
	f.Do(f.SignWith(registry.KindCaretaker, registry.SetCaretakers{Origin: de.Origin}, b.Admin))
	if _, err := enroll.NewTicket(f.State, "SE"); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a ticket for a stranger: %v", err)
	}
}

// TestAReplacedMachine is the table of keys by which a new machine takes the place
// of the one that is lost.
func TestAReplacedMachine(t *testing.T) {
	start, de, sheet := withSheet(t)
	for as, c := range map[string]struct {
		by    *identity.Key
		waits bool
	}{
		enroll.AsReturn: {de.Keys.Admin, false},
		enroll.AsSheet:  {sheet, true},
		enroll.AsVote:   {nil, true},
	} {
		f := *start
		b := box(t, de)
		if as == enroll.AsReturn {
			b.Admin = de.Keys.Admin
		}
		r, err := carriedTicket(t, &f, "DE").Replace(b, c.by)
		r = request(t, r, err)
		if r.As != as {
			t.Fatalf("%s: it is a %s", as, r.As)
		}
		if as == enroll.AsVote {
			give := registry.Ruling{Kind: registry.RulingRekey, Origin: de.Origin, Change: r.Keys}
			f.Do(f.Sign(registry.KindRuling, registry.RecordRuling{Ruling: Ruling(t, f.State, give, f.Members["PL"], f.Members["LT"])}, "PL"))
		} else {
			f.Do(r.Command)
		}
		if _, _, in := f.State.Node(r.Node); in == c.waits {
			t.Fatalf("%s: let in at once: %v", as, in)
		}
		f.At(f.Time()+registry.RekeyWait, f.Members["PL"].Invite(t, f.State, "SE"))
		m, _ := f.MemberByOrigin(de.Origin)
		n, _, in := f.State.Node(r.Node)
		if p, _ := m.Publisher(); !in || n.Publisher || p.ID != de.Node() || len(m.Nodes) != 2 || m.Epoch != 1 {
			t.Errorf("%s: in %v, published by %s, %d nodes, epoch %d", as, in, p.ID, len(m.Nodes), m.Epoch)
		}
		if _, ok := m.Key(identity.RoleAdmin, b.Admin.ID()); !ok {
			t.Errorf("%s: the new machine's admin key does not count", as)
		}
		if _, ok := m.Key(identity.RoleAdmin, de.Keys.Admin.ID()); ok == c.waits {
			t.Errorf("%s: the admin key that was lost counts: %v", as, ok)
		}
		if _, ok := m.Key(identity.RoleRecovery, sheet.ID()); ok != (as != enroll.AsVote) {
			t.Errorf("%s: the sheet counts: %v", as, ok)
		}
		if _, ok := f.HeadKey(de.Origin, 1, 99, de.Keys.Publish.ID()); !ok {
			t.Errorf("%s: what was published before no longer counts", as)
		}
	}
}

// withSheet is a federation in which Germany has a recovery sheet.
func withSheet(t testing.TB) (*Federation, *Member, *identity.Key) {
	f := NewFederation(t, "PL", "DE", "LT")
	de := f.Members["DE"]
	sheet := de.Fresh(identity.RoleRecovery, 0)
	f.Do(f.Sign(registry.KindKeys, SetKeys(t, f.State, de.Adding(sheet), sheet), "DE"))
	return f, de, sheet
}

func TestMachinesThatAreRefused(t *testing.T) {
	f, de, _ := withSheet(t)
	ticket := carriedTicket(t, f, "DE")
	for name, c := range map[string]struct {
		by   *identity.Key
		code enroll.Code
	}{
		"an older sheet":        {de.Fresh(identity.RoleRecovery, 9), enroll.OtherSheet},
		"another country's key": {f.Members["PL"].Keys.Admin, enroll.OtherKey},
	} {
		if _, err := ticket.Replace(box(t, de), c.by); !errors.Is(err, &enroll.Refusal{Code: c.code}) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	good, err := ticket.File()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ticket.Mirror(box(t, de))
	if err != nil {
		t.Fatal(err)
	}
	asked, err := r.File()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "noise": []byte("noise"), "the other file": asked, "half of it": good[:len(good)/2],
		"damaged": bytes.Replace(good, []byte("\n"), []byte("\nAAAA"), 2), "far too much": bytes.Repeat(good, 1000),
	} {
		if _, err := enroll.ParseTicket(text); !errors.Is(err, &enroll.Refusal{Code: enroll.NoTicket}) {
			t.Errorf("a ticket that is %s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{"a ticket": good, "half of it": asked[:len(asked)/2]} {
		if _, err := enroll.ParseMachineRequest(text); !errors.Is(err, &enroll.Refusal{Code: enroll.NoMachine}) {
			t.Errorf("a request that is %s: %v", name, err)
		}
	}
}

// FuzzMachine: whatever is carried in a file, reading it harms nobody.
func FuzzMachine(f *testing.F) {
	fed, de, sheet := withSheet(f)
	ticket := carriedTicket(f, fed, "DE")
	text, err := ticket.File()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, by := range []*identity.Key{de.Keys.Admin, sheet, nil} {
		r, err := ticket.Replace(box(f, de), by)
		if err != nil {
			f.Fatal(err)
		}
		if text, err = r.File(); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if ticket, err := enroll.ParseTicket(text); err == nil {
			if _, err := ticket.Mirror(box(t, de)); err != nil {
				t.Logf("a ticket that makes no request: %v", err)
			}
		}
		if r, err := enroll.ParseMachineRequest(text); err == nil && len(r.Command) > 0 {
			_, _ = fed.Apply(registry.Entry{Time: fed.Time(), Command: r.Command})
		}
	})
}
