package node

import (
	"github.com/2ps-project/waymark/federation/replication"
	"github.com/2ps-project/waymark/node/control"
)

// Admin is the node as its administrator uses it, without the socket.
func (n *Node) Admin() control.Node { return (*admin)(n) }

// URL is where the public pages are, without a slash at the end.
func (n *Node) URL() string {
	if u := n.o.Config.Public.URL; u != "" {
		return u
	}
	return "http://" + n.public.Addr().String()
}

// Traffic is what feeds cost on the network since the start, by call: bytes of
// bodies as they travel. It is empty before the node is admitted.
func (n *Node) Traffic() map[string]replication.Traffic {
	out := make(map[string]replication.Traffic)
	r := n.replicator.Load()
	if r == nil {
		return out
	}
	s := r.Stats()
	for call, t := range s.Asked {
		out["asked "+call] = t
	}
	for call, t := range s.Served {
		out["served "+call] = t
	}
	return out
}
