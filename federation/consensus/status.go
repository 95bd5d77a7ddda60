package consensus

import (
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
)

// Status is who keeps the registry, as far as this node knows.
type Status struct {
	Leader identity.NodeID   // zero: none is known
	Voters []identity.NodeID // sorted
	Quorum bool              // a leader is there, backed by a majority of the voters
	Voting bool              // this node is one of them
	AsOf   time.Time         // when this was known

	// Confirmed is when the voters last stood by the registry, as far as is
	// known here; zero: they never have. Expired tells that this is too long
	// ago: what they changed since is not known here.
	Confirmed time.Time
	Expired   bool
	// Seq is the last entry that the voters have signed for, and Heard the last
	// that any node claims to have. More heard than signed for, for longer than
	// a moment, means that the voters cannot sign or that a node makes it up.
	Seq, Heard uint64
	// Generation rises with each recovery by the members, from 1.
	Generation uint64
	// Contrary are nodes that show another registry than this one; sorted.
	Contrary []identity.NodeID

	// Problem is why the registry is no longer followed here, or nil; it wraps
	// ErrSplit, ErrStorage or registry.ErrUnknownKind.
	Problem error
}

// Status is who keeps the registry, as far as this node knows without asking;
// see [Keeper.Fresh].
func (k *Keeper) Status() Status {
	k.mu.Lock()
	v, s := k.voter, Status{Problem: k.problem, Heard: k.heard}
	for id := range k.contrary {
		s.Contrary = append(s.Contrary, id)
	}
	known := k.view
	k.mu.Unlock()
	sortNodes(s.Contrary)
	s.Generation = k.heads.chain().Branch().Generation
	s.Heard = max(s.Heard, seqOf(k.State()))
	if h, ok := k.Head(); ok {
		s.Confirmed, s.Expired, s.Seq = h.Confirmed(), h.Expired(k.Now()), h.Seq
	}
	if v != nil {
		if voters, in := v.voters(); in && !k.takenOut(v) {
			s.Leader, s.Voters, s.Voting, s.AsOf = v.leader(), voters, v.isVoter(), k.Now()
			s.Quorum = v.backed(s.Leader)
			return s
		}
	}
	s.Leader, s.Voters, s.Quorum, s.AsOf = known.leader, slices.Clone(known.voters), known.quorum, known.asOf
	return s
}

// backed reports whether a leader is there, as far as raft can tell here: a
// leader itself gives up within its lease when too few answer, and the others
// hear from it each second.
func (v *voter) backed(leader identity.NodeID) bool {
	return !leader.IsZero() && (leader == v.k.id || time.Since(v.raft.LastContact()) < contactTime)
}

// takenOut reports whether raft here still counts this node in and nobody else
// does: it was away when it lost its vote.
func (k *Keeper) takenOut(v *voter) bool {
	h, ok := k.Head()
	return ok && v.leader().IsZero() && !slices.Contains(h.Voters, k.Self.Public())
}

func sortNodes(ids []identity.NodeID) {
	slices.SortFunc(ids, func(a, b identity.NodeID) int { return slices.Compare(a[:], b[:]) })
}
