package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/transport"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/store"
)

// How often a node that waits asks whether it was admitted: often at first, while
// people have it before them, and then less and less.
const (
	joinPoll    = 2 * time.Second
	joinPollMax = 30 * time.Second
)

// joinPause is the pause between two questions when it has waited for so long.
func joinPause(waited time.Duration) time.Duration {
	return min(max(waited/60, joinPoll), joinPollMax)
}

// carriedPoll is how often a node looks whether there is a connection after all.
const carriedPoll = time.Minute

// loadJoin reads how far joining has got; nil when no join is under way.
func loadJoin(dir string) (*enroll.JoinState, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileJoin))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far joining has got: %w", err)
	}
	return enroll.UnmarshalJoinState(b)
}

func saveJoin(dir string, j *enroll.JoinState) error {
	b, err := j.Marshal()
	if err == nil {
		err = durable.Write(filepath.Join(dir, fileJoin), b)
	}
	if err != nil {
		return fmt.Errorf("keep how far joining has got: %w", err)
	}
	return nil
}

// joiner is what knocks for a node.
type joiner struct {
	dir  string
	c    config.Config
	keys keyring
	dial enroll.Dial
	now  func() time.Time
}

func (j joiner) newcomer() (*enroll.Newcomer, error) {
	who, err := enroll.NewCandidate(j.c.Country, j.c.Operator, j.c.OperatorType, identity.NewOriginID(), j.keys.registry(), j.keys.seal, j.c.Federation.Advertise, j.c.Federation.Voter)
	if err != nil {
		return nil, err
	}
	return &enroll.Newcomer{Candidate: who, Keys: j.keys.registry(), Version: Version(), Dial: j.dial, Now: j.now}, nil
}

// knock asks for admission, or asks how it stands when this invitation was used
// for a knock before.
func (j joiner) knock(ctx context.Context, invitation string) (*enroll.JoinState, error) {
	n, err := j.newcomer()
	if err != nil {
		return nil, err
	}
	inv, err := enroll.Parse(invitation)
	if err != nil {
		return nil, err
	}
	before, err := loadJoin(j.dir)
	if err != nil {
		return nil, err
	}
	if before != nil && usedBy(before, inv) {
		_, err := n.Ask(ctx, before)
		if err == nil {
			return before, saveJoin(j.dir, before)
		}
		if !anew(err) {
			return nil, err
		}
	}
	state, err := n.Knock(ctx, inv)
	if err != nil {
		return nil, err
	}
	return state, saveJoin(j.dir, state)
}

// usedBy reports whether a join under way began with this invitation.
func usedBy(j *enroll.JoinState, inv *enroll.Invitation) bool {
	used, err := enroll.Parse(string(j.Invitation))
	return err == nil && used.ID() == inv.ID()
}

// anew reports whether the same invitation may be used for another knock, with new
// numbers: the one before was dropped, or never arrived.
func anew(err error) bool {
	for _, code := range []enroll.Code{enroll.Unknown, enroll.Numbers, enroll.Late} {
		if errors.Is(err, &enroll.Refusal{Code: code}) {
			return true
		}
	}
	return false
}

func joined(j *enroll.JoinState) control.Joined {
	out := control.Joined{
		Federation: j.Name, FederationID: j.Federation.String(), Demo: j.Demo, Sponsor: j.Sponsor, Admitted: j.Answer.Standing == enroll.Admitted,
		Approvals: j.Answer.Approvals, Needed: j.Answer.Needed, Objections: j.Answer.Objection,
	}
	copy(out.Numbers[:], strings.Fields(j.Numbers))
	return out
}

// Join knocks for the stopped node in dir.
func Join(ctx context.Context, dir string, c config.Config, invitation string) (control.Joined, error) {
	keys, err := loadKeys(dir)
	if err != nil {
		return control.Joined{}, err
	}
	if s, err := registryOf(dir, c); err != nil {
		return control.Joined{}, running(dir, err)
	} else if s != nil {
		if _, m, ok := s.Node(keys.node.Public().NodeID()); ok {
			if j, ok := cameInBy(s, m, invitation); ok {
				return j, nil
			}
		}
		return control.Joined{}, errMember(dir)
	}
	t, err := transport.New(transport.Options{Key: keys.node, Listener: closed{}, Directory: nobody{}})
	if err != nil {
		return control.Joined{}, err
	}
	j := joiner{dir: dir, c: c, keys: keys, dial: t.DialJoin, now: time.Now}
	state, err := j.knock(ctx, invitation)
	if err != nil {
		return control.Joined{}, explainJoin(err)
	}
	return joined(state), nil
}

// closed is the listener of a process that only calls.
type closed struct{}

func (closed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (closed) Close() error              { return nil }
func (closed) Addr() net.Addr            { return &net.TCPAddr{} }

// nobody is the directory of a node without a federation.
type nobody struct{}

func (nobody) Peer(identity.NodeID) (transport.Peer, bool) { return transport.Peer{}, false }

func errMember(dir string) error {
	return &control.Error{Class: control.Refused, Code: "already_member", Message: "This node belongs to a federation already.",
		Next: fmt.Sprintf("Look at it with: waymark status --dir %s", dir)}
}

func errOtherFederation(dir string) error {
	return &control.Error{Class: control.Failed, Code: "restart", Message: "The request is made, but this node was waiting for another federation before.",
		Next: fmt.Sprintf("Stop it and start it again: waymark serve --dir %s", dir)}
}

// running says what to do when another process has the data open.
func running(dir string, err error) error {
	if errors.Is(err, store.ErrInUse) {
		return &control.Error{Class: control.Failed, Code: "running", Message: fmt.Sprintf("The node in %s is running.", dir), Next: "Stop it first, then do this again."}
	}
	return err
}

// explainJoin turns a refusal into an error for a person.
func explainJoin(err error) error {
	var r *enroll.Refusal
	if !errors.As(err, &r) {
		return err
	}
	class := control.Refused
	switch r.Code {
	case enroll.Typo, enroll.NoInvitation, enroll.NoRequest, enroll.NeedsFile, enroll.NoTicket, enroll.NoMachine, enroll.OtherSheet, enroll.OtherKey:
		class = control.Usage
	case enroll.Unreachable, enroll.NotReady, enroll.Clock:
		class = control.Failed
	}
	return &control.Error{Class: class, Code: string(r.Code), Message: r.Text, Next: r.Next}
}

// resume continues where the node was: in its federation, or on its way in.
func (n *Node) resume() error {
	chain := n.store.Chain()
	last, err := chain.Last()
	if err != nil {
		return err
	}
	if last > 0 {
		entries, err := chain.Entries(1, 1)
		if err != nil {
			return err
		}
		genesis, err := registry.Replay(entries)
		if err != nil {
			return fmt.Errorf("the registry here cannot be read: %w", err)
		}
		_, founder, ok := genesis.Node(n.id)
		if err := n.openKeeper(genesis.Federation(), nil, ok && founder.Origin == genesis.Founder()); err != nil {
			return err
		}
		if _, in := n.self(); in {
			_ = os.Remove(filepath.Join(n.o.Dir, fileJoin)) // left by a crash after admission
			n.wasMember = true
			close(n.joining)
			return nil
		}
		if _, suspended := n.silenced(); suspended { // nothing is lost; the others may lift it
			n.wasMember = true
			close(n.joining)
			return nil
		}
	}
	j, err := loadJoin(n.o.Dir)
	if err != nil {
		return err
	}
	if j != nil {
		return n.await(j)
	}
	return n.returning(last)
}

// returning finds the others again after the database was lost.
func (n *Node) returning(last uint64) error {
	known, err := loadAcquaintances(n.o.Dir)
	if err != nil || known == nil {
		return err
	}
	n.known = known
	if len(known.Nodes) == 0 {
		return nil // nobody has a copy; status says so
	}
	if known.Asked == "" {
		n.o.Logger.Warn("the registry is missing here; it is fetched back from the other nodes", "entries", last)
	}
	if n.keeper.Load() == nil {
		if err := n.openKeeper(known.Federation, known.ids(), false); err != nil {
			return err
		}
	}
	close(n.joining)
	return nil
}

// await takes up a join that is under way.
func (n *Node) await(j *enroll.JoinState) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.join = j
	if n.keeper.Load() != nil {
		return nil
	}
	if err := n.openKeeper(j.Federation, j.Nodes(), false); err != nil {
		return err
	}
	close(n.joining)
	return nil
}

func (n *Node) joiner() joiner {
	return joiner{dir: n.o.Dir, c: n.o.Config, keys: n.keys(), dial: n.transport.DialJoin, now: n.o.Now}
}

// askToJoin asks in one way or another, and waits from then on for the answer.
func (n *Node) askToJoin(ask func(joiner) (*enroll.JoinState, error)) (*enroll.JoinState, error) {
	if _, in := n.self(); in {
		return nil, errMember(n.o.Dir)
	}
	state, err := ask(n.joiner())
	if err != nil {
		return nil, explainJoin(err)
	}
	if k := n.keeper.Load(); k != nil && k.Options.Federation != state.Federation {
		return nil, errOtherFederation(n.o.Dir)
	}
	return state, n.await(state)
}

// Join implements [control.Node].
func (a *admin) Join(ctx context.Context, invitation string, wait bool) (control.Joined, error) {
	n := (*Node)(a)
	if m, in := n.self(); in {
		if j, ok := cameInBy(n.state(), m, invitation); ok {
			return j, nil // it was quicker than whoever waits for it
		}
	}
	state, err := n.askToJoin(func(j joiner) (*enroll.JoinState, error) { return j.knock(ctx, invitation) })
	if err != nil {
		return control.Joined{}, err
	}
	out := joined(state)
	if wait {
		if _, err := n.admitted(ctx); err != nil {
			return out, err
		}
		out.Admitted = true
	}
	return out, nil
}

// cameInBy is how a member stands that is one by this invitation; false when it came
// in by another one. There is nothing to compare any more.
func cameInBy(s *registry.State, m registry.Member, invitation string) (control.Joined, bool) {
	i, err := enroll.Parse(invitation)
	if err != nil || i.Federation != s.Federation() {
		return control.Joined{}, false
	}
	known, ok := s.Invitation(i.ID())
	if !ok || known.Status != registry.InvitationUsed || known.Country != m.Country {
		return control.Joined{}, false
	}
	sponsor, _ := s.MemberByOrigin(known.Sponsor)
	return control.Joined{Federation: s.Name(), FederationID: s.Federation().String(), Demo: s.Demo(), Sponsor: sponsor.Country, Admitted: true}, true
}

// runJoin asks how a knock stands until the registry names this node.
func (n *Node) runJoin(ctx context.Context) error {
	tick := time.NewTicker(joinPoll)
	defer tick.Stop()
	var asked time.Time
	began := time.Now()
	for {
		changed := n.keeper.Load().Changed()
		if _, in := n.self(); in {
			n.mu.Lock()
			n.join, n.known = nil, nil
			n.mu.Unlock()
			_ = os.Remove(filepath.Join(n.o.Dir, fileJoin))
			return nil
		}
		n.mu.Lock()
		j, poll := n.join, lostRegistryPoll
		if n.known != nil && n.known.Asked != "" {
			poll = joinPoll // somebody is waiting in front of it
		}
		n.mu.Unlock()
		// A request that is carried has no connection to ask over, most likely.
		carried := j != nil && len(j.Request) > 0
		pause := joinPause(time.Since(began))
		switch {
		case j != nil && j.Answer.Standing == enroll.Admitted:
			pause = joinPoll // only the registry has to come
		case carried:
			pause = carriedPoll
		}
		if j != nil && j.Answer.Standing != enroll.Refused && time.Since(asked) >= pause-joinPoll/2 {
			asked = time.Now()
			n.ask(ctx, *j)
		}
		if j == nil && time.Since(asked) >= poll {
			asked = time.Now()
			n.keeper.Load().Poke()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

func (n *Node) ask(ctx context.Context, j enroll.JoinState) {
	if j.Answer.Standing != enroll.Admitted {
		newcomer, err := n.joiner().newcomer()
		if err == nil {
			_, err = newcomer.Ask(ctx, &j)
		}
		if err != nil && ctx.Err() == nil {
			n.o.Logger.Info("still waiting to be admitted", "err", err)
		}
		if err != nil && len(j.Request) > 0 {
			j.Answer.Standing = enroll.Waiting // the file may not have arrived yet
		}
		n.mu.Lock()
		n.join = &j
		n.mu.Unlock()
	}
	if j.Answer.Standing == enroll.Admitted {
		n.keeper.Load().Poke() // the registry comes from those who took the knock
	}
}

// runAdmissions takes the knocks of those whom this country invited.
func (n *Node) runAdmissions(ctx context.Context) error {
	s, err := enroll.New(enroll.Options{
		Registry: n.keeper.Load(), Admin: func() *identity.Key { return n.keys().admin }, Seal: n.keys().seal, Node: n.id,
		Listener: n.transport.Accept(transport.ProtoJoin), Store: n.invitations, Logger: n.o.Logger, Now: n.o.Now,
	})
	if err != nil {
		return err
	}
	n.admissions.Store(s)
	return s.Run(ctx)
}

// discard is a logger that says nothing.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
