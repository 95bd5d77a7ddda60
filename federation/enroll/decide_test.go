package enroll_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestVotes: what the newcomer hears of the vote is what the registry counts.
func TestVotes(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		de, lt, se := s.join("DE"), s.join("LT"), s.join("SE")
		n, j := s.proposed("FI")
		standing := func(what string, want enroll.Answer) {
			t.Helper()
			a, err := n.Ask(context.Background(), j)
			if a.Seq = 0; err != nil || a != want {
				t.Fatalf("%s: %+v %v, want %+v", what, a, err, want)
			}
		}
		p := s.book.State().Proposals()[len(s.book.State().Proposals())-1]
		standing("proposed", enroll.Answer{Standing: enroll.Voting, Approvals: 1, Needed: 3})
		s.do(lt, registry.KindObject, registry.Object{Proposal: p.ID, Hash: p.Hash, Reason: "We know them under another name."})
		standing("one objects", enroll.Answer{Standing: enroll.Voting, Approvals: 1, Needed: 3, Objection: 1})
		// Two sides of a partition have the same approval, signed twice.
		s.do(de, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		s.do(de, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		standing("one approves, twice", enroll.Answer{Standing: enroll.Voting, Approvals: 2, Needed: 3, Objection: 1})
		// Who approved is suspended before the threshold: its word is gone.
		s.do(lt, registry.KindRuling, registry.RecordRuling{Ruling: registrytest.Ruling(t, s.book.State(), registry.Ruling{Kind: registry.RulingSuspend, Origin: de.Origin}, s.pl, lt, se)})
		standing("who approved is suspended", enroll.Answer{Standing: enroll.Voting, Approvals: 1, Needed: 2, Objection: 1})
		s.do(se, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		standing("enough", enroll.Answer{Standing: enroll.Admitted})
	})
}

// TestTheThresholdChangesMidVote: what was approved stays approved, and is counted
// by the threshold of now, whichever way it went.
func TestTheThresholdChangesMidVote(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		de, lt, se := s.join("DE"), s.join("LT"), s.join("SE")
		n, j := s.proposed("FI")
		standing := func(what string, want enroll.Answer) {
			t.Helper()
			a, err := n.Ask(context.Background(), j)
			if a.Seq = 0; err != nil || a != want {
				t.Fatalf("%s: %+v %v, want %+v", what, a, err, want)
			}
		}
		approvals := func(needed int64) { // PL moves it, the others sign
			t.Helper()
			p := s.book.State().Policy()
			before := registry.HashPolicy(p)
			p.MajorityBelow, p.Approvals = 3, needed
			s.do(s.pl, registry.KindPolicy, registry.SetPolicy{Before: before, Policy: p})
			for _, by := range []*registrytest.Member{de, lt, se} {
				open := s.book.State().Motions()
				if len(open) == 0 {
					break
				}
				s.do(by, registry.KindApprove, registry.Approve{Proposal: open[0].ID, Hash: open[0].Hash})
			}
			if got := s.book.State().Threshold(); got != int(needed) {
				t.Fatalf("the threshold is %d, want %d", got, needed)
			}
		}
		standing("proposed", enroll.Answer{Standing: enroll.Voting, Approvals: 1, Needed: 3})
		p := s.book.State().Proposals()[len(s.book.State().Proposals())-1]
		s.do(de, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		standing("one approves", enroll.Answer{Standing: enroll.Voting, Approvals: 2, Needed: 3})
		approvals(4)
		s.do(lt, registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		standing("raised: what was enough is not", enroll.Answer{Standing: enroll.Voting, Approvals: 3, Needed: 4})
		approvals(3)
		s.book.set(consensus.ErrNoQuorum)
		standing("lowered, while nothing can be written", enroll.Answer{Standing: enroll.Voting, Approvals: 3, Needed: 3})
		s.book.set(nil)
		standing("lowered: nobody needs to approve again", enroll.Answer{Standing: enroll.Admitted})
	})
}

// TestCarried: a request in a file waits, is compared and approved as any other.
func TestCarried(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.join("DE")
		lt := s.join("LT")
		i := s.invite("FI")
		n, fi := s.newcomer("FI")
		n.Dial = nil // there is no connection
		j, err := n.Request(i)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(j.Request), fi.Operator) || len(j.Request) > 4096 {
			t.Errorf("%d bytes: %s", len(j.Request), j.Request)
		}
		b, err := j.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := enroll.UnmarshalJoinState(b); err != nil || string(again.Request) != string(j.Request) || again.Numbers != j.Numbers {
			t.Fatalf("%+v %v", again, err)
		}
		time.Sleep(13 * 24 * time.Hour) // by post
		var p enroll.Pending
		for range 2 { // it may be brought again
			var a enroll.Answer
			if p, a, err = s.server.Carried(context.Background(), j.Request); err != nil || a.Standing != enroll.Waiting || p.Numbers != j.Numbers || len(p.Numbers) != 14 {
				t.Fatalf("%+v %+v %v, want the numbers %s", p, a, err, j.Numbers)
			}
		}
		// Somebody on the way makes a request of its own with the same invitation.
		thief, _ := s.newcomer("XX")
		thief.Candidate.Country = "FI"
		other, err := thief.Request(i)
		if err != nil {
			t.Fatal(err)
		}
		if other.Numbers == j.Numbers {
			t.Error("two requests have the same numbers")
		}
		if _, _, err := s.server.Carried(context.Background(), other.Request); !errors.Is(err, &enroll.Refusal{Code: enroll.Used}) {
			t.Errorf("a second request by one invitation: %v", err)
		}
		if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); err != nil {
			t.Fatal(err)
		}
		if _, a, err := s.server.Carried(context.Background(), j.Request); err != nil || a.Standing != enroll.Voting || a.Approvals != 1 {
			t.Fatalf("%+v %v", a, err)
		}
		q := s.book.State().Proposals()[len(s.book.State().Proposals())-1]
		s.do(lt, registry.KindApprove, registry.Approve{Proposal: q.ID, Hash: q.Hash})
		if m, ok := s.book.State().MemberByCountry("FI"); !ok || m.Origin != fi.Origin {
			t.Fatal("FI is no member")
		}
		if _, a, err := s.server.Carried(context.Background(), j.Request); err != nil || a.Standing != enroll.Admitted {
			t.Fatalf("%+v %v", a, err)
		}
	})
}

// TestAChangedRequestIsRefused: a request is taken whole or not at all.
func TestAChangedRequestIsRefused(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		file := s.carried("DE", s.invite("DE"))
		for at := len("-----BEGIN WAYMARK REQUEST-----\n"); at < len(file)-40; at += 5 {
			bad := append([]byte(nil), file...)
			if bad[at] == 'A' {
				bad[at] = 'B'
			} else {
				bad[at] = 'A'
			}
			if p, _, err := s.server.Carried(context.Background(), bad); err == nil {
				t.Fatalf("byte %d changed: taken as a request of %s", at, p.Country)
			}
		}
		if _, _, err := s.server.Carried(context.Background(), file); err != nil {
			t.Fatalf("unchanged: %v", err)
		}
	})
}

// TestASignedRequestIsHandedOverLater: what an administrator signs while the
// registry cannot be changed needs nobody to come back.
func TestASignedRequestIsHandedOverLater(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.join("DE")
		s.join("LT")
		n, _ := s.newcomer("FI")
		i := s.invite("FI")
		j, err := n.Knock(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		s.book.set(consensus.ErrNoQuorum)
		if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); !errors.Is(err, &enroll.Refusal{Code: enroll.NotReady}) {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if a, err := n.Ask(context.Background(), j); err != nil || a.Standing != enroll.Waiting {
			t.Fatalf("%+v %v", a, err)
		}
		s.book.set(nil)
		time.Sleep(time.Minute)
		if a, err := n.Ask(context.Background(), j); err != nil || a.Standing != enroll.Voting || a.Approvals != 1 {
			t.Fatalf("%+v %v", a, err)
		}
		if open := s.book.State().Proposals(); len(open) == 0 || open[len(open)-1].Candidate.Country != "FI" {
			t.Fatalf("%+v", open)
		}
	})
}

// TestAKnockIsKeptUntilItsProposalIsKnownHere: the leader has ordered the proposal,
// and the line to the sponsor is cut before it has come back. A newcomer that asks
// meanwhile is not told that nobody knows it, which would end its waiting.
func TestAKnockIsKeptUntilItsProposalIsKnownHere(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.join("DE")
		s.join("LT")
		i := s.invite("FI")
		n, _ := s.newcomer("FI")
		j, err := n.Knock(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		s.book.mu.Lock()
		s.book.late = true
		s.book.mu.Unlock()
		if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if a, err := n.Ask(context.Background(), j); err != nil || a.Standing != enroll.Waiting {
				t.Fatalf("asked while the proposal is not known here: %+v %v", a, err)
			}
			time.Sleep(time.Minute)
		}
		s.book.catchUp()
		if a, err := n.Ask(context.Background(), j); err != nil || a.Standing != enroll.Voting || a.Approvals != 1 {
			t.Fatalf("asked when it is known: %+v %v", a, err)
		}
		time.Sleep(time.Minute)
		if waiting, err := s.store.Waiting(); err != nil || len(waiting) != 0 {
			t.Errorf("%d knocks are left, %v", len(waiting), err)
		}
		if len(s.book.State().Proposals()) != 1 {
			t.Errorf("%d proposals", len(s.book.State().Proposals()))
		}
	})
}

// TestANewcomerAsksForAsLongAsItTakes: a node asks every few seconds how its knock
// stands, and people take hours. It is told all the while, and hears of its admission
// at once.
func TestANewcomerAsksForAsLongAsItTakes(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.join("DE")
		s.join("LT")
		i := s.invite("FI")
		n, _ := s.newcomer("FI")
		j, err := n.Knock(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(hours int, want enroll.Standing) {
			t.Helper()
			for end := time.Now().Add(time.Duration(hours) * time.Hour); time.Now().Before(end); time.Sleep(20 * time.Second) {
				if a, err := n.Ask(context.Background(), j); err != nil || a.Standing != want {
					t.Fatalf("after %v: %+v %v", time.Since(end.Add(-time.Duration(hours)*time.Hour)), a, err)
				}
			}
		}
		ask(3, enroll.Waiting)
		if _, err := s.server.Admit(context.Background(), i.ID(), j.Numbers); err != nil {
			t.Fatal(err)
		}
		ask(3, enroll.Voting)
		p := s.book.State().Proposals()[0]
		s.do(registrytest.New(t, "LT"), registry.KindApprove, registry.Approve{Proposal: p.ID, Hash: p.Hash})
		ask(1, enroll.Admitted)
	})
}
