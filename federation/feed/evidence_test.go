package feed_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

// twice is an author's newest head, and another one of its number.
func twice(t *testing.T, f *feedtest.Federation, bend func(*feed.Head), keys ...*identity.Key) (a, b *feed.SignedHead) {
	t.Helper()
	author := f.Author("ada").Fill(0, 3, "x")
	author.Head(nil)
	other := author.Clone()
	author.Put(feedtest.RecordKey(1), "one way").Head(nil)
	other.Put(feedtest.RecordKey(1), "another way").Head(bend, keys...)
	return author.View().Head(), other.View().Head()
}

func TestEvidence(t *testing.T) {
	f := feedtest.NewFederation("ada", "ben")
	a, b := twice(t, f, nil)
	e := feed.NewEvidence(a, b)
	if other := feed.NewEvidence(b, a); !bytes.Equal(e.Encode(), other.Encode()) {
		t.Error("the order in which the heads were found shows in the evidence")
	}
	back, err := feed.ParseEvidence(e.Encode())
	if err != nil || !bytes.Equal(back.A, e.A) || !bytes.Equal(back.B, e.B) {
		t.Fatalf("ParseEvidence: %v", err)
	}
	check := func(what string) {
		t.Helper()
		fork, err := f.Rules().CheckEvidence(e)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if fork.Origin != a.Origin || fork.Epoch != 1 || fork.N != 2 || fork.A.Hash == fork.B.Hash {
			t.Errorf("%s: the fork is %+v", what, fork)
		}
		if again := fork.Evidence(); !bytes.Equal(again.Encode(), e.Encode()) {
			t.Errorf("%s: the fork's evidence is other evidence", what)
		}
	}
	check("two heads")
	f.Rotate("ada", 2)
	check("after the key was rotated")
	f.Bump("ada", nil)
	check("in an epoch gone by")
	f.Suspend("ada", true)
	check("of a suspended origin")
}

// TestEvidenceOutlivesAdminKeys: a co-signature by an admin key that is replaced
// later does not make the evidence worthless.
func TestEvidenceOutlivesAdminKeys(t *testing.T) {
	f := feedtest.NewFederation("ada")
	m := f.Member("ada")
	a, b := twice(t, f, nil, m.Publish, m.Admin)
	f.RotateAdmin("ada")
	fork, err := f.Rules().CheckEvidence(feed.NewEvidence(a, b))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*feed.SignedHead{fork.A, fork.B} {
		if e, err := identity.ParseEnvelope(h.Envelope); err != nil || len(e.Signatures) != 1 || e.Signatures[0].Key != m.Publish.ID() {
			t.Errorf("head %s: %d signatures are left, %v; want the publish key's", h.Hash, len(e.Signatures), err)
		}
	}
}

func TestNoEvidence(t *testing.T) {
	f := feedtest.NewFederation("ada", "ben")
	good := func(h *feed.SignedHead, bend func(*feed.Head), keys ...*identity.Key) *feed.SignedHead {
		head := h.Head
		bend(&head)
		out, err := feed.ParseHead(feedtest.SignHead(head, keys...))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	m := f.Member("ada")
	stranger := feedtest.Key(identity.RolePublish, "stranger")
	a, b := twice(t, f, nil)
	swapped := feed.NewEvidence(a, b)
	swapped.A, swapped.B = swapped.B, swapped.A
	for _, c := range []struct {
		name string
		e    feed.Evidence
	}{
		{"one head twice", feed.NewEvidence(a, a)},
		{"one head under one signature and under two", feed.NewEvidence(a, good(a, func(*feed.Head) {}, m.Publish, m.Admin))},
		{"the wrong way round", swapped},
		{"two numbers", feed.NewEvidence(a, good(b, func(h *feed.Head) { h.N++ }, m.Publish))},
		{"two epochs", feed.NewEvidence(a, good(b, func(h *feed.Head) { h.Epoch++ }, m.Publish))},
		{"two origins", feed.NewEvidence(a, good(b, func(h *feed.Head) { h.Origin = f.Member("ben").Origin }, f.Member("ben").Publish))},
		{"another federation's", feed.NewEvidence(a, good(b, func(h *feed.Head) { h.Federation[0] ^= 1 }, m.Publish))},
		{"signed by a stranger", feed.NewEvidence(a, good(b, func(*feed.Head) {}, stranger))},
		{"signed by an admin key only", feed.NewEvidence(a, good(b, func(*feed.Head) {}, m.Admin))},
		{"nothing", feed.Evidence{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if fork, err := f.Rules().CheckEvidence(c.e); !errors.Is(err, feed.ErrEvidence) || fork != nil {
				t.Errorf("CheckEvidence = %v, %v, want ErrEvidence", fork, err)
			}
		})
	}
	long := feed.Evidence{A: make([]byte, feed.MaxHead+1), B: []byte{1}}
	if _, err := feed.ParseEvidence(long.Encode()); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("a head that is too long: %v", err)
	}
	if _, err := feed.ParseEvidence(make([]byte, feed.MaxEvidence+1)); !errors.Is(err, feed.ErrTooLarge) {
		t.Errorf("evidence that is too long: %v", err)
	}
}

// TestStolenKeyForgesNoEvidenceLater: whoever stole a key that was revoked cannot
// freeze the epoch that followed.
func TestStolenKeyForgesNoEvidenceLater(t *testing.T) {
	f := feedtest.NewFederation("ada")
	stolen := f.Member("ada").Publish
	author := f.Author("ada").Fill(0, 3, "x")
	author.Head(nil)
	good := author.View().Head().Place()
	f.Bump("ada", &good)
	author.Put(feedtest.RecordKey(1), "right").Head(nil)
	h := author.View().Head()
	forged := h.Head
	forged.RegistrySeq = 77
	other, err := feed.ParseHead(feedtest.SignHead(forged, stolen))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Rules().CheckEvidence(feed.NewEvidence(h, other)); !errors.Is(err, feed.ErrEvidence) {
		t.Errorf("CheckEvidence: %v", err)
	}
}

func FuzzParseEvidence(f *testing.F) {
	fed := feedtest.NewFederation("ada")
	author := fed.Author("ada").Fill(0, 1, "x")
	other := author.Clone()
	author.Head(nil)
	other.Put(feedtest.RecordKey(2), "y").Head(nil)
	f.Add(feed.NewEvidence(author.View().Head(), other.View().Head()).Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := feed.ParseEvidence(b)
		if err != nil {
			return
		}
		fork, err := fed.Rules().CheckEvidence(e)
		if err != nil {
			return
		}
		if fork.A.Hash == fork.B.Hash || fork.A.N != fork.B.N {
			t.Fatal("evidence of nothing")
		}
		if _, err := fed.Rules().CheckEvidence(fork.Evidence()); err != nil {
			t.Fatalf("the evidence of a fork is none: %v", err)
		}
	})
}
