package node

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
)

func TestAcquaintances(t *testing.T) {
	dir := t.TempDir()
	if a, err := loadAcquaintances(dir); a != nil || err != nil {
		t.Fatalf("without a file: %v, %v", a, err)
	}
	key := identity.KeyFromSeed(identity.RoleNode, [32]byte{1}).Public()
	want := &acquaintances{Federation: identity.FederationID{2}, Demo: true, Nodes: []acquaintance{{key, []string{"node.example.org:7946"}}}}
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadAcquaintances(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("have %+v, %v; want %+v", got, err, want)
	}
	if p, ok := got.Peer(key.NodeID()); !ok || p.Key != key {
		t.Errorf("the node is not found by its id: %+v", p)
	}
	if _, ok := got.Peer(identity.NodeID{9}); ok {
		t.Error("a stranger is found")
	}
	if err := os.WriteFile(filepath.Join(dir, filePeers), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadAcquaintances(dir); err == nil {
		t.Error("rubbish is read")
	}
}

func FuzzAcquaintances(f *testing.F) {
	good, err := identity.Marshal(acquaintances{Nodes: []acquaintance{{identity.PublicKey{1}, []string{"a:1"}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("rubbish"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filePeers), b, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := loadAcquaintances(dir)
		if (a == nil) == (err == nil) {
			t.Fatalf("%v, %v", a, err)
		}
		if a != nil && len(a.ids()) > maxAcquaintances {
			t.Fatal("more nodes than allowed")
		}
	})
}
