package enroll

// These tests stand inside the package: the knock's messages are nobody else's.

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

func FuzzMessages(f *testing.F) {
	for _, v := range []any{
		hello{Version: 1, Purpose: purposeKnock}, greeting{Refusal: Refuse(Used, "")}, knock{Sealed: []byte("sealed")},
		outcome{Answer: Answer{Standing: Voting, Approvals: 1}}, request{Statement: []byte("statement")},
	} {
		var b bytes.Buffer
		if err := send(&b, v); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{new(hello), new(greeting), new(knock), new(outcome), new(request)} {
			err := receive(bytes.NewReader(b), into)
			switch {
			case err == nil:
				var again bytes.Buffer
				if err := send(&again, into); err != nil && !errors.Is(err, errMessage) {
					t.Fatalf("read, and cannot be sent: %v", err)
				}
			case !errors.Is(err, errMessage) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
				t.Fatalf("an error of no kind: %v", err)
			}
			if g, ok := into.(*greeting); ok && g.Refusal != nil {
				if r := g.Refusal.safe(); len(r.Text) > 500 || bytes.ContainsAny([]byte(r.Error()), "\x1b\n") {
					t.Fatalf("shown to a terminal: %q", r)
				}
			}
		}
	})
}

func TestMessagesAreBounded(t *testing.T) {
	if err := send(io.Discard, knock{Sealed: make([]byte, maxMessage)}); !errors.Is(err, errMessage) {
		t.Fatalf("sent too much: %v", err)
	}
	if err := receive(bytes.NewReader([]byte{0, 0, 0x40, 1}), new(hello)); !errors.Is(err, errMessage) {
		t.Fatalf("took a length of one byte too much: %v", err)
	}
}

// TestCarriedNumbers: they are slow to make, and bound to all that a request says.
func TestCarriedNumbers(t *testing.T) {
	p := parties{newcomer: [32]byte{2}}
	before, numbers := time.Now(), p.carriedNumbers()
	if took := time.Since(before); took < 20*time.Millisecond {
		t.Errorf("a guess takes %s: somebody could try them all", took)
	}
	if numbers == p.numbers() {
		t.Error("the numbers of a file are those of a call")
	}
	for name, change := range map[string]func(*parties){
		"the federation": func(p *parties) { p.federation[0]++ }, "the invitation": func(p *parties) { p.invitation[0]++ },
		"the newcomer's keys": func(p *parties) { p.candidate[0]++ }, "the sponsor's key": func(p *parties) { p.admin[0]++ },
		"the seal key": func(p *parties) { p.seal[0]++ }, "the newcomer's random": func(p *parties) { p.newcomer[0]++ },
	} {
		q := p
		if change(&q); q.carriedSum() == p.carriedSum() {
			t.Errorf("%s replaced, and the numbers are the same", name)
		}
	}
}

func FuzzCarried(f *testing.F) {
	f.Add([]byte("-----BEGIN WAYMARK REQUEST-----\nAAAA\n-----END WAYMARK REQUEST-----\n"))
	f.Add([]byte("-----BEGIN WAYMARK INVITATION-----"))
	b, err := identity.Marshal(carried{Version: Version, Sealed: []byte("sealed")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: b}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCarried(b)
		var r *Refusal
		if err != nil && (!errors.As(err, &r) || r.Next == "") {
			t.Fatalf("an error that says nothing: %v", err)
		}
		if err == nil && c.Version != Version {
			t.Fatalf("took version %d", c.Version)
		}
	})
}

// TestVersions: another version of the invitation, the knock or the file is said to
// be one.
func TestVersions(t *testing.T) {
	check := func(what string, version uint64, err error) {
		t.Helper()
		side := "install the newest waymark on this machine" // whoever reads it has the older one
		if version < Version {
			side = "have the newest waymark installed there"
		}
		var r *Refusal
		if !errors.As(err, &r) || r.Code != TooOld || !strings.Contains(r.Text, fmt.Sprintf("of version %d", version)) || !strings.Contains(r.Next, side) {
			t.Errorf("%s of version %d: %v", what, version, err)
		}
	}
	pemOf := func(kind string, v any) []byte {
		b, err := identity.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
	}
	for _, version := range []uint64{0, Version + 1} {
		_, err := parseCarried(pemOf(pemRequest, carried{Version: version}))
		check("a request", version, err)
		_, err = ParseTicket(pemOf(pemTicket, Ticket{Version: version}))
		check("a ticket", version, err)
		_, err = ParseMachineRequest(pemOf(pemMachine, MachineRequest{Version: version}))
		check("a machine's request", version, err)
	}
	body, err := identity.Marshal(Terms{Version: Version + 1})
	if err != nil {
		t.Fatal(err)
	}
	i := &Invitation{}
	check("an invitation", Version+1, i.adopt(identity.Sign(identity.TypeInvitation, identity.FederationID{1}, body, identity.KeyFromSeed(identity.RoleAdmin, [32]byte{1})).Encode()))
	for code, s := range sentences {
		if s[0] == "" || s[1] == "" {
			t.Errorf("%s says nothing, or not what to do", code)
		}
	}
}

// TestNumbers: whatever somebody in the middle replaces, the two sides read
// different numbers.
func TestNumbers(t *testing.T) {
	p := parties{node: identity.NodeID{1}, newcomer: [32]byte{2}, sponsor: [32]byte{3}}
	form := regexp.MustCompile(`^[1-9]\d{3} [1-9]\d{3} [1-9]\d{3}$`)
	if again := p; !form.MatchString(p.numbers()) || p.numbers() != again.numbers() {
		t.Fatalf("%q", p.numbers())
	}
	for name, change := range map[string]func(*parties){
		"the federation":        func(p *parties) { p.federation[0]++ },
		"the invitation":        func(p *parties) { p.invitation[0]++ },
		"the newcomer's keys":   func(p *parties) { p.candidate[0]++ },
		"the sponsor's key":     func(p *parties) { p.admin[0]++ },
		"the seal key":          func(p *parties) { p.seal[0]++ },
		"the node":              func(p *parties) { p.node[0]++ },
		"the newcomer's random": func(p *parties) { p.newcomer[0]++ },
		"the sponsor's random":  func(p *parties) { p.sponsor[0]++ },
	} {
		q := p
		if change(&q); q.numbers() == p.numbers() {
			t.Errorf("%s replaced, and the numbers are the same", name)
		}
	}
	hash := identity.Hash{1}
	if commitment(hash, [32]byte{1}) == commitment(hash, [32]byte{2}) || commitment(hash, [32]byte{1}) == commitment(identity.Hash{2}, [32]byte{1}) {
		t.Error("the commitment binds nothing")
	}
}
