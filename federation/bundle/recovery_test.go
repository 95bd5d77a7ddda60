package bundle_test

import (
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// recoverBy lets a country's node go on with the registry as it was confirmed
// last, as these countries want it.
func (w *world) recoverBy(voter string, signers ...string) {
	w.t.Helper()
	r, err := registry.NewRecovery(w.heads, w.state, []identity.PublicKey{w.members[voter].Keys.Node.Public()}, w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	var keys []*identity.Key
	for _, c := range signers {
		keys = append(keys, w.members[c].Keys.Admin)
	}
	signed, err := registry.SignRecovery(r, keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := r.First(signed, nil, w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.take(voter, h)
}

// take has a country's node sign a head, alone.
func (w *world) take(voter string, h registry.Head) {
	w.t.Helper()
	signature := w.members[voter].Keys.Node.Sign(identity.TypeRegistryHead, h.Federation, h.Encode())
	next, _, err := w.heads.Add(h.Envelope([]identity.Signature{signature}), w.state, w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.heads = next
}

// TestRecovered: a bundle brings a registry that the members have recovered, and
// what came after, to a node that has heard nothing of that and to a new one.
func TestRecovered(t *testing.T) {
	w := three(t)
	w.confirm("DE", "LT", "PL")
	behind := newReplica(t, w.at)
	behind.mustTake(w.export(nil))

	w.recoverBy("DE", "DE", "PL")
	w.command(w.founder.Invite(t, w.state, "FI"))
	h := w.heads.Newest().Head
	h.Recovery, h.Seq, h.Hash = nil, w.state.Seq(), w.state.Hash()
	h.Issued++
	h.Expires++
	w.take("DE", h)
	file := w.export(nil)

	for name, r := range map[string]*replica{"behind": behind, "new": newReplica(t, w.at)} {
		r.at = w.at
		newEntries := w.state.Seq() - uint64(len(r.chain))
		report, err := r.take(file, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if report.RegistryReason != "" || report.NewEntries != newEntries || r.state.Hash() != w.state.Hash() {
			t.Errorf("%s: %d new entries, want %d: %q", name, report.NewEntries, newEntries, report.RegistryReason)
		}
		if r.heads.Branch() != w.heads.Branch() || r.heads.Newest().Seq != w.state.Seq() {
			t.Errorf("%s: generation %d, entry %d", name, r.heads.Branch().Generation, r.heads.Newest().Seq)
		}
	}
}
