package feed

import (
	"bytes"
	"fmt"
	"slices"
	"time"

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
	// Close releases the read.
	Close()
}

// Delta is a set of changes to a feed: each key once, ordered by bucket, then
// key. Ranging over it twice yields the same.
type Delta interface {
	Changes(yield func(Change, error) bool)
}

// Keys answers whose signature counts, as the registry knows it now.
type Keys interface {
	// HeadKey is the key with this id, if it may sign head n of the epoch.
	HeadKey(o identity.OriginID, epoch, n uint64, id identity.KeyID) (identity.PublicKey, bool)
	// AdminKey is the origin's admin key with this id.
	AdminKey(o identity.OriginID, id identity.KeyID) (identity.PublicKey, bool)
	// Epoch is the epoch of an active origin; false for any other.
	Epoch(o identity.OriginID) (uint64, bool)
}

// Rules are what heads and beats are checked against: one federation, the keys
// of its registry, and one fixed moment.
type Rules struct {
	Federation identity.FederationID
	Keys       Keys
	Now        time.Time
}

// Verified is a step of a feed that was checked whole: the heads, and the
// changes that lead from what was held to exactly the last of them. Only this
// package makes it.
type Verified struct {
	origin identity.OriginID
	base   identity.Hash
	heads  []*SignedHead
	delta  Delta
	leaves map[int]identity.Hash
}

// Origin is whose feed it is.
func (v *Verified) Origin() identity.OriginID { return v.origin }

// Base is the hash of the head that the step starts from; zero for a first copy.
// A store that holds another head by now must refuse the step.
func (v *Verified) Base() identity.Hash { return v.base }

// Heads are the heads passed through, oldest first; the last one is the new head.
func (v *Verified) Heads() []*SignedHead { return v.heads }

// Head is the new head.
func (v *Verified) Head() *SignedHead { return v.heads[len(v.heads)-1] }

// Delta holds the changes. It is what was given to Verify: [Items], or the
// staging area of the store.
func (v *Verified) Delta() Delta { return v.delta }

// Leaves are the new hashes of the buckets that change.
func (v *Verified) Leaves() map[int]identity.Hash { return v.leaves }

// CheckHead checks one head on its own: federation, active origin, epoch,
// signatures, date.
func (r Rules) CheckHead(envelope []byte) (*SignedHead, error) {
	h, err := ParseHead(envelope)
	if err != nil {
		return nil, err
	}
	if h.approved, err = r.checkSigned(identity.TypeHead, envelope, h.Federation, h.Origin, h.Epoch, h.N, h.Issued); err != nil {
		return nil, fmt.Errorf("head %d of %s: %w", h.N, h.Origin, err)
	}
	return h, nil
}

// CheckBeat checks one beat on its own, like CheckHead.
func (r Rules) CheckBeat(envelope []byte) (*SignedBeat, error) {
	b, err := ParseBeat(envelope)
	if err != nil {
		return nil, err
	}
	if _, err := r.checkSigned(identity.TypeBeat, envelope, b.Federation, b.Origin, b.Epoch, b.N, b.Issued); err != nil {
		return nil, fmt.Errorf("beat %d of %s: %w", b.Counter, b.Origin, err)
	}
	return b, nil
}

// checkSigned also tells whether an admin key of the origin signed as well.
func (r Rules) checkSigned(t identity.Type, envelope []byte, f identity.FederationID, o identity.OriginID, epoch, n uint64, issued Minute) (approved bool, err error) {
	if f != r.Federation {
		return false, fmt.Errorf("%w: %s", ErrFederation, f)
	}
	current, ok := r.Keys.Epoch(o)
	if !ok {
		return false, ErrOrigin
	}
	if epoch != current {
		return false, fmt.Errorf("%w: %d, the registry says %d", ErrEpoch, epoch, current)
	}
	e, err := identity.ParseEnvelope(envelope)
	if err != nil {
		return false, err
	}
	published := false
	if _, err := e.Verify(t, f, func(id identity.KeyID) (identity.PublicKey, bool) {
		if key, ok := r.Keys.HeadKey(o, epoch, n, id); ok {
			published = true
			return key, true
		}
		key, ok := r.Keys.AdminKey(o, id) // a second look at a large change
		approved = approved || ok
		return key, ok
	}); err != nil {
		return false, err
	}
	if !published {
		return false, ErrSigner
	}
	if issued.Time().After(r.Now.Add(Ahead)) {
		return false, fmt.Errorf("%w: %s", ErrFuture, issued.Time().Format(time.RFC3339))
	}
	return approved, nil
}

// CheckChain checks that the heads lead from held to the last of them. With
// nothing held, or a held head of an older epoch, the feed starts anew at the
// last head; heads before it are then taken as its history, which its hashes
// vouch for, so that this node can pass the chain on.
func (r Rules) CheckChain(held *SignedHead, envelopes [][]byte) ([]*SignedHead, error) {
	if len(envelopes) == 0 {
		return nil, fmt.Errorf("%w: no head given", ErrChain)
	}
	last, err := r.CheckHead(envelopes[len(envelopes)-1])
	if err != nil {
		return nil, err
	}
	if held == nil || held.Epoch < last.Epoch {
		return history(last, envelopes[:len(envelopes)-1])
	}
	if held.Origin != last.Origin {
		return nil, fmt.Errorf("%w: a head of another origin", ErrChain)
	}
	if held.Epoch > last.Epoch || last.N < held.N {
		return nil, ErrOlder
	}
	if last.N == held.N {
		if last.Hash != held.Hash {
			return nil, ErrEquivocation
		}
		return nil, ErrOlder
	}
	heads := make([]*SignedHead, 0, len(envelopes))
	prev := held
	for i, env := range envelopes {
		h := last
		if i < len(envelopes)-1 {
			if h, err = r.CheckHead(env); err != nil {
				return nil, err
			}
		}
		if h.Origin != held.Origin || h.Epoch != held.Epoch || h.N != prev.N+1 || h.Seq < prev.Seq {
			return nil, fmt.Errorf("%w: head %d cannot follow head %d", ErrChain, h.N, prev.N)
		}
		if h.Prev != prev.Hash {
			return nil, fmt.Errorf("%w: head %d names another head %d than the one held", ErrChain, h.N, prev.N)
		}
		heads = append(heads, h)
		prev = h
	}
	return heads, nil
}

// history are the heads that led to last, checked backwards by their hashes:
// whoever signed the last one vouches for all before it.
func history(last *SignedHead, earlier [][]byte) ([]*SignedHead, error) {
	heads := []*SignedHead{last}
	for i := len(earlier) - 1; i >= 0; i-- {
		h, err := ParseHead(earlier[i])
		if err != nil {
			return nil, err
		}
		if next := heads[len(heads)-1]; h.Hash != next.Prev || h.N+1 != next.N || h.Origin != last.Origin {
			return nil, fmt.Errorf("%w: head %d does not lead to head %d", ErrChain, h.N, next.N)
		}
		heads = append(heads, h)
	}
	slices.Reverse(heads)
	return heads, nil
}

// Verify checks a step of a feed whole: the chain of heads from what view holds
// to the last envelope, and that the changes, applied to what view holds, add up
// to that head's root, count and bytes. All of it is right, or nothing is. More
// than [LargeChange] changes a head also need an admin key's signature on one of
// the heads, unless the feed is new here or starts a new epoch.
func (r Rules) Verify(view View, envelopes [][]byte, delta Delta) (*Verified, error) {
	held := view.Head()
	heads, err := r.CheckChain(held, envelopes)
	if err != nil {
		return nil, err
	}
	head := heads[len(heads)-1]
	t, err := tallyOf(view, delta)
	if err != nil {
		return nil, err
	}
	switch {
	case t.seq > head.Seq:
		return nil, fmt.Errorf("%w: a change numbered %d under a head that ends at %d", ErrRoot, t.seq, head.Seq)
	case t.count != head.Count:
		return nil, fmt.Errorf("%w: %d records, the head says %d", ErrRoot, t.count, head.Count)
	case t.bytes != head.Bytes:
		return nil, fmt.Errorf("%w: %d bytes, the head says %d", ErrRoot, t.bytes, head.Bytes)
	case t.root != head.Root:
		return nil, fmt.Errorf("%w: the root differs", ErrRoot)
	}
	if held != nil && held.Epoch == head.Epoch && t.changes > LargeChange*len(heads) && !slices.ContainsFunc(heads, func(h *SignedHead) bool { return h.approved }) {
		return nil, fmt.Errorf("%w: %d records", ErrUnapproved, t.changes)
	}
	v := &Verified{origin: head.Origin, heads: heads, delta: delta, leaves: t.leaves}
	if held != nil {
		v.base = held.Hash
	}
	return v, nil
}

// tally is what a feed adds up to after a delta.
type tally struct {
	leaves       map[int]identity.Hash // of the buckets that change
	root         identity.Hash
	count, bytes uint64
	seq          uint64 // the highest in the delta
	changes      int
}

func tallyOf(view View, delta Delta) (*tally, error) {
	t := &tally{leaves: make(map[int]identity.Hash)}
	if h := view.Head(); h != nil {
		t.count, t.bytes = h.Count, h.Bytes
	}
	held, err := view.Leaves()
	if err != nil {
		return nil, err
	}
	leaves := *held

	bucket, pending := -1, []Change(nil)
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		base, err := view.Bucket(bucket)
		if err != nil {
			return err
		}
		merged := t.merge(base, pending)
		if len(merged) > MaxBucket {
			return fmt.Errorf("bucket %d: %w: %d records, at most %d", bucket, ErrTooLarge, len(merged), MaxBucket)
		}
		leaves[bucket] = BucketHash(bucket, merged)
		t.leaves[bucket] = leaves[bucket]
		pending = pending[:0]
		return nil
	}
	for c, err := range delta.Changes {
		if err != nil {
			return nil, err
		}
		if err := c.check(); err != nil {
			return nil, err
		}
		q := c.Key.Bucket()
		if q < bucket || q == bucket && len(pending) > 0 && bytes.Compare(pending[len(pending)-1].Key[:], c.Key[:]) >= 0 {
			return nil, fmt.Errorf("%w: changes out of order at %s", identity.ErrMalformed, c.Key)
		}
		if q != bucket {
			if err := flush(); err != nil {
				return nil, err
			}
			bucket = q
		}
		pending = append(pending, c)
		t.seq = max(t.seq, c.Seq)
		t.changes++
	}
	if err := flush(); err != nil {
		return nil, err
	}
	t.root = leaves.Root()
	return t, nil
}

// merge applies the changes of one bucket to its live entries and keeps count.
func (t *tally) merge(base, changes []Change) []Change {
	out := make([]Change, 0, len(base)+len(changes))
	for len(base) > 0 || len(changes) > 0 {
		order := 1 // which side comes first: -1 base, 0 the same key, 1 changes
		switch {
		case len(changes) == 0:
			order = -1
		case len(base) > 0:
			order = bytes.Compare(base[0].Key[:], changes[0].Key[:])
		}
		if order < 0 {
			out, base = append(out, base[0]), base[1:]
			continue
		}
		if order == 0 {
			t.count--
			t.bytes -= uint64(base[0].Size)
			base = base[1:]
		}
		if c := changes[0]; c.Live() {
			t.count++
			t.bytes += uint64(c.Size)
			out = append(out, c)
		}
		changes = changes[1:]
	}
	return out
}
