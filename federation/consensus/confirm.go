package consensus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

const (
	headEvery   = time.Hour        // how often the voters stand by a registry that does not change
	signTime    = 5 * time.Second  // for one round of signatures
	holdTime    = 2 * time.Second  // how long an answer waits for a head that is under way
	rotateAgain = 30 * time.Second // after the voters could not be changed in a head
	maxSigning  = 8                // requests for a signature at once
	longestRest = time.Minute      // between two attempts that fail
)

// errHeadLater: the head cannot be made now.
var errHeadLater = errors.New("the head of the registry could not be signed")

// lookAtHead has the leader see whether a head is due.
func (k *Keeper) lookAtHead() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// confirm makes the heads of the registry while this node leads: one for each
// change, and one an hour.
func (k *Keeper) confirm(ctx context.Context) {
	c := confirmer{k: k}
	defer k.spreading.Wait()
	for {
		changed := k.Changed()
		if v := k.current(); v != nil && k.isLeading() && time.Now().After(c.rest) {
			c.step(ctx, v)
		}
		select {
		case <-changed:
		case <-k.wake: // each second while this node leads
		case <-ctx.Done():
			return
		}
	}
}

// confirmer is the leader's work on heads. One goroutine owns it.
type confirmer struct {
	k        *Keeper
	rest     time.Time // until when nothing is tried, after failures
	failed   int       // attempts in a row
	rotated  time.Time // when a change of the voters last failed
	asked    bool      // others were asked for heads before the first was made
	reported bool      // the operator knows that heads cannot be made
}

// step makes a head if one is due.
func (c *confirmer) step(ctx context.Context, v *voter) {
	k := c.k
	s, known := k.State(), k.heads.chain()
	if known.Newest() == nil && !c.asked {
		// Heads may exist that this node has lost: a first one would be refused.
		k.askForHeads(ctx)
		c.asked = true
		known = k.heads.chain()
	}
	voters, rotate := c.voters(v, s, known)
	newest := known.Newest()
	due := newest == nil || rotate || newest.Seq < s.Seq() || newest.Rotation < known.Rotation() ||
		k.Now().Sub(newest.Confirmed()) >= headEvery
	if !due {
		return
	}
	var err error
	switch {
	case len(voters) == 0:
		err = fmt.Errorf("%w: the founder's node, which signs the first one, is not among the voters", errHeadLater)
	case rotate:
		if err = k.makeHead(ctx, v, s, known.Rotation()+1, voters); err != nil {
			c.rotated = time.Now()
			if known.Rotation() > 0 && newest.Seq < s.Seq() {
				err = k.makeHead(ctx, v, s, known.Rotation(), known.Voters())
			}
		}
	default:
		err = k.makeHead(ctx, v, s, known.Rotation(), voters)
	}
	c.report(ctx, err)
}

// report lets failures be followed by longer rests, and says so once.
func (c *confirmer) report(ctx context.Context, err error) {
	k := c.k
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		if c.reported {
			k.Logger.Info("the voters sign for the registry again")
		}
		c.failed, c.rest, c.reported = 0, time.Time{}, false
		return
	}
	c.failed++
	c.rest = time.Now().Add(min(time.Second<<min(c.failed-1, 6), longestRest))
	if c.failed == 5 && !c.reported {
		c.reported = true
		k.Logger.Warn("too few voters sign for the registry: others do not see its newest changes until they do", "error", err)
		return
	}
	k.Logger.Debug("no head of the registry was made", "error", err)
}

// voters are who shall sign, and whether this changes who does. Raft's voters
// replace those of the last head when they are an odd number, or when the old
// ones may no longer vote.
func (c *confirmer) voters(v *voter, s *registry.State, known registry.HeadChain) ([]identity.PublicKey, bool) {
	now := v.keys(s)
	if known.Rotation() == 0 {
		roots := s.Roots()
		for _, key := range slices.Concat([]identity.PublicKey{c.k.Self.Public()}, now) {
			if slices.Contains(roots, key) {
				return []identity.PublicKey{key}, true
			}
		}
		return nil, false
	}
	old := known.Voters()
	stale := registry.CheckVoters(s, old, true) != nil
	if founding(known) && len(now) < len(old) && !stale {
		return old, false // raft is about to take them in
	}
	if len(now) == 0 || slices.Equal(now, old) || time.Since(c.rotated) < rotateAgain || len(now)%2 == 0 && !stale {
		return old, false
	}
	return now, true
}

// keys are the keys of raft's voters that the registry lets vote, as a head has
// them.
func (v *voter) keys(s *registry.State) []identity.PublicKey {
	var out []identity.PublicKey
	ids, _ := v.voters()
	for _, id := range ids {
		if n, _, ok := s.Node(id); ok && n.VoterOptIn {
			out = append(out, n.Key)
		}
	}
	return registry.SortVoters(out)
}

// makeHead makes a head for the registry after s, gathers the signatures of a
// majority and makes it known.
func (k *Keeper) makeHead(ctx context.Context, v *voter, s *registry.State, rotation uint64, voters []identity.PublicKey) error {
	known := k.heads.chain()
	before := known.Voters()
	if len(before) == 0 {
		before = voters
	}
	// Not before the last one; unless that one is from the future, where a clock was
	// that has been mended since, and a new entry lets this one come after it.
	issued := max(k.Now().Unix(), k.attested())
	if h := known.Newest(); h != nil && h.Seq == s.Seq() {
		issued = max(issued, h.Issued)
	}
	var refused map[identity.OriginID]bool
	for range 2 { // the second time without the feeds that others know otherwise
		h := registry.Head{
			Version: registry.HeadVersion, Federation: s.Federation(), Generation: known.Branch().Generation, Rotation: rotation,
			Seq: s.Seq(), Hash: s.Hash(), Voters: voters, Feeds: k.vector(s, refused),
			Issued: issued, Expires: issued + int64(registry.HeadLife/time.Second), Under: under(known),
		}
		r := round{k: k, head: h, body: h.Encode(), sets: [][]identity.PublicKey{voters, before}}
		r.gather(ctx, v)
		if !r.enough() {
			if len(r.refused) > 0 && refused == nil {
				refused = r.refused
				continue
			}
			return r.failure()
		}
		envelope := h.Envelope(r.signatures)
		// Before anybody can go by other voters, a majority of the old ones must
		// know: the next leader then learns of it from one of them.
		if rotation != known.Rotation() && known.Rotation() > 0 {
			if n := k.spread(ctx, envelope, before); n < registry.Majority(len(before)) {
				return fmt.Errorf("%w: %d of %d voters took note of the new ones", errHeadLater, n, len(before))
			}
		}
		if err := k.keepHeads([][]byte{envelope}); err != nil {
			return fmt.Errorf("%w: %w", errHeadLater, err)
		}
		k.spreading.Go(func() { k.spread(ctx, envelope, v.keys(s)) })
		return nil
	}
	return errHeadLater
}

// vector is how far the members' feeds are: as far as this node holds them, and
// never less than is on record.
func (k *Keeper) vector(s *registry.State, refused map[identity.OriginID]bool) []registry.Anchor {
	var all []registry.Anchor
	newest := k.heads.chain().Newest()
	on := k.heads.anchors.Load()
	if k.Feeds != nil {
		for _, a := range k.Feeds() {
			if !refused[a.Origin] && a.Place != (feed.Place{}) && !on.contradicts(a) {
				all = append(all, a)
			}
		}
	}
	if newest != nil {
		// First: at the same place, what is on record stays.
		all = slices.Concat(newest.Feeds, all)
	}
	all = slices.DeleteFunc(all, func(a registry.Anchor) bool {
		m, ok := s.MemberByOrigin(a.Origin)
		return !ok || !m.Active() || a.Place.Epoch == 0 || a.Place.N == 0
	})
	return registry.SortAnchors(all)
}

// round is the gathering of signatures for one head.
type round struct {
	k    *Keeper
	head registry.Head
	body []byte
	sets [][]identity.PublicKey // a majority of each must sign

	mu         sync.Mutex
	signatures []identity.Signature
	signed     []identity.PublicKey
	refused    map[identity.OriginID]bool // feeds that others know otherwise
	errs       []error
}

// gather signs with this node's own key and asks the others until enough have
// signed or all have answered.
func (r *round) gather(ctx context.Context, v *voter) {
	k := r.k
	var others []identity.PublicKey
	for _, key := range registry.SortVoters(slices.Concat(r.sets...)) {
		if key == k.Self.Public() {
			r.add(key, k.Self.Sign(identity.TypeRegistryHead, r.head.Federation, r.body))
		} else {
			others = append(others, key)
		}
	}
	if r.enough() {
		return
	}
	// The other voters learn that the entry counts with the next message of
	// raft, which could be a second away. This is one.
	if v != nil {
		v.raft.Barrier(changeTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	var asking sync.WaitGroup
	for _, key := range others {
		asking.Go(func() {
			if r.ask(ctx, key); r.enough() {
				cancel()
			}
		})
	}
	asking.Wait()
}

func (r *round) ask(ctx context.Context, key identity.PublicKey) {
	id := key.NodeID()
	a, err := r.k.askSign(ctx, id, r.body)
	if err == nil && a.Code == "" {
		e := identity.Envelope{Body: r.body, Signatures: []identity.Signature{a.Signature}}
		_, err = e.Verify(identity.TypeRegistryHead, r.head.Federation, func(k identity.KeyID) (identity.PublicKey, bool) { return key, k == key.ID() })
		if err == nil {
			r.add(key, a.Signature)
			return
		}
	}
	r.mu.Lock()
	if err == nil {
		err = errors.New(a.Text)
		for _, o := range a.Feeds {
			if r.refused == nil {
				r.refused = map[identity.OriginID]bool{}
			}
			r.refused[o] = true
		}
	}
	r.errs = append(r.errs, fmt.Errorf("node %s: %w", id, err))
	r.mu.Unlock()
	if len(a.Head) > 0 { // it knows a newer one
		if err := r.k.offered(ctx, peerSource{r.k, id}, a.Head); err != nil && ctx.Err() == nil {
			r.k.Logger.Debug("the head of a voter was not taken", "node", id, "error", err)
		}
	}
}

func (r *round) add(key identity.PublicKey, s identity.Signature) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.signed, key) && !r.met() { // more than enough would be bytes for nothing
		r.signed, r.signatures = append(r.signed, key), append(r.signatures, s)
	}
}

func (r *round) enough() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.met()
}

func (r *round) met() bool {
	for _, set := range r.sets {
		n := 0
		for _, key := range r.signed {
			if slices.Contains(set, key) {
				n++
			}
		}
		if n < registry.Majority(len(set)) {
			return false
		}
	}
	return true
}

func (r *round) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Errorf("%w: %d of %d voters have signed: %w", errHeadLater, len(r.signed), len(r.sets[0]), errors.Join(r.errs...))
}

// spread gives a head to voters and returns how many have taken it, this node
// among them.
func (k *Keeper) spread(ctx context.Context, envelope []byte, voters []identity.PublicKey) int {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	var telling sync.WaitGroup
	var mu sync.Mutex
	took := 0
	for _, key := range voters {
		telling.Go(func() {
			err := error(nil)
			if key != k.Self.Public() {
				var none struct{}
				err = k.call(ctx, http.MethodPost, key.NodeID(), "/head", envelope, maxAnswer, &none)
			}
			if err != nil {
				k.Logger.Debug("a voter did not take the head of the registry", "node", key.NodeID(), "error", err)
				return
			}
			mu.Lock()
			took++
			mu.Unlock()
		})
	}
	telling.Wait()
	return took
}

// askForHeads takes the newest head that any node has.
func (k *Keeper) askForHeads(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var asking sync.WaitGroup
	for _, id := range k.peers() {
		asking.Go(func() {
			a, err := k.ask(ctx, id, 0)
			if err == nil && len(a.Head) > 0 {
				err = k.offered(ctx, peerSource{k, id}, a.Head)
			}
			if err != nil {
				k.Logger.Debug("a node gave no head of the registry", "node", id, "error", err)
			}
		})
	}
	asking.Wait()
}
