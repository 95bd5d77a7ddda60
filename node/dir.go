package node

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// What lies in a node's directory besides its configuration and its socket.
const (
	dirKeys   = "keys"          // private keys, one file each
	dirStore  = "store"         // the database
	dirIndex  = "index"         // the search index, a cache of the database
	fileGuard = "publish.guard" // the last head that may have been seen; see feed.Guard
	filePeers = "peers"         // the federation's nodes, for a node that lost its database
	fileJoin  = "joining"       // how far joining has got; gone once admitted

	fileMachine = "machine.request" // what a further machine of a country asks for; gone once it is let in

	dirInvitations = "invitations" // given out, and the knocks that came
)

// keyring is a node's private keys.
type keyring struct {
	admin, publish, node *identity.Key
	seal                 *identity.SealKey
}

// registry is the part that signs for a member.
func (k keyring) registry() registry.Keys {
	return registry.Keys{Admin: k.admin, Publish: k.publish, Node: k.node}
}

func loadKeys(dir string) (k keyring, err error) {
	at := func(role identity.Role) string { return filepath.Join(dir, dirKeys, string(role)+".key") }
	load := func(role identity.Role) *identity.Key {
		key, lerr := identity.LoadKey(at(role), role)
		err = errors.Join(err, lerr)
		return key
	}
	k.admin, k.publish, k.node = load(identity.RoleAdmin), load(identity.RolePublish), load(identity.RoleNode)
	seal, serr := identity.LoadSealKey(at(identity.RoleSeal))
	k.seal = seal
	if err = errors.Join(err, serr); err != nil {
		return k, fmt.Errorf("the node's keys cannot be read; restore %s from its copy: %w", filepath.Join(dir, dirKeys), err)
	}
	return k, nil
}
