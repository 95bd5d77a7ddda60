package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Errors of recoveries, besides those of package registry.
var (
	// ErrQuorum: a majority of the voters answers; there is nothing to recover.
	ErrQuorum = errors.New("the voters can agree, so the registry is not recovered")
	// ErrPlan: what is known has changed since the recovery was planned; a new
	// one has to be planned and signed.
	ErrPlan = errors.New("the recovery does not fit the registry as it is now")
)

// Plan is what a recovery would do, as seen from one node.
type Plan struct {
	// Refused is why it cannot be done, or nil. It wraps ErrQuorum, ErrPlan or
	// registry.ErrRecovery; the rest of the plan is filled as far as possible.
	Refused error
	// Recovery is what the members sign. Its first voter begins.
	Recovery registry.Recovery
	// Members is how many are active, and Needed how many of them must sign.
	Members, Needed int
	// OldVoters are those that the newest head names; Answering of them take
	// part in the quorum.
	OldVoters []identity.NodeID
	Answering int
	// Confirmed is the head that the registry goes on from; nil when none is
	// known.
	Confirmed *registry.SignedHead
	// Nodes are the nodes of all active members.
	Nodes []PlanNode
	// Superseded are the commands after the last entry that stays, as far as
	// this node has them: they would have to be proposed again.
	Superseded [][]byte
}

// PlanNode is one node of an active member.
type PlanNode struct {
	Node     identity.NodeID
	Country  string
	Answers  bool
	Seq      uint64 // the last entry that it has; 0 when it does not answer
	Voting   bool   // it takes part in the quorum
	MayVote  bool   // it has offered to
	OldVoter bool   // the newest head names it
	NewVoter bool   // the recovery names it
}

// PlanRecovery finds out what a recovery would do and whether it may be done. It
// changes nothing but that it takes the newest head of the registry that any
// node shows. It fails when there is no registry here.
func (k *Keeper) PlanRecovery(ctx context.Context) (Plan, error) {
	var p Plan
	if k.State() == nil {
		return p, fmt.Errorf("%w: there is no registry here", registry.ErrRecovery)
	}
	k.catchUp(ctx)
	s, known := k.State(), k.heads.chain()
	var quorum bool
	p.Nodes, quorum = k.survey(ctx, s)
	p.Confirmed = known.Newest()
	if p.Confirmed == nil {
		p.Refused = fmt.Errorf("%w: the voters have never stood by it, so nobody can tell where it ends. The founder's node can begin again from its backup", registry.ErrRecovery)
		return p, nil
	}
	p.OldVoters = p.Confirmed.VoterIDs()
	furthest := uint64(0)
	for i := range p.Nodes {
		n := &p.Nodes[i]
		n.OldVoter = slices.Contains(p.OldVoters, n.Node)
		if n.OldVoter && n.Voting {
			p.Answering++
		}
		furthest = max(furthest, n.Seq)
	}
	at, err := k.ledger.past(p.Confirmed.Seq)
	if err != nil {
		return p, err
	}
	for _, m := range at.Members() {
		p.Members += order(m.Active())
	}
	p.Needed = registry.Majority(p.Members)
	if err := k.left(&p, s); err != nil {
		return p, err
	}
	switch {
	case p.Answering >= registry.Majority(len(p.OldVoters)):
		p.Refused = fmt.Errorf("%w: %d of %d answer, and they elect a leader by themselves", ErrQuorum, p.Answering, len(p.OldVoters))
		return p, nil
	case quorum:
		p.Refused = fmt.Errorf("%w: a voter that answers follows a leader. If that one is gone, this is known in some seconds", ErrQuorum)
		return p, nil
	}
	voters := p.choose(k.id, at)
	if len(voters) == 0 {
		p.Refused = fmt.Errorf("%w: no node that answers has offered to be a voter", registry.ErrRecovery)
		return p, nil
	}
	p.Recovery, p.Refused = registry.NewRecovery(known, at, voters, k.Now())
	return p, nil
}

// left lists the commands that would be left behind.
func (k *Keeper) left(p *Plan, s *registry.State) error {
	for seq := p.Confirmed.Seq + 1; seq <= s.Seq(); seq++ {
		list, err := k.Chain.Entries(seq, 1)
		if err != nil || len(list) != 1 {
			return fmt.Errorf("%w: read entry %d: %v", ErrStorage, seq, err)
		}
		e, err := registry.ParseEntry(list[0])
		if err != nil {
			return err
		}
		p.Superseded = append(p.Superseded, e.Command)
	}
	return nil
}

// choose takes one node of each country that answers and has offered to vote:
// this one first, then those that voted, as many as the policy allows, an odd
// number. It marks them.
func (p *Plan) choose(self identity.NodeID, at *registry.State) []identity.PublicKey {
	var keys []identity.PublicKey
	countries := map[string]bool{}
	ranked := make([]*PlanNode, 0, len(p.Nodes))
	for i := range p.Nodes {
		ranked = append(ranked, &p.Nodes[i])
	}
	slices.SortStableFunc(ranked, func(a, b *PlanNode) int {
		rank := func(n *PlanNode) int { return 2*order(n.Node == self) + order(n.OldVoter) }
		return rank(b) - rank(a)
	})
	var chosen []*PlanNode
	for _, n := range ranked {
		known, _, ok := at.Node(n.Node)
		if ok && n.Answers && known.VoterOptIn && !countries[n.Country] {
			countries[n.Country] = true
			chosen, keys = append(chosen, n), append(keys, known.Key)
		}
	}
	n := min(len(keys), 5, max(1, int(at.Policy().Voters)))
	if n%2 == 0 && n > 0 {
		n--
	}
	for _, c := range chosen[:n] {
		c.NewVoter = true
	}
	return keys[:n]
}

// catchUp takes the newest head that any node shows, with its entries.
func (k *Keeper) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var asking sync.WaitGroup
	for _, id := range k.peers() {
		asking.Go(func() {
			a, err := k.ask(ctx, id, 0)
			if err == nil && len(a.Head) > 0 && !k.holds(a.Head) {
				err = k.take(ctx, peerSource{k, id}, 0, nil, a.Head)
			}
			if err != nil {
				k.Logger.Debug("a node gave no head of the registry", "node", id, "error", err)
			}
		})
	}
	asking.Wait()
}

// survey asks the nodes of all active members how they are. It reports whether
// any voter has a leader, or has not given it up yet.
func (k *Keeper) survey(ctx context.Context, s *registry.State) ([]PlanNode, bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var nodes []PlanNode
	for _, m := range s.Members() {
		for _, n := range m.Nodes {
			if m.Active() {
				nodes = append(nodes, PlanNode{Node: n.ID, Country: m.Country, MayVote: n.VoterOptIn})
			}
		}
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	quorum := false
	for i := range nodes {
		n := &nodes[i]
		if n.Node == k.id {
			st := k.Status()
			n.Answers, n.Seq, n.Voting = true, s.Seq(), st.Voting
			mu.Lock()
			quorum = quorum || st.Voting && !st.Leader.IsZero()
			mu.Unlock()
			continue
		}
		asking.Go(func() {
			a, err := k.ask(ctx, n.Node, 0)
			if err != nil {
				return
			}
			n.Answers, n.Seq, n.Voting = true, a.Seq, a.Voting
			mu.Lock()
			quorum = quorum || a.Voting && !a.Leader.IsZero()
			mu.Unlock()
		})
	}
	asking.Wait()
	return nodes, quorum
}

// Recover carries out a recovery that enough members have signed. Called on the
// node that the recovery names first, it begins the generation; elsewhere it
// hands the recovery to that node. When it returns nil, other voters go on from
// there; doing it again is harmless.
//
// Errors: ErrQuorum, ErrPlan, ErrNoQuorum when too few of the new voters answer,
// registry.ErrUnauthorised without enough signatures, and what
// [registry.State.CheckRecovery] says.
func (k *Keeper) Recover(ctx context.Context, recovery []byte) error {
	r, _, err := registry.ParseRecovery(recovery)
	if err != nil {
		return err
	}
	if starter := r.Voters[0].NodeID(); starter != k.id {
		var a verdict
		if err := k.call(ctx, http.MethodPost, starter, "/recover", recovery, maxAnswer, &a); err != nil {
			return fmt.Errorf("hand the recovery to node %s, which begins: %w", starter, err)
		}
		if a.Code == "" {
			k.Poke()
			return nil
		}
		for _, kind := range []error{ErrQuorum, ErrPlan, ErrNoQuorum, registry.ErrUnauthorised, registry.ErrForeign, registry.ErrMalformed, registry.ErrHeadVoters} {
			if a.Code == kind.Error() {
				return refused{kind, a.Text}
			}
		}
		return errors.New(a.Text)
	}
	return k.begin(ctx, recovery, r)
}

// begin has the new voters sign the first head of the generation, goes over to
// it, and founds their quorum with this node.
func (k *Keeper) begin(ctx context.Context, recovery []byte, r registry.Recovery) error {
	s := k.State()
	if s == nil {
		return fmt.Errorf("%w: there is no registry here", registry.ErrRecovery)
	}
	known := k.heads.chain()
	if newest := known.Newest(); newest == nil {
		return fmt.Errorf("%w: the voters have never stood by the registry", registry.ErrRecovery)
	}
	h, err := r.First(recovery, k.onRecord(known, r), k.Now())
	if err != nil {
		return err
	}
	if h.Branch() == known.Branch() { // it has begun
		k.announceRecovery(ctx)
		return nil
	}
	if err := k.checkRecovery(&h); err != nil {
		return fit(err)
	}
	// What others have, counts: the highest head, and whether the voters agree.
	plan, err := k.PlanRecovery(ctx)
	switch {
	case err != nil:
		return err
	case errors.Is(plan.Refused, ErrQuorum):
		return plan.Refused
	}
	if err := k.checkRecovery(&h); err != nil {
		return fit(err)
	}
	set := [][]identity.PublicKey{h.Voters}
	round := round{k: k, head: h, body: h.Encode(), sets: set}
	round.gather(ctx, nil)
	if !round.enough() {
		return fmt.Errorf("%w: the new voters have to sign first: %w", ErrNoQuorum, round.failure())
	}
	envelope := h.Envelope(round.signatures)
	if err := durable.Write(filepath.Join(k.Dir, beginFile), []byte(branchText(h.Branch()))); err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	err = k.adoptAlone(ctx, envelope)
	if err != nil {
		return err
	}
	k.announceRecovery(ctx)
	return nil
}

// fit tells what an objection to a recovery means for who wants it done.
func fit(err error) error {
	var no *objection
	switch {
	case errors.As(err, &no) && no.code == "quorum":
		return fmt.Errorf("%w: %s", ErrQuorum, no.text)
	case errors.As(err, &no), errors.Is(err, registry.ErrHeadGap), errors.Is(err, registry.ErrHeadOld), errors.Is(err, registry.ErrHeadFork):
		return fmt.Errorf("%w: %w", ErrPlan, err)
	}
	return err
}

// onRecord are the places of feeds that the head names which a recovery goes on
// from.
func (k *Keeper) onRecord(known registry.HeadChain, r registry.Recovery) []registry.Anchor {
	if h := known.Newest(); h.Seq == r.Seq && h.Generation < r.Generation {
		return h.Feeds
	}
	return nil
}

// checkRecovery checks the first head of a generation before this node signs it
// as a voter: the members want it, and nothing newer is confirmed here that
// would get lost.
func (k *Keeper) checkRecovery(h *registry.Head) error {
	known := k.heads.chain()
	if _, err := known.Recoverable(h, k.State(), k.ledger.past); err != nil {
		return err
	}
	newest := known.Newest()
	switch {
	case newest.Generation == h.Generation:
		return object("held", "generation %d has begun by another recovery", h.Generation)
	case newest.Seq > h.Seq || newest.Rotation >= h.Rotation:
		return &objection{code: "held", text: "the voters have stood by more than the recovery goes on from", head: newest.Envelope}
	case !slices.Contains(h.Voters, k.Self.Public()):
		return object("voters", "this node is none of the voters")
	}
	if v := k.current(); v != nil && v.isVoter() && !v.leader().IsZero() {
		return object("quorum", "the voters have a leader, as this node knows them")
	}
	return nil
}

// begins reports whether a head that is to be signed begins a generation with
// the given node.
func begins(body []byte, id identity.NodeID) bool {
	h, err := registry.ParseHeadBody(body)
	if err != nil || h.Recovery == nil {
		return false
	}
	r, _, err := registry.ParseRecovery(h.Recovery)
	return err == nil && r.Voters[0].NodeID() == id
}

// announceRecovery gives the head that began the generation to all nodes.
// Whoever is away learns of it when it asks anybody.
func (k *Keeper) announceRecovery(ctx context.Context) {
	var first *registry.SignedHead
	for _, h := range k.heads.chain().Rotations() {
		if h.Recovery != nil {
			first = h
		}
	}
	if first == nil {
		return
	}
	var all []identity.PublicKey
	for _, m := range k.State().Members() {
		for _, n := range m.Nodes {
			if m.Active() {
				all = append(all, n.Key)
			}
		}
	}
	k.spread(ctx, first.Envelope, all)
}

func (k *Keeper) serveRecover(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, registry.MaxRecovery))
	if err != nil {
		http.Error(w, "a recovery has at most 8 KiB", http.StatusRequestEntityTooLarge)
		return
	}
	select {
	case k.signing <- struct{}{}:
		defer func() { <-k.signing }()
	default:
		http.Error(w, "others are being answered", http.StatusTooManyRequests)
		return
	}
	re, _, err := registry.ParseRecovery(b)
	if err == nil && re.Voters[0] != k.Self.Public() {
		err = fmt.Errorf("%w: another node begins", registry.ErrHeadVoters)
	}
	if err == nil {
		err = k.begin(r.Context(), b, re)
	}
	var a verdict
	if err != nil {
		a.Code, a.Text = "refused", strings.ToValidUTF8(err.Error(), "?")
		for _, kind := range []error{ErrQuorum, ErrPlan, ErrNoQuorum, registry.ErrUnauthorised, registry.ErrForeign, registry.ErrMalformed, registry.ErrHeadVoters} {
			if errors.Is(err, kind) {
				a.Code = kind.Error()
				break
			}
		}
	}
	reply(w, a)
}
