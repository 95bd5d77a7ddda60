package registrytest

import (
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Fresh is another key of the member, the same for the same number.
func (m *Member) Fresh(role identity.Role, number byte) *identity.Key {
	return identity.KeyFromSeed(role, [32]byte(identity.Sum(2, []byte(m.Country), []byte(role), []byte{number})))
}

// Adding is a change of the member's keys that adds the given ones.
func (m *Member) Adding(keys ...*identity.Key) registry.KeyChange {
	ch := registry.KeyChange{Origin: m.Origin}
	for _, k := range keys {
		ch.Add = append(ch.Add, registry.NewKey{Public: k.Public(), Role: k.Role()})
	}
	return ch
}

// SetKeys is the payload for a change of keys, proved by the keys it adds.
func SetKeys(t testing.TB, s *registry.State, ch registry.KeyChange, added ...*identity.Key) registry.SetKeys {
	t.Helper()
	st, err := registry.SignKeyChange(s.Federation(), ch, added...)
	if err != nil {
		t.Fatal(err)
	}
	return registry.SetKeys{Statement: st}
}

// Head is a head of the member's feed, signed with its publish key unless other
// keys are given. Another variant is another head.
func (m *Member) Head(t testing.TB, s *registry.State, epoch, n uint64, variant byte, keys ...*identity.Key) *feed.SignedHead {
	t.Helper()
	body, err := identity.Marshal(feed.Head{
		Version: 1, Federation: s.Federation(), Origin: m.Origin, Epoch: epoch, N: n, Root: identity.Hash{variant},
		RegistrySeq: s.Seq(), Issued: feed.MinuteOf(time.Unix(s.Time(), 0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) == 0 {
		keys = []*identity.Key{m.Keys.Publish}
	}
	h, err := feed.ParseHead(identity.Sign(identity.TypeHead, s.Federation(), body, keys...).Encode())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Fork is evidence that the member has signed a number twice.
func (m *Member) Fork(t testing.TB, s *registry.State, epoch, n uint64) feed.Evidence {
	t.Helper()
	return feed.NewEvidence(m.Head(t, s, epoch, n, 1), m.Head(t, s, epoch, n, 2))
}

// Ruling makes a ruling at the time of the last entry, signed by members.
func Ruling(t testing.TB, s *registry.State, r registry.Ruling, signers ...*Member) []byte {
	t.Helper()
	if r.Reason == "" {
		r.Reason = registry.ReasonOther
	}
	r, err := registry.NewRuling(s, r, time.Unix(s.Time(), 0))
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]*identity.Key, 0, len(signers))
	for _, m := range signers {
		keys = append(keys, m.Keys.Admin)
	}
	b, err := registry.SignRuling(s.Federation(), r, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Takedown is a ruling about a record of the member, for [Ruling].
func (m *Member) Takedown(record byte) registry.Ruling {
	return registry.Ruling{Kind: registry.RulingTakedown, Origin: m.Origin, Record: feed.Key{record}}
}
