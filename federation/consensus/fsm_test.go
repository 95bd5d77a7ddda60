package consensus

// These tests stand inside the package: what raft hands to the state machine
// cannot be forged from outside.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

func machine(t testing.TB, entries ...[]byte) (*fsm, *error) {
	t.Helper()
	chain := new(MemoryChain)
	for i, b := range entries {
		if err := chain.Append(uint64(i)+1, b); err != nil {
			t.Fatal(err)
		}
	}
	l, err := newLedger(chain, identity.FederationID{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &Keeper{Options: Options{Chain: chain, Logger: slog.New(slog.DiscardHandler)}, ledger: l, poke: make(chan struct{}, 1), fatal: make(chan error, 1)}
	halted := new(error)
	return &fsm{k: k, ctx: context.Background(), halt: func(err error) { *halted = err }}, halted
}

func logged(t testing.TB, seq uint64, before identity.Hash, entry []byte) *raft.Log {
	t.Helper()
	data, err := identity.Marshal(ordered{seq, before, entry})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return &raft.Log{Data: data, Extensions: sum[:]}
}

// TestAFalseLeader has the state machine apply what a leader that lies orders.
func TestAFalseLeader(t *testing.T) {
	pl := registrytest.New(t, "PL")
	g, s := pl.Found(t)
	good := registry.Entry{Time: s.Time() + 1, Command: pl.Invite(t, s, "DE")}.Encode()
	other := registry.Entry{Time: s.Time() + 2, Command: pl.Invite(t, s, "LT")}.Encode()
	_, unsigned, _ := registry.ParseCommand(pl.Invite(t, s, "FI"))
	unsigned.Signatures = nil
	tomorrow := registry.Command{Version: 1, Federation: s.Federation(), Kind: "takedown", ID: registry.ID{1}, Base: 1}
	newer, err := tomorrow.Sign(pl.Keys.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		log  *raft.Log
		want error // of the entry
		halt error // raft has to stop here
	}{
		"a place far ahead":           {logged(t, 9, s.Hash(), good), errGap, nil},
		"a good entry":                {logged(t, 2, s.Hash(), good), nil, nil},
		"an entry that is there":      {logged(t, 1, identity.Hash{}, g.Encode()), nil, nil},
		"another genesis":             {logged(t, 1, identity.Hash{}, other), ErrSplit, nil},
		"no place":                    {logged(t, 0, identity.Hash{}, other), registry.ErrMalformed, nil},
		"after another registry":      {logged(t, 2, identity.Hash{1}, good), errSuperseded, nil},
		"unsigned":                    {logged(t, 2, s.Hash(), registry.Entry{Time: s.Time(), Command: unsigned.Encode()}.Encode()), registry.ErrUnauthorised, nil},
		"by a stranger":               {logged(t, 2, s.Hash(), registry.Entry{Time: s.Time(), Command: registrytest.New(t, "XX").Invite(t, s, "FI")}.Encode()), registry.ErrUnauthorised, nil},
		"noise for an entry":          {logged(t, 2, s.Hash(), []byte("noise")), registry.ErrMalformed, nil},
		"a damaged log":               {&raft.Log{Data: []byte("x"), Extensions: make([]byte, 32)}, errDamaged, errDamaged},
		"a log without checksum":      {&raft.Log{Data: []byte("x")}, errDamaged, errDamaged},
		"a member's new kind of word": {logged(t, 2, s.Hash(), registry.Entry{Time: s.Time(), Command: newer}.Encode()), registry.ErrUnknownKind, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, halted := machine(t, g.Encode())
			f.next = 2 // the log has led here
			r := f.Apply(c.log).(result)
			if !errors.Is(r.err, c.want) || (c.want == nil) != (r.err == nil) {
				t.Errorf("got %v, want %v", r.err, c.want)
			}
			if !errors.Is(*halted, c.halt) {
				t.Errorf("halted by %v, want %v", *halted, c.halt)
			}
			if c.want != nil && (f.k.State().Seq() != 1 || f.k.State().Hash() != s.Hash()) {
				t.Errorf("the registry changed: entry %d", f.k.State().Seq())
			}
			if c.halt != nil {
				if f.Apply(logged(t, 2, s.Hash(), good)); f.k.State().Seq() != 1 {
					t.Error("it went on after it had to stop")
				}
			}
		})
	}
}

func TestTwoEntriesForOnePlace(t *testing.T) {
	pl := registrytest.New(t, "PL")
	g, s := pl.Found(t)
	first := registry.Entry{Time: s.Time(), Command: pl.Invite(t, s, "DE")}.Encode()
	second := registry.Entry{Time: s.Time(), Command: pl.Invite(t, s, "LT")}.Encode()
	f, _ := machine(t, g.Encode())
	for range 2 { // as committed, and replayed after a restart
		if r := f.Apply(logged(t, 2, s.Hash(), first)).(result); r.err != nil {
			t.Fatal(r.err)
		}
		if r := f.Apply(logged(t, 2, s.Hash(), second)).(result); !errors.Is(r.err, errSuperseded) {
			t.Fatalf("the second for entry 2: %v", r.err)
		}
	}
	if f.k.State().Seq() != 2 {
		t.Fatalf("entry %d", f.k.State().Seq())
	}
}

func TestSnapshots(t *testing.T) {
	pl := registrytest.New(t, "PL")
	g, s := pl.Found(t)
	entries := [][]byte{g.Encode()}
	for range 300 { // given out and withdrawn: more than one read of the chain
		id := registry.NewID()
		_, c := pl.Sign(t, s, registry.KindInvite, registry.Invite{ID: id, Country: "DE", SecretHash: [32]byte{1}, Expires: s.Time() + 60})
		add := func(command []byte) {
			e := registry.Entry{Time: s.Time() + 1, Command: command}
			s, entries = registrytest.Apply(t, s, command), append(entries, e.Encode())
		}
		add(c)
		_, c = pl.Sign(t, s, registry.KindCancel, registry.Cancel{Invitation: id})
		add(c)
	}
	from, _ := machine(t, entries...)
	snap, err := from.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	sink := new(memorySink)
	if err := snap.Persist(sink); err != nil {
		t.Fatal(err)
	}
	for name, have := range map[string][][]byte{"nothing": nil, "a part": entries[:7], "all": entries} {
		to, _ := machine(t, have...)
		if err := to.Restore(io.NopCloser(bytes.NewReader(sink.Bytes()))); err != nil {
			t.Fatalf("over %s: %v", name, err)
		}
		if !bytes.Equal(to.k.State().Encode(), s.Encode()) {
			t.Fatalf("over %s: another state came out", name)
		}
	}
	bad := bytes.Clone(sink.Bytes())
	bad[len(bad)-10] ^= 1
	to, _ := machine(t)
	if err := to.Restore(io.NopCloser(bytes.NewReader(bad))); err == nil {
		t.Fatal("a snapshot with one bit changed was restored")
	}
	if err := to.Restore(io.NopCloser(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}))); !errors.Is(err, registry.ErrMalformed) {
		t.Fatalf("a snapshot with a huge length: %v", err)
	}
}

type memorySink struct{ bytes.Buffer }

func (*memorySink) ID() string    { return "memory" }
func (*memorySink) Cancel() error { return nil }
func (*memorySink) Close() error  { return nil }

func FuzzRestore(f *testing.F) {
	pl := registrytest.New(f, "PL")
	g, _ := pl.Found(f)
	m, _ := machine(f, g.Encode())
	snap, err := m.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	sink := new(memorySink)
	if err := snap.Persist(sink); err != nil {
		f.Fatal(err)
	}
	f.Add(sink.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		to, _ := machine(t)
		if err := to.Restore(io.NopCloser(bytes.NewReader(b))); err == nil && len(b) > 0 && to.k.State() == nil {
			t.Fatal("something was restored into nothing")
		}
	})
}

func FuzzOrdered(f *testing.F) {
	pl := registrytest.New(f, "PL")
	g, s := pl.Found(f)
	f.Add(logged(f, 2, s.Hash(), registry.Entry{Time: s.Time(), Command: pl.Invite(f, s, "DE")}.Encode()).Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var o ordered
		if identity.Unmarshal(data, &o) == nil && o.Seq > 2 {
			return // waits for entries that nobody has
		}
		m, _ := machine(t, g.Encode())
		sum := sha256.Sum256(data)
		r := m.Apply(&raft.Log{Data: data, Extensions: sum[:]}).(result)
		if r.err != nil && m.k.State().Seq() != 1 {
			t.Fatal("a refused entry was taken")
		}
	})
}

// FuzzEntry: an entry that raft may hear is one that raft can keep and read
// again, whatever a hostile leader makes of it.
func FuzzEntry(f *testing.F) {
	id := registrytest.New(f, "PL").Node()
	servers := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(id.String() + "/01234567"), Address: address(id)}}}
	f.Add(uint8(raft.LogConfiguration), raft.EncodeConfiguration(servers), []byte(nil))
	f.Add(uint8(raft.LogConfiguration), raft.EncodeConfiguration(raft.Configuration{}), []byte(nil))
	f.Add(uint8(raft.LogConfiguration), bytes.Repeat([]byte{0xdf, 0xff}, 8), []byte(nil))
	f.Add(uint8(raft.LogNoop), []byte(nil), []byte(nil))
	good := logged(f, 1, identity.Hash{}, []byte("entry"))
	f.Add(uint8(good.Type), good.Data, good.Extensions)
	f.Fuzz(func(t *testing.T, kind uint8, data, extensions []byte) {
		if checkEntry(&raft.Log{Type: raft.LogType(kind), Data: data, Extensions: extensions}) != nil {
			return
		}
		if raft.LogType(kind) == raft.LogConfiguration && len(raft.DecodeConfiguration(data).Servers) == 0 {
			t.Error("a configuration without servers is heard")
		}
	})
}
