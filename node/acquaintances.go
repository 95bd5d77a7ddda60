package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/transport"
	"github.com/2ps-project/waymark/node/control"
)

// acquaintances are the federation and the nodes that the registry named last,
// kept outside the database: a node that lost its database finds the others by
// them, proves itself with its keys, and fetches everything back.
type acquaintances struct {
	Federation identity.FederationID `cbor:"1,keyasint"`
	Demo       bool                  `cbor:"2,keyasint,omitempty"`
	Nodes      []acquaintance        `cbor:"3,keyasint"`
	// Asked is as what a further machine of a country has asked for its place (see
	// [enroll.MachineRequest]); empty on a node that has had one.
	Asked string `cbor:"4,keyasint,omitempty"`
}

type acquaintance struct {
	Key       identity.PublicKey `cbor:"1,keyasint"`
	Endpoints []string           `cbor:"2,keyasint"`
}

// Limits of the file of acquaintances.
const (
	maxAcquaintances = 256
	maxPeersFile     = 1 << 20
)

// acquainted lists the other nodes of the registry that can be called.
func acquainted(s *registry.State, self identity.NodeID) acquaintances {
	out := acquaintances{Federation: s.Federation(), Demo: s.Demo()}
	for _, m := range s.Members() {
		for _, node := range m.Nodes {
			if m.Active() && node.ID != self && len(node.Endpoints) > 0 && len(out.Nodes) < maxAcquaintances {
				out.Nodes = append(out.Nodes, acquaintance{node.Key, node.Endpoints})
			}
		}
	}
	return out
}

// loadAcquaintances reads the file; nil when there is none.
func loadAcquaintances(dir string) (*acquaintances, error) {
	path := filepath.Join(dir, filePeers)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && len(b) > maxPeersFile {
		err = fmt.Errorf("it has %d bytes", len(b))
	}
	a := new(acquaintances)
	if err == nil {
		err = identity.Unmarshal(b, a)
	}
	if err == nil && len(a.Nodes) > maxAcquaintances {
		err = fmt.Errorf("it names %d nodes", len(a.Nodes))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; it is only a help: remove it if the node does not start", path, err)
	}
	return a, nil
}

func (a *acquaintances) save(dir string) error {
	b, err := identity.Marshal(a)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, filePeers)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return durable.Write(path, b)
}

// ids names the nodes.
func (a *acquaintances) ids() []identity.NodeID {
	out := make([]identity.NodeID, 0, len(a.Nodes))
	for _, node := range a.Nodes {
		out = append(out, node.Key.NodeID())
	}
	return out
}

// Peer implements [transport.Directory].
func (a *acquaintances) Peer(id identity.NodeID) (transport.Peer, bool) {
	for _, node := range a.Nodes {
		if node.Key.NodeID() == id {
			return transport.Peer{ID: id, Key: node.Key, Endpoints: node.Endpoints}, true
		}
	}
	return transport.Peer{}, false
}

// lostRegistryPoll is how often the others are asked while the registry is lost.
const lostRegistryPoll = 10 * time.Second

// errDataLost is what a member's node says while its registry is gone.
var errDataLost = &control.Error{
	Class: control.Degraded, Code: "data_lost",
	Message: "This node was a member of a federation, and its data is gone.",
	Next:    "Leave the node connected: it fetches the registry and all listings back from the others; then try again.",
}

// outside is why this node can do nothing although it knows its federation: the
// registry that named it is lost here, or does not name it yet; nil else.
func (n *Node) outside() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.known == nil:
		return nil
	case n.known.Asked != "":
		return errWaits(n.known.Asked)
	}
	return errDataLost
}
