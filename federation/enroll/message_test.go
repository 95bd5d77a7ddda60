package enroll

// These tests stand inside the package: the knock's messages are nobody else's.

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"testing"

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
