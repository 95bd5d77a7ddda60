package feed

import (
	"fmt"

	"github.com/2ps-project/waymark/federation/identity"
)

// View is a consistent read of one feed as a store holds it. Close it.
type View interface {
	// Head is the newest head that was applied; nil when the feed is not held.
	Head() *SignedHead
	// Leaves are the bucket hashes under Head. The caller must not modify them.
	Leaves() (*Leaves, error)
	// Bucket lists the live entries of bucket q, keys ascending.
	Bucket(q int) ([]Change, error)
	// Heads are the envelopes of the heads from number n on, oldest first, at
	// most limit. They are one chain without a gap that ends with Head; what is
	// missing is at the start.
	Heads(n uint64, limit int) ([][]byte, error)
	// Close releases the read.
	Close()
}

// Delta is a set of changes to a feed: each key once, ordered by bucket, then
// key. Ranging over it twice yields the same.
type Delta interface {
	Changes(yield func(Change, error) bool)
}

// Verified is a step of a feed that was checked whole: the heads, and the
// changes that lead from what was held to exactly the last of them. Only this
// package makes it.
type Verified struct {
	kind   Kind
	origin identity.OriginID
	base   identity.Hash
	heads  []*SignedHead
	delta  Delta
	leaves map[int]identity.Hash
	erased int
}

// Kind says how a step leads from what was held to its head.
type Kind uint8

// The kinds of steps.
const (
	// Step leads on: to a newer head, a first copy, or a new epoch.
	Step Kind = iota
	// Rollback leads back to an earlier head, the last good one before a key was
	// stolen.
	Rollback
	// Repair puts right what a disk damaged, under the head that is held or a
	// newer one.
	Repair
	// Compared leads on like Step, but was found by comparing what is live before
	// and after. What was erased on the way is not known, of records that were
	// deleted before it began neither, so nothing from before may be kept.
	Compared
)

// String is the kind in a word.
func (k Kind) String() string {
	switch k {
	case Step:
		return "step"
	case Rollback:
		return "rollback"
	case Repair:
		return "repair"
	case Compared:
		return "comparison"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Kind is how the step leads to its head. A store keeps for undoing what a Step
// replaces, and not what the others do; it drops heads past that of a Rollback, and
// with a Compared step all that it kept before.
func (v *Verified) Kind() Kind { return v.kind }

// Origin is whose feed it is.
func (v *Verified) Origin() identity.OriginID { return v.origin }

// Base is the hash of the head that the step starts from; zero for a first copy.
// A store that holds another head by now must refuse the step.
func (v *Verified) Base() identity.Hash { return v.base }

// Heads are the heads passed through, oldest first; the last one is the new
// head. Those of a Rollback, and of a Repair under the held head, are that one
// head. They need not begin where the held chain ends: a store keeps of its
// chain only what leads to the new head without a gap.
func (v *Verified) Heads() []*SignedHead { return v.heads }

// Head is the new head.
func (v *Verified) Head() *SignedHead { return v.heads[len(v.heads)-1] }

// Delta holds the changes. It is what was given to Verify: [Items], the staging
// area of the store, or what its Undo gave.
func (v *Verified) Delta() Delta { return v.delta }

// Leaves are the new hashes of the buckets that change; those of all buckets in
// a Repair.
func (v *Verified) Leaves() map[int]identity.Hash { return v.leaves }

// Erased is the number of changes of the kind [Erase] in the delta: every copy
// of what they name must go, wherever it is kept.
func (v *Verified) Erased() int { return v.erased }

// Verify checks a step of a feed whole: the chain of heads from what view holds
// to the last envelope, how much and how often they change, and that the
// changes, applied to what view holds, add up to the last head's root, count and
// bytes. All of it is right, or nothing is.
//
// More than [LargeChange] changes within [LargeSpan] need an admin key's
// signature, on that head or a later one of the step, unless the feed is new
// here or starts a new epoch.
func (r Rules) Verify(view View, envelopes [][]byte, delta Delta) (*Verified, error) {
	return r.verify(Step, view, envelopes, delta)
}

// VerifyCompared is Verify for changes that were found by comparing what is live:
// see [Compared]. Where nothing was held it is the same.
func (r Rules) VerifyCompared(view View, envelopes [][]byte, delta Delta) (*Verified, error) {
	if view.Head() == nil {
		return r.verify(Step, view, envelopes, delta)
	}
	return r.verify(Compared, view, envelopes, delta)
}

func (r Rules) verify(kind Kind, view View, envelopes [][]byte, delta Delta) (*Verified, error) {
	held := view.Head()
	heads, err := r.CheckChain(held, envelopes)
	if err != nil {
		return nil, err
	}
	head := heads[len(heads)-1]
	on := held != nil && held.Epoch == head.Epoch
	if on {
		if err := r.checkPace(view, heads); err != nil {
			return nil, err
		}
	}
	t, err := tallyOf(view, delta, false)
	if err != nil {
		return nil, err
	}
	if err := t.fits(head); err != nil {
		return nil, err
	}
	if on {
		if err := t.fresh(held, head); err != nil {
			return nil, err
		}
	}
	return t.verified(kind, held, heads, delta), nil
}

func (t *tally) verified(kind Kind, held *SignedHead, heads []*SignedHead, delta Delta) *Verified {
	v := &Verified{kind: kind, origin: heads[0].Origin, heads: heads, delta: delta, leaves: t.leaves, erased: t.erased}
	if held != nil {
		v.base = held.Hash
	}
	return v
}

// VerifyRollback checks a step back: that good is the envelope of exactly the
// head to which the registry lets the feed go back ([Keys.Good]), that the held
// head is a later one of its epoch, and that the changes lead there. The delta
// is that of [Store.Undo], or any other that does. Where nothing is to be taken
// back it fails with [ErrOlder].
func (r Rules) VerifyRollback(view View, good []byte, delta Delta) (*Verified, error) {
	held := view.Head()
	if held == nil {
		return nil, fmt.Errorf("%w: nothing is held", ErrOlder)
	}
	place, ok := r.Keys.Good(held.Origin)
	if !ok || held.Epoch != place.Epoch || held.N <= place.N {
		return nil, fmt.Errorf("%w: nothing is to be taken back from head %d", ErrOlder, held.N)
	}
	head, err := r.checkHead(good)
	if err != nil {
		return nil, err
	}
	if head.Origin != held.Origin || head.Place() != place {
		return nil, fmt.Errorf("%w: head %d is not the last good one, %d", ErrRevoked, head.N, place.N)
	}
	t, err := tallyOf(view, delta, false)
	if err != nil {
		return nil, err
	}
	if err := t.fits(head); err != nil {
		return nil, err
	}
	return t.verified(Rollback, held, []*SignedHead{head}, delta), nil
}

// VerifyRepair checks a step that puts a damaged feed right. Actual shows what
// is really intact ([Store.Actual]); its head and leaves are not relied upon,
// everything is counted again. The last envelope is that of the held head, whose
// origin may be suspended by now, or one to which the heads lead from there as
// in Verify.
func (r Rules) VerifyRepair(actual View, envelopes [][]byte, delta Delta) (*Verified, error) {
	held := actual.Head()
	var heads []*SignedHead
	var err error
	if same, ok := r.sameHead(held, envelopes); ok {
		heads = []*SignedHead{same}
	} else if heads, err = r.CheckChain(held, envelopes); err != nil {
		return nil, err
	} else if held != nil && held.Epoch == heads[0].Epoch {
		if err := r.checkPace(actual, heads); err != nil {
			return nil, err
		}
	}
	t, err := tallyOf(actual, delta, true)
	if err != nil {
		return nil, err
	}
	if err := t.fits(heads[len(heads)-1]); err != nil {
		return nil, err
	}
	return t.verified(Repair, held, heads, delta), nil
}

// sameHead is the last head given, if it is the held one and still well signed.
func (r Rules) sameHead(held *SignedHead, envelopes [][]byte) (*SignedHead, bool) {
	if held == nil || len(envelopes) == 0 {
		return nil, false
	}
	envelope := envelopes[len(envelopes)-1]
	h, err := ParseHead(envelope)
	if err != nil || h.Hash != held.Hash || h.Federation != r.Federation {
		return nil, false
	}
	s, err := r.checkSignatures(identity.TypeHead, envelope, h.Origin, h.Epoch, h.N, true)
	if err != nil {
		return nil, false
	}
	h.Envelope, h.signers, h.approved = s.envelope, s.signers, s.approved
	return h, true
}
