package node

import "github.com/2ps-project/waymark/node/control"

// Admin is the node as its administrator uses it, without the socket.
func (n *Node) Admin() control.Node { return (*admin)(n) }

// URL is where the public pages are, without a slash at the end.
func (n *Node) URL() string {
	if u := n.o.Config.Public.URL; u != "" {
		return u
	}
	return "http://" + n.public.Addr().String()
}
