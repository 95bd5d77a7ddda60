package registry_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// signedBy makes the envelope of a head with the node keys of some members.
func signedBy(h registry.Head, members ...*Member) []byte {
	var out []identity.Signature
	for _, m := range members {
		out = append(out, m.Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode()))
	}
	return h.Envelope(out)
}

func nodeKeys(members ...*Member) []identity.PublicKey {
	var out []identity.PublicKey
	for _, m := range members {
		out = append(out, m.Keys.Node.Public())
	}
	return registry.SortVoters(out)
}

// heads is a federation of Poland, Germany and Lithuania, and heads for it.
type heads struct {
	pl, de, lt, fi *Member
	s              *registry.State
	now            time.Time
}

func newHeads(t testing.TB) *heads {
	w := &heads{pl: New(t, "PL"), de: New(t, "DE"), lt: New(t, "LT"), fi: New(t, "FI"), now: Start.Add(time.Hour)}
	for i, m := range []*Member{w.pl, w.de, w.lt, w.fi} {
		m.Seal = identity.SealPublicKey{byte(i + 1)}
	}
	var err error
	if _, w.s, err = (registry.Genesis{Version: 1, Random: [32]byte{4}, Name: "Heads", Founded: Start.Unix(), Founder: w.pl.Candidate}).Sign(w.pl.Keys); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Member{w.de, w.lt} {
		w.s = Apply(t, w.s, w.pl.Invite(t, w.s, m.Country))
		_, c := w.pl.Admit(t, w.s, m)
		w.s = Apply(t, w.s, c)
	}
	return w
}

// head is a head for the registry as it is, or for an entry of its own making.
func (w *heads) head(rotation, seq uint64, minute int, voters ...*Member) registry.Head {
	hash := identity.Hash{byte(seq)}
	if seq == w.s.Seq() {
		hash = w.s.Hash()
	}
	issued := Start.Add(time.Duration(minute) * time.Minute).Unix()
	return registry.Head{
		Version: registry.HeadVersion, Federation: w.s.Federation(), Generation: 1, Rotation: rotation, Seq: seq, Hash: hash,
		Voters: nodeKeys(voters...), Issued: issued, Expires: issued + int64(registry.HeadLife/time.Second),
	}
}

// add adds heads that must all be good.
func (w *heads) add(t testing.TB, c registry.HeadChain, envelopes ...[]byte) registry.HeadChain {
	t.Helper()
	for i, b := range envelopes {
		var err error
		if c, _, err = c.Add(b, w.s, w.now); err != nil {
			t.Fatalf("head %d: %v", i, err)
		}
	}
	return c
}

// two is the chain after Poland's first head and the change to three voters.
func (w *heads) two(t testing.TB) registry.HeadChain {
	return w.add(t, registry.HeadChain{},
		signedBy(w.head(1, 1, 0, w.pl), w.pl),
		signedBy(w.head(2, 3, 5, w.pl, w.de, w.lt), w.pl, w.lt))
}

func TestTheVotersChange(t *testing.T) {
	w := newHeads(t)
	one := w.add(t, registry.HeadChain{}, signedBy(w.head(1, 1, 0, w.pl), w.pl))
	if one.Rotation() != 1 || one.Newest().Seq != 1 || len(one.Voters()) != 1 {
		t.Fatalf("the founder's first head: rotation %d", one.Rotation())
	}
	two := w.two(t)
	if two.Rotation() != 2 || len(two.Voters()) != 3 || two.Newest().Seq != 3 {
		t.Fatalf("three voters: rotation %d, entry %d", two.Rotation(), two.Newest().Seq)
	}
	if one.Rotation() != 1 { // a value never changes
		t.Fatal("adding to a chain changed it")
	}
	// A majority of the three goes on, and hands over to two others.
	three := w.add(t, two, signedBy(w.head(2, 3, 6, w.pl, w.de, w.lt), w.de, w.lt), signedBy(w.head(3, 4, 7, w.de, w.lt), w.de, w.lt))
	if ids := three.Newest().VoterIDs(); three.Rotation() != 3 || len(ids) != 2 || len(three.Rotations()) != 3 {
		t.Fatalf("two voters: rotation %d, %d voters", three.Rotation(), len(ids))
	}
}

func TestHeadsThatAreRefused(t *testing.T) {
	w := newHeads(t)
	all := []*Member{w.pl, w.de, w.lt}
	place := func(n uint64, hash byte) []registry.Anchor {
		return []registry.Anchor{{Origin: w.de.Origin, Place: feed.Place{Epoch: 1, N: n, Hash: identity.Hash{hash}}}}
	}
	held := w.head(2, 4, 10, all...)
	held.Feeds = place(7, 7)
	two := w.add(t, w.two(t), signedBy(held, w.pl, w.de))
	with := func(h registry.Head, change func(*registry.Head)) registry.Head {
		change(&h)
		return h
	}
	next := w.head(2, 4, 11, all...)
	stranger := signedBy(next, w.pl, w.de, w.fi)
	flipped := signedBy(next, w.pl, w.de)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		chain    registry.HeadChain
		envelope []byte
		want     error
	}{
		"first, by another than the founder":  {registry.HeadChain{}, signedBy(w.head(1, 1, 0, w.de), w.de), registry.ErrUnauthorised},
		"first, by the founder and another":   {registry.HeadChain{}, signedBy(w.head(1, 1, 0, w.pl, w.de), w.pl, w.de), registry.ErrUnauthorised},
		"first, of a later rotation":          {registry.HeadChain{}, signedBy(w.head(2, 3, 5, all...), all...), registry.ErrHeadGap},
		"noise":                               {two, []byte("noise"), registry.ErrMalformed},
		"too large":                           {two, make([]byte, registry.MaxHead+1), registry.ErrMalformed},
		"unsigned":                            {two, signedBy(next), registry.ErrUnauthorised},
		"a minority":                          {two, signedBy(next, w.de), registry.ErrUnauthorised},
		"one voter twice":                     {two, signedBy(next, w.de, w.de), registry.ErrUnauthorised},
		"a stranger's signature among them":   {two, stranger, registry.ErrUnauthorised},
		"a signature with one bit changed":    {two, flipped, registry.ErrUnauthorised},
		"admin keys instead of node keys":     {two, next.Envelope([]identity.Signature{w.pl.Keys.Admin.Sign(identity.TypeRegistryHead, next.Federation, next.Encode()), w.de.Keys.Admin.Sign(identity.TypeRegistryHead, next.Federation, next.Encode())}), registry.ErrUnauthorised},
		"signed as something else":            {two, next.Envelope([]identity.Signature{w.pl.Keys.Node.Sign(identity.TypeStatement, next.Federation, next.Encode()), w.de.Keys.Node.Sign(identity.TypeStatement, next.Federation, next.Encode())}), registry.ErrUnauthorised},
		"other voters in one rotation":        {two, signedBy(w.head(2, 5, 12, w.de, w.lt), w.de, w.lt), registry.ErrUnauthorised},
		"new voters without the old":          {two, signedBy(w.head(3, 5, 12, w.lt), w.lt), registry.ErrUnauthorised},
		"old voters without the new":          {two, signedBy(w.head(3, 5, 12, w.pl, w.fi), w.de, w.lt), registry.ErrUnauthorised},
		"a rotation that changes nothing":     {two, signedBy(w.head(3, 5, 12, all...), all...), registry.ErrHeadVoters},
		"a rotation left out":                 {two, signedBy(w.head(4, 5, 12, w.de, w.lt), all...), registry.ErrHeadGap},
		"voters of long ago":                  {two, signedBy(w.head(1, 9, 20, w.pl), w.pl), registry.ErrHeadOld},
		"the same again":                      {two, signedBy(held, w.pl, w.de), registry.ErrHeadOld},
		"an earlier entry":                    {two, signedBy(w.head(2, 3, 12, all...), w.pl, w.de), registry.ErrHeadOld},
		"an earlier time":                     {two, signedBy(w.head(2, 4, 9, all...), w.pl, w.de), registry.ErrHeadOld},
		"another hash of the entry":           {two, signedBy(with(next, func(h *registry.Head) { h.Hash[31]++ }), w.pl, w.de), registry.ErrHeadFork},
		"another hash, issued before":         {two, signedBy(with(w.head(2, 4, 9, all...), func(h *registry.Head) { h.Hash[31]++ }), w.pl, w.de), registry.ErrHeadFork},
		"a feed taken back":                   {two, signedBy(with(next, func(h *registry.Head) { h.Feeds = place(6, 6) }), w.pl, w.de), registry.ErrHeadOld},
		"another head of a feed":              {two, signedBy(with(next, func(h *registry.Head) { h.Feeds = place(7, 8) }), w.pl, w.de), registry.ErrHeadAnchor},
		"of another federation":               {two, signedBy(with(next, func(h *registry.Head) { h.Federation[0]++ }), w.pl, w.de), registry.ErrForeign},
		"of another generation":               {two, signedBy(with(next, func(h *registry.Head) { h.Generation = 2 }), w.pl, w.de), registry.ErrUnknownKind},
		"of a later version":                  {two, signedBy(with(next, func(h *registry.Head) { h.Version = 2 }), w.pl, w.de), registry.ErrUnknownKind},
		"from the future":                     {two, signedBy(w.head(2, 4, 71, all...), w.pl, w.de), registry.ErrHeadFuture},
		"good for too long":                   {two, signedBy(with(next, func(h *registry.Head) { h.Expires++ }), w.pl, w.de), registry.ErrMalformed},
		"good for no time":                    {two, signedBy(with(next, func(h *registry.Head) { h.Expires = h.Issued }), w.pl, w.de), registry.ErrMalformed},
		"before all time":                     {two, signedBy(with(next, func(h *registry.Head) { h.Issued = -1 }), w.pl, w.de), registry.ErrMalformed},
		"without voters":                      {two, signedBy(with(next, func(h *registry.Head) { h.Voters = nil }), w.pl, w.de), registry.ErrMalformed},
		"with eight voters":                   {two, signedBy(with(next, func(h *registry.Head) { h.Voters = make([]identity.PublicKey, 8) }), w.pl, w.de), registry.ErrMalformed},
		"a voter twice":                       {two, signedBy(with(next, func(h *registry.Head) { h.Voters = append(h.Voters, h.Voters[2]) }), w.pl, w.de), registry.ErrMalformed},
		"voters out of order":                 {two, signedBy(with(next, func(h *registry.Head) { h.Voters = []identity.PublicKey{h.Voters[1], h.Voters[0], h.Voters[2]} }), w.pl, w.de), registry.ErrMalformed},
		"a feed twice":                        {two, signedBy(with(next, func(h *registry.Head) { h.Feeds = append(place(7, 7), place(8, 8)...) }), w.pl, w.de), registry.ErrMalformed},
		"a feed at no place":                  {two, signedBy(with(next, func(h *registry.Head) { h.Feeds = place(0, 0) }), w.pl, w.de), registry.ErrMalformed},
		"too many feeds":                      {two, signedBy(with(next, func(h *registry.Head) { h.Feeds = make([]registry.Anchor, registry.MaxFeeds+1) }), w.pl, w.de), registry.ErrMalformed},
		"for entry 0":                         {two, signedBy(with(next, func(h *registry.Head) { h.Seq = 0 }), w.pl, w.de), registry.ErrMalformed},
		"a voter from outside, now checkable": {two, signedBy(w.head(3, w.s.Seq(), 12, w.pl, w.fi), w.pl, w.de, w.fi), registry.ErrHeadVoters},
	} {
		t.Run(name, func(t *testing.T) {
			after, h, err := c.chain.Add(c.envelope, w.s, w.now)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if h != nil || after.Newest() != c.chain.Newest() || after.Rotation() != c.chain.Rotation() {
				t.Error("it changed the chain")
			}
		})
	}
	if _, _, err := two.Add(signedBy(with(next, func(h *registry.Head) { h.Feeds = place(9, 9) }), w.lt, w.de), w.s, w.now); err != nil {
		t.Errorf("a good head: %v", err)
	}
}

// TestAnOldSetSignedLater: two leaders in turn may leave a head of the old
// voters that is newer than the one by which the new ones came in. Who holds it
// must not be stuck.
func TestAnOldSetSignedLater(t *testing.T) {
	w := newHeads(t)
	c := w.add(t, w.two(t), signedBy(w.head(2, 6, 9, w.pl, w.de, w.lt), w.pl, w.de))
	c = w.add(t, c, signedBy(w.head(3, 4, 8, w.de, w.lt), w.pl, w.de, w.lt))
	if c.Rotation() != 3 || c.Newest().Seq != 6 {
		t.Fatalf("rotation %d, entry %d; want the new voters and the newer entry", c.Rotation(), c.Newest().Seq)
	}
	c = w.add(t, c, signedBy(w.head(3, 6, 10, w.de, w.lt), w.de, w.lt))
	if c.Newest().Rotation != 3 {
		t.Fatal("the new voters do not go on")
	}
}

func TestWhoMayVote(t *testing.T) {
	w := newHeads(t)
	for name, c := range map[string]struct {
		voters []identity.PublicKey
		good   bool
	}{
		"three countries": {nodeKeys(w.pl, w.de, w.lt), true},
		"a stranger":      {nodeKeys(w.pl, w.fi), false},
		"a publish key":   {[]identity.PublicKey{w.pl.Keys.Publish.Public()}, false},
	} {
		if err := registry.CheckVoters(w.s, c.voters, true); (err == nil) != c.good || err != nil && !errors.Is(err, registry.ErrHeadVoters) {
			t.Errorf("%s: %v", name, err)
		}
	}
	second := identity.KeyFromSeed(identity.RoleNode, [32]byte{5})
	nodes := append(w.de.Nodes, registry.Machine{Key: second.Public(), Voter: true})
	set := func(n []registry.Machine, fresh ...*identity.Key) *registry.State {
		st, err := registry.SignNodes(w.s.Federation(), registry.Nodes{Origin: w.de.Origin, Nodes: n}, fresh...)
		if err != nil {
			t.Fatal(err)
		}
		_, c := w.de.Sign(t, w.s, registry.KindNode, registry.SetNodes{Statement: st})
		return Apply(t, w.s, c)
	}
	if err := registry.CheckVoters(set(nodes, second), registry.SortVoters([]identity.PublicKey{second.Public(), w.de.Keys.Node.Public()}), false); !errors.Is(err, registry.ErrHeadVoters) {
		t.Errorf("two nodes of one country: %v", err)
	}
	w.de.Nodes[0].Voter = false
	silent := set(w.de.Nodes)
	if err := registry.CheckVoters(silent, nodeKeys(w.de), true); !errors.Is(err, registry.ErrHeadVoters) {
		t.Errorf("a node that has not offered to comes in: %v", err)
	}
	if err := registry.CheckVoters(silent, nodeKeys(w.de), false); err != nil {
		t.Errorf("a node that has taken its offer back, before others have come in: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	w := newHeads(t)
	h := w.two(t).Newest()
	if h.Expired(h.Confirmed().Add(registry.HeadLife)) || !h.Expired(h.Confirmed().Add(registry.HeadLife+time.Second)) {
		t.Error("a head is good for exactly 72 hours")
	}
	// An expired head is still better than none.
	w.now = Start.AddDate(1, 0, 0)
	w.two(t)
}

func TestSortAnchors(t *testing.T) {
	at := func(origin byte, epoch, n uint64) registry.Anchor {
		return registry.Anchor{Origin: identity.OriginID{origin}, Place: feed.Place{Epoch: epoch, N: n, Hash: identity.Hash{byte(n)}}}
	}
	got := registry.SortAnchors([]registry.Anchor{at(3, 1, 1), at(1, 1, 9), at(1, 2, 4), at(2, 1, 5), at(2, 1, 6)})
	want := []registry.Anchor{at(1, 2, 4), at(2, 1, 6), at(3, 1, 1)}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestGoldenHead holds the bytes of two heads, for other implementations too.
func TestGoldenHead(t *testing.T) {
	w := newHeads(t)
	first, second := w.head(1, 1, 0, w.pl), w.head(2, 3, 5, w.pl, w.de, w.lt)
	second.Feeds = registry.SortAnchors([]registry.Anchor{
		{Origin: w.pl.Origin, Place: feed.Place{Epoch: 1, N: 3, Hash: identity.Hash{3}}},
		{Origin: w.de.Origin, Place: feed.Place{Epoch: 2, N: 40, Hash: identity.Hash{40}}},
	})
	var out strings.Builder
	out.WriteString("federation " + w.s.Federation().String() + "\n")
	founder := w.pl.Keys.Node.Public()
	out.WriteString("founder " + hex.EncodeToString(founder[:]) + "\n")
	out.WriteString("head " + hex.EncodeToString(signedBy(first, w.pl)) + "\n")
	out.WriteString("head " + hex.EncodeToString(signedBy(second, w.pl, w.lt)) + "\n")
	path := filepath.Join("testdata", "head.txt")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != out.String() {
		t.Fatalf("%s holds other bytes than are made now", path)
	}
	var c registry.HeadChain
	for line := range strings.Lines(string(kept)) {
		if kind, value, _ := strings.Cut(strings.TrimSpace(line), " "); kind == "head" {
			b, err := hex.DecodeString(value)
			if err != nil {
				t.Fatal(err)
			}
			c = w.add(t, c, b)
		}
	}
	if p, ok := c.Newest().Feed(w.de.Origin); c.Rotation() != 2 || !ok || p.N != 40 {
		t.Errorf("rotation %d, Germany at %v", c.Rotation(), p)
	}
}

func FuzzHead(f *testing.F) {
	w := newHeads(f)
	one := w.add(f, registry.HeadChain{}, signedBy(w.head(1, 1, 0, w.pl), w.pl))
	f.Add(signedBy(w.head(1, 1, 0, w.pl), w.pl))
	f.Add(signedBy(w.head(2, 3, 5, w.pl, w.de, w.lt), w.pl, w.lt))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := registry.ParseHead(b)
		if err != nil {
			return
		}
		if len(b) > registry.MaxHead || len(h.Voters) > registry.MaxVoters || len(h.Feeds) > registry.MaxFeeds || !bytes.Equal(h.Envelope, b) {
			t.Fatal("a head past its limits was read")
		}
		if next, _, err := one.Add(b, w.s, w.now); err == nil && next.Newest().Seq < one.Newest().Seq {
			t.Fatal("a head took the registry back")
		}
	})
}

// BenchmarkHead verifies a head of fourteen feeds that three of five voters have
// signed.
func BenchmarkHead(b *testing.B) {
	w := newHeads(b)
	var keys []*identity.Key
	c := w.add(b, registry.HeadChain{}, signedBy(w.head(1, 1, 0, w.pl), w.pl))
	second := w.head(2, 3, 5, w.pl)
	for i := range 4 {
		keys = append(keys, identity.KeyFromSeed(identity.RoleNode, [32]byte{byte(i + 1)}))
		second.Voters = append(second.Voters, keys[i].Public())
	}
	second.Voters = registry.SortVoters(second.Voters)
	for i := range 14 {
		second.Feeds = append(second.Feeds, registry.Anchor{Origin: identity.OriginID{byte(i)}, Place: feed.Place{Epoch: 1, N: 1000, Hash: identity.Hash{1}}})
	}
	signatures := []identity.Signature{w.pl.Keys.Node.Sign(identity.TypeRegistryHead, second.Federation, second.Encode())}
	for _, k := range keys[:2] {
		signatures = append(signatures, k.Sign(identity.TypeRegistryHead, second.Federation, second.Encode()))
	}
	envelope := second.Envelope(signatures)
	for b.Loop() {
		if _, _, err := c.Add(envelope, w.s, w.now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(envelope)), "bytes")
}
