package registry

import (
	"fmt"
	"slices"

	"github.com/2ps-project/waymark/federation/identity"
)

// holds reports whether a member other than that at index except has the key,
// in any role.
func (c *change) holds(k identity.PublicKey, except int) bool {
	for i, m := range c.members {
		if i != except && (slices.ContainsFunc(m.Nodes, func(n Node) bool { return n.Key == k }) ||
			slices.ContainsFunc(m.Keys, func(o Key) bool { return o.Public == k })) {
			return true
		}
	}
	return false
}

// ParseNodes reads what [SignNodes] writes. It checks form, not signatures.
func ParseNodes(statement []byte) (Nodes, error) {
	st, _, err := parseNodes(statement)
	return st, err
}

func parseNodes(statement []byte) (st Nodes, e *identity.Envelope, err error) {
	if e, err = parseStatement(statement); err != nil {
		return st, nil, err
	}
	if err := identity.Unmarshal(e.Body, &st); err != nil {
		return st, nil, fmt.Errorf("%w: nodes: %v", ErrMalformed, err)
	}
	return st, e, nil
}

func (c *change) nodes() error {
	var p SetNodes
	if err := c.payload(&p); err != nil {
		return err
	}
	st, e, err := parseNodes(p.Statement)
	if err != nil {
		return err
	}
	i, err := c.itself(st.Origin, "a member states its own nodes only")
	if err != nil {
		return err
	}
	if err := checkMachines(st.Nodes); err != nil {
		return err
	}
	m := c.members[i].clone()
	if err := c.proved(e, &m, st.Nodes); err != nil {
		return err
	}
	was, _ := m.Publisher()
	m.Nodes = nil
	for _, n := range st.Nodes {
		m.Nodes = append(m.Nodes, n.node())
	}
	want := uint64(0)
	if now, _ := m.Publisher(); now.ID != was.ID {
		m.startOver(nil)
		want = m.Epoch
	}
	if st.Epoch != want {
		return fmt.Errorf("%w: another node publishes exactly when the epoch goes up by one", ErrConflict)
	}
	c.put(i, m)
	return nil
}

// proved checks that every node key that is new to the member has signed its
// statement, and is nobody else's.
func (c *change) proved(e *identity.Envelope, m *Member, machines []Machine) error {
	var fresh []identity.PublicKey
	for _, n := range machines {
		if slices.ContainsFunc(m.Nodes, func(o Node) bool { return o.Key == n.Key }) {
			continue
		}
		if c.holds(n.Key, -1) {
			return fmt.Errorf("%w: key %s is in use already", ErrConflict, n.Key.ID())
		}
		fresh = append(fresh, n.Key)
	}
	if len(fresh) == 0 {
		if len(e.Signatures) != 0 {
			return fmt.Errorf("%w: a signature by a key that is not new", ErrUnauthorised)
		}
		return nil
	}
	return verifyAll(e, identity.TypeStatement, c.federation, fresh)
}
