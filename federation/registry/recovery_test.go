package registry_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// recovering is the federation of three after its third entry's head, and what
// begins its second generation.
type recovering struct {
	*heads
	t     testing.TB
	chain registry.HeadChain
	r     registry.Recovery
}

func newRecovering(t testing.TB) *recovering {
	w := newHeads(t)
	c := w.two(t)
	head := signedBy(w.head(2, w.s.Seq(), 7, w.pl, w.de, w.lt), w.pl, w.de)
	c = w.add(t, c, head)
	r, err := registry.NewRecovery(c, w.s, nodeKeys(w.pl), w.now)
	if err != nil {
		t.Fatal(err)
	}
	return &recovering{w, t, c, r}
}

func (w *recovering) signed(r registry.Recovery, by ...*Member) []byte {
	w.t.Helper()
	var keys []*identity.Key
	for _, m := range by {
		keys = append(keys, m.Keys.Admin)
	}
	b, err := registry.SignRecovery(r, keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// first is the head that begins with a recovery, signed by nodes.
func (w *recovering) first(recovery []byte, nodes ...*Member) []byte {
	w.t.Helper()
	r, _, err := registry.ParseRecovery(recovery)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := r.First(recovery, nil, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return signedBy(h, nodes...)
}

func TestAGenerationBegins(t *testing.T) {
	w := newRecovering(t)
	next := w.add(t, w.chain, w.first(w.signed(w.r, w.de, w.lt), w.pl))
	b := next.Branch()
	if b.Generation != 2 || next.Rotation() != 3 || len(next.Voters()) != 1 || next.Newest().Seq != w.s.Seq() {
		t.Fatalf("generation %d, rotation %d", b.Generation, next.Rotation())
	}
	// Heads of the old generation are over, even those of a majority.
	late := signedBy(w.head(2, w.s.Seq()+1, 30, w.pl, w.de, w.lt), w.pl, w.de, w.lt)
	if _, _, err := next.Add(late, w.s, w.now); !errors.Is(err, registry.ErrHeadOld) {
		t.Fatalf("a head of the first generation: %v", err)
	}
	// The new voters go on; a head that names no recovery, or another, is none.
	h := w.head(3, w.s.Seq(), 61, w.pl)
	h.Generation, h.Under = 2, &b.Recovery
	next = w.add(t, next, signedBy(h, w.pl))
	h.Issued++
	h.Under = nil
	if _, _, err := next.Add(signedBy(h, w.pl), w.s, w.now); !errors.Is(err, registry.ErrUnknownKind) {
		t.Fatalf("a head that names no recovery: %v", err)
	}
	h.Under = &identity.Hash{0xff}
	if _, _, err := next.Add(signedBy(h, w.pl), w.s, w.now); !errors.Is(err, registry.ErrHeadOld) {
		t.Fatalf("a head of a recovery that yields: %v", err)
	}
	h.Under = &identity.Hash{}
	if _, _, err := next.Add(signedBy(h, w.pl), w.s, w.now); !errors.Is(err, registry.ErrHeadGap) {
		t.Fatalf("a head of a recovery that is not known: %v", err)
	}
	// A stranger who has the entries is led there head by head.
	var c registry.HeadChain
	for _, h := range next.Rotations() {
		c = w.add(t, c, h.Envelope)
	}
	if c.Branch() != b {
		t.Fatalf("a stranger gets to generation %d", c.Branch().Generation)
	}
}

func TestRecoveriesThatAreRefused(t *testing.T) {
	w := newRecovering(t)
	change := func(f func(r *registry.Recovery)) registry.Recovery {
		r := w.r
		f(&r)
		return r
	}
	flipped := w.signed(w.r, w.pl, w.de)
	flipped[len(flipped)-1] ^= 1
	moved := func() []byte { // signed for another federation
		o := change(func(r *registry.Recovery) { r.Federation[0]++ })
		_, e, _ := registry.ParseRecovery(w.signed(o, w.pl, w.de))
		_, mine, _ := registry.ParseRecovery(w.signed(w.r, w.pl))
		e.Body = mine.Body
		return e.Encode()
	}
	for name, c := range map[string]struct {
		head []byte
		want error
	}{
		"one of three":                {w.first(w.signed(w.r, w.pl), w.pl), registry.ErrUnauthorised},
		"one of three, twice":         {w.first(w.signed(w.r, w.pl, w.pl), w.pl), registry.ErrUnauthorised},
		"one of three and a stranger": {w.first(w.signed(w.r, w.pl, w.fi), w.pl), registry.ErrUnauthorised},
		"a bad signature":             {w.first(flipped, w.pl), registry.ErrUnauthorised},
		"for another federation":      {w.first(moved(), w.pl), registry.ErrUnauthorised},
		"not by its voter":            {w.first(w.signed(w.r, w.pl, w.de), w.de), registry.ErrUnauthorised},
		"of another federation":       {w.first(w.signed(change(func(r *registry.Recovery) { r.Federation[0]++ }), w.pl, w.de), w.pl), registry.ErrForeign},
		"two generations on":          {w.first(w.signed(change(func(r *registry.Recovery) { r.Generation = 3 }), w.pl, w.de), w.pl), registry.ErrHeadGap},
		"past the last head":          {w.first(w.signed(change(func(r *registry.Recovery) { r.Seq++ }), w.pl, w.de), w.pl), registry.ErrHeadGap},
		"after more voters":           {w.first(w.signed(change(func(r *registry.Recovery) { r.Rotation++ }), w.pl, w.de), w.pl), registry.ErrHeadGap},
		"other entries":               {w.first(w.signed(change(func(r *registry.Recovery) { r.Hash[0]++ }), w.pl, w.de), w.pl), registry.ErrHeadFork},
		"a voter that is no member":   {w.first(w.signed(change(func(r *registry.Recovery) { r.Voters = nodeKeys(w.fi) }), w.pl, w.de), w.fi), registry.ErrHeadVoters},
		"three, signed by one":        {w.first(w.signed(change(func(r *registry.Recovery) { r.Voters = nodeKeys(w.pl, w.de, w.lt) }), w.pl, w.de), w.pl), registry.ErrUnauthorised},
	} {
		if next, _, err := w.chain.Add(c.head, w.s, w.now); !errors.Is(err, c.want) || next.Branch().Generation != 1 {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, r := range map[string]registry.Recovery{
		"of the first generation": change(func(r *registry.Recovery) { r.Generation = 1 }),
		"with two voters":         change(func(r *registry.Recovery) { r.Voters = nodeKeys(w.pl, w.de) }),
		"with a voter twice":      change(func(r *registry.Recovery) { r.Voters = append(nodeKeys(w.pl, w.de), w.pl.Keys.Node.Public()) }),
		"from nothing":            change(func(r *registry.Recovery) { r.Seq = 0 }),
	} {
		if _, err := registry.SignRecovery(r, w.pl.Keys.Admin); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, e, err := registry.ParseRecovery(w.signed(w.r, w.pl, w.de))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.First(e.Encode(), nil, w.now.Add(registry.RecoveryLife+time.Hour)); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("a recovery that lay about: %v", err)
	}
}

// TestAnOldMajorityTakesNothingBack: the founder was a majority once.
func TestAnOldMajorityTakesNothingBack(t *testing.T) {
	w := newRecovering(t)
	r := w.r
	r.Seq, r.Rotation = 1, 1
	_, at, err := (registry.Genesis{Version: 1, Random: [32]byte{4}, Name: "Heads", Founded: Start.Unix(), Founder: w.pl.Candidate}).Sign(w.pl.Keys)
	if err != nil {
		t.Fatal(err)
	}
	r.Hash = at.Hash()
	past := func(seq uint64) (*registry.State, error) {
		if seq != 1 {
			t.Fatalf("asked for entry %d", seq)
		}
		return at, nil
	}
	head := w.first(w.signed(r, w.pl), w.pl)
	if _, _, err := w.chain.AddPast(head, w.s, past, w.now); !errors.Is(err, registry.ErrUnauthorised) {
		t.Fatalf("the founder alone took the registry back to its genesis: %v", err)
	}
}

func TestRecoverySignaturesAreMerged(t *testing.T) {
	w := newRecovering(t)
	a, b := w.signed(w.r, w.pl), w.signed(w.r, w.lt)
	ab, err := registry.MergeRecoveries(a, b)
	ba, err2 := registry.MergeRecoveries(b, a)
	again, err3 := registry.CountersignRecovery(ab, w.pl.Keys.Admin)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	if string(ab) != string(ba) || string(again) != string(ab) {
		t.Fatal("the same signatures make different files")
	}
	_, signers, needed, err := w.s.CheckRecovery(ab)
	if err != nil || len(signers) != 2 || needed != 2 {
		t.Fatalf("%d signers, %d needed: %v", len(signers), needed, err)
	}
	other := w.r
	other.Issued++
	if _, err := registry.MergeRecoveries(a, w.signed(other, w.de)); !errors.Is(err, registry.ErrConflict) {
		t.Fatalf("two recoveries in one: %v", err)
	}
}

func FuzzRecovery(f *testing.F) {
	w := newRecovering(f)
	good := w.signed(w.r, w.pl, w.de)
	f.Add(good)
	f.Add(w.first(good, w.pl))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, e, err := registry.ParseRecovery(b); err == nil {
			if len(b) > registry.MaxRecovery || r.Generation < 2 || len(r.Voters)%2 != 1 {
				t.Fatalf("taken: %+v", r)
			}
			again, _, err := registry.ParseRecovery(e.Encode())
			if err != nil || again.Seq != r.Seq || again.Generation != r.Generation {
				t.Fatalf("read again: %v", err)
			}
			if _, signers, needed, err := w.s.CheckRecovery(b); err == nil && len(signers) >= needed && (r.Generation != 2 || r.Rotation != w.r.Rotation || !slices.Equal(r.Voters, w.r.Voters)) {
				t.Fatal("a majority that never signed")
			}
		}
		if next, _, err := w.chain.Add(b, w.s, w.now); err == nil && next.Branch().Generation == 2 && len(next.Newest().Recovery) == 0 {
			t.Fatal("a generation without a recovery")
		}
	})
}
