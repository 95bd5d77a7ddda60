package registry

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// RulingKind says what a ruling decides.
type RulingKind string

// The kinds of rulings. Each can be lifted by a later one, but for a
// revocation, since whoever lost a key adds another, and for an expulsion, since
// the country comes back by an invitation.
const (
	RulingTakedown  RulingKind = "takedown"  // a record is not shown
	RulingSuspend   RulingKind = "suspend"   // a member's keys do not speak, its feed stays as it is
	RulingRevoke    RulingKind = "revoke"    // a key of a member is taken away
	RulingCaretaker RulingKind = "caretaker" // who may add alerts for a member that is dark
	RulingExpel     RulingKind = "expel"     // a member is put out for good; it needs more signatures
	RulingRekey     RulingKind = "rekey"     // a member that lost all its keys gets others, after [RekeyWait]
)

// The reasons for rulings. The list is open: a reason that is not known is kept
// and read as [ReasonOther].
const (
	ReasonPrivacy     = "privacy"     // it exposes somebody
	ReasonDanger      = "danger"      // it may lead somebody into harm
	ReasonUnlawful    = "unlawful"    // a law or a court forbids it
	ReasonFalse       = "false"       // what it says is not so
	ReasonRights      = "rights"      // it is somebody else's
	ReasonRequest     = "request"     // the service or the member asks for it
	ReasonCompromised = "compromised" // a key or a machine is in other hands
	ReasonUnreachable = "unreachable" // the member does not answer
	ReasonMisuse      = "misuse"      // the member breaks what was agreed
	ReasonMistake     = "mistake"     // an earlier ruling should not have been made
	ReasonOther       = "other"
)

// Limits of rulings.
const (
	MaxRuling     = 8 << 10 // bytes of an encoded ruling envelope
	MaxRulingText = 300     // bytes of a ruling's text
	MaxCaretakers = 8

	// CounterStep is by how much a counter may be above the recorded one: no few
	// can make the last ruling about a target.
	CounterStep = 1024

	RulingAhead = 10 * time.Minute     // by which a ruling may be ahead of the clock
	RulingLife  = 400 * 24 * time.Hour // after which a ruling is too old to be recorded

	maxNumber = uint64(1) << 53 // epochs, heads and counters stay below, for every JSON reader
)

// ErrSuperseded: a later ruling about the same thing is known.
var ErrSuperseded = errors.New("a later ruling about the same is known")

// Ruling is what members decide together about one of them without waiting for
// the registry: with the signatures of as many of the others as an admission
// would need, it holds on every node that has verified it.
type Ruling struct {
	Version uint64            `cbor:"1,keyasint"`
	Kind    RulingKind        `cbor:"2,keyasint"`
	Off     bool              `cbor:"3,keyasint,omitempty"` // it lifts the earlier one
	Origin  identity.OriginID `cbor:"4,keyasint"`           // the member that it is about
	Record  feed.Key          `cbor:"5,keyasint"`           // of a takedown; else zero
	Key     identity.KeyID    `cbor:"6,keyasint"`           // of a revocation; else zero
	// Good is the last head that a revoked publish key signed rightly; the feed
	// goes back to it. Nil: it stays as it is.
	Good *feed.Place `cbor:"7,keyasint,omitempty"`
	// By are the caretakers, all active members and other ones than Origin.
	By []identity.OriginID `cbor:"8,keyasint,omitempty"`
	// Counter rises with each ruling about the same [Target], from 1.
	Counter uint64      `cbor:"9,keyasint"`
	Issued  feed.Minute `cbor:"10,keyasint"`
	// Until is when a takedown ends; 0 for a lasting one, and for other kinds.
	Until feed.Minute `cbor:"11,keyasint,omitempty"`
	// Lasting takedowns confirm an earlier one: their counter is above 1.
	Lasting bool   `cbor:"12,keyasint,omitempty"`
	Reason  string `cbor:"13,keyasint"`
	Text    string `cbor:"14,keyasint,omitempty"` // shown to everybody; at most 300 bytes
	// Change is what becomes of the keys of a member that is given others: an
	// envelope of type statement over a [KeyChange], signed by the new keys.
	Change []byte `cbor:"15,keyasint,omitempty"`
}

// Target is what a ruling is about: of the rulings with one target, the one with
// the highest counter holds. It is comparable.
type Target struct {
	Kind   RulingKind
	Origin identity.OriginID
	Record feed.Key
	Key    identity.KeyID
}

// Target is what the ruling is about.
func (r *Ruling) Target() Target { return Target{r.Kind, r.Origin, r.Record, r.Key} }

// Compare orders targets by kind, origin, record and key.
func (t Target) Compare(o Target) int {
	return cmp.Or(cmp.Compare(t.Kind, o.Kind), bytes.Compare(t.Origin[:], o.Origin[:]),
		bytes.Compare(t.Record[:], o.Record[:]), bytes.Compare(t.Key[:], o.Key[:]))
}

// Over reports whether the ruling is a takedown that has ended by itself.
func (r *Ruling) Over(now time.Time) bool {
	return r.Until != 0 && !now.Before(r.Until.Time())
}

// Clone shares nothing that a caller could change.
func (r Ruling) Clone() Ruling {
	r.By, r.Change = slices.Clone(r.By), slices.Clone(r.Change)
	if r.Good != nil {
		good := *r.Good
		r.Good = &good
	}
	return r
}

// NewRuling fills in what the maker of a ruling need not know: version, date,
// the end of a takedown and, if it is 0, the counter after the recorded one.
// It checks the result.
func NewRuling(s *State, r Ruling, now time.Time) (Ruling, error) {
	r = r.Clone()
	r.Version, r.Issued = Version, feed.MinuteOf(now)
	if r.Counter == 0 {
		r.Counter = s.RulingCounter(r.Target()) + 1
	}
	if r.Kind == RulingTakedown && !r.Off && !r.Lasting {
		r.Until = r.Issued + feed.Minute(s.policy.TakedownDays*24*60)
	}
	if err := r.check(); err != nil {
		return Ruling{}, err
	}
	return r, s.admissible(&r)
}

// SignRuling is the ruling as an envelope with the signatures of admin keys.
func SignRuling(f identity.FederationID, r Ruling, keys ...*identity.Key) ([]byte, error) {
	body, err := identity.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("sign a ruling: %w", err)
	}
	b := identity.Sign(identity.TypeRuling, f, body, keys...).Encode()
	_, _, err = ParseRuling(b)
	return b, err
}

// CountersignRuling adds a signature to a ruling, unless the key has signed.
func CountersignRuling(f identity.FederationID, ruling []byte, key *identity.Key) ([]byte, error) {
	_, e, err := ParseRuling(ruling)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(e.Signatures, func(s identity.Signature) bool { return s.Key == key.ID() }) {
		return ruling, nil
	}
	e.Signatures = append(e.Signatures, key.Sign(identity.TypeRuling, f, e.Body))
	b := e.Encode()
	_, _, err = ParseRuling(b)
	return b, err
}

// ParseRuling reads a ruling and its envelope. It checks form and limits, not
// signatures.
func ParseRuling(b []byte) (Ruling, *identity.Envelope, error) {
	if len(b) > MaxRuling {
		return Ruling{}, nil, fmt.Errorf("%w: a ruling of %d bytes, at most %d are allowed", ErrMalformed, len(b), MaxRuling)
	}
	e, err := identity.ParseEnvelope(b)
	if err != nil {
		return Ruling{}, nil, fmt.Errorf("%w: ruling: %v", ErrMalformed, err)
	}
	var r Ruling
	if err := identity.Unmarshal(e.Body, &r); err != nil {
		return Ruling{}, nil, fmt.Errorf("%w: ruling: %v", ErrMalformed, err)
	}
	if err := r.check(); err != nil {
		return Ruling{}, nil, err
	}
	return r, e, nil
}

// HashRuling names a ruling, whoever signed it: the hash of its body.
func HashRuling(body []byte) identity.Hash { return identity.Sum(domainRuling, body) }

// check tells what is wrong with the ruling by itself, or nil.
func (r *Ruling) check() error {
	if r.Version > Version {
		return fmt.Errorf("%w: a ruling of version %d, this program knows %d", ErrUnknownKind, r.Version, Version)
	}
	bad := func(what string) error { return fmt.Errorf("%w: ruling: %s", ErrMalformed, what) }
	switch {
	case r.Version == 0, r.Origin.IsZero(), r.Counter == 0, r.Counter >= maxNumber, r.Issued <= 0, uint64(r.Issued) >= maxNumber:
		return bad("version, origin, counter or date is missing, or cannot be")
	case !validCode(r.Reason, 1):
		return bad("no reason is given")
	case (r.Kind == RulingTakedown) != (r.Record != feed.Key{}):
		return bad("a takedown names a record, nothing else does")
	case (r.Kind == RulingRevoke) != (r.Key != identity.KeyID{}):
		return bad("a revocation names a key, nothing else does")
	case r.Good != nil && (r.Kind != RulingRevoke || r.Good.N == 0 || r.Good.N >= maxNumber || r.Good.Epoch == 0 || r.Good.Hash == identity.Hash{}):
		return bad("only a revocation names a last good head, with epoch, number and hash")
	case (len(r.By) != 0) != (r.Kind == RulingCaretaker && !r.Off):
		return bad("caretakers are named when they are appointed, and only then")
	case r.Lasting && (r.Kind != RulingTakedown || r.Off || r.Counter == 1):
		return bad("only a takedown that was made before can be made to last")
	case (r.Until != 0) != (r.Kind == RulingTakedown && !r.Off && !r.Lasting):
		return bad("a takedown that does not last has an end, nothing else has one")
	case r.Until != 0 && (r.Until <= r.Issued || uint64(r.Until) >= maxNumber):
		return bad("it ends before it begins")
	case r.Kind == RulingRevoke && r.Off:
		return bad("a revoked key does not come back; the member adds another one")
	case r.Kind == RulingExpel && r.Off:
		return bad("an expulsion is not lifted; the country can be invited again")
	case (len(r.Change) != 0) != (r.Kind == RulingRekey && !r.Off):
		return bad("a change of keys is named when a member is given others, and only then")
	}
	if r.Text != "" {
		if err := checkText("the ruling's text", r.Text, MaxRulingText); err != nil {
			return err
		}
	}
	switch r.Kind {
	case RulingTakedown, RulingSuspend, RulingRevoke, RulingExpel, RulingRekey:
		return nil
	case RulingCaretaker:
		return checkCaretakers(r.Origin, r.By)
	}
	return fmt.Errorf("%w: a ruling of the kind %q", ErrUnknownKind, r.Kind)
}

func checkCaretakers(o identity.OriginID, by []identity.OriginID) error {
	if len(by) > MaxCaretakers {
		return fmt.Errorf("%w: %d caretakers, at most %d are allowed", ErrMalformed, len(by), MaxCaretakers)
	}
	seen := map[identity.OriginID]bool{o: true}
	for _, c := range by {
		if seen[c] || c.IsZero() {
			return fmt.Errorf("%w: a caretaker is named twice, or is the member itself", ErrMalformed)
		}
		seen[c] = true
	}
	return nil
}

// MergeRulings is a ruling with the signatures of two envelopes of it, ordered
// by key, so that everybody who merges the same gets the same bytes. It verifies
// none of them: give it checked ones.
func MergeRulings(a, b []byte) ([]byte, error) {
	_, ea, err := ParseRuling(a)
	if err != nil {
		return nil, err
	}
	_, eb, err := ParseRuling(b)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(ea.Body, eb.Body) {
		return nil, fmt.Errorf("%w: two rulings", ErrConflict)
	}
	out := identity.Envelope{Body: ea.Body, Signatures: append(ea.Signatures, eb.Signatures...)}
	slices.SortStableFunc(out.Signatures, func(x, y identity.Signature) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	out.Signatures = slices.CompactFunc(out.Signatures, func(x, y identity.Signature) bool { return x.Key == y.Key })
	merged := out.Encode()
	_, _, err = ParseRuling(merged)
	return merged, err
}

// Needed is how many other active members must sign a ruling about an origin,
// or its keys when it cannot: as many as an admission by them alone would need,
// and at least one.
func (s *State) Needed(o identity.OriginID) int {
	n := s.active()
	if i := s.origin(o); i >= 0 && s.members[i].Active() {
		n--
	}
	return max(1, s.policy.Needed(n))
}

// NeededFor is how many other active members must sign a ruling of a kind about
// an origin. An expulsion needs two thirds of all others, those who are suspended
// counted in so that nobody is put out by first silencing who would object, and
// at least two.
func (s *State) NeededFor(kind RulingKind, o identity.OriginID) int {
	if kind != RulingExpel {
		return s.Needed(o)
	}
	others := 0
	for _, m := range s.members {
		if m.Origin != o && m.Seated() {
			others++
		}
	}
	return max(2, s.Needed(o), (2*others+2)/3)
}

// Signer is the active member whose admin key in use has the id.
func (s *State) Signer(id identity.KeyID) (identity.PublicKey, identity.OriginID, bool) {
	k, i := s.admin(id)
	if i < 0 {
		return k, identity.OriginID{}, false
	}
	return k, s.members[i].Origin, true
}

// CheckRuling verifies a ruling against this state. It returns the members whose
// signatures count, ordered by id, and how many are needed: with fewer the
// ruling is sound and does not hold yet. Signatures by keys that do not count
// (of the target, of who has left, of who has not come in here yet) are passed
// over; a bad one by a key that would count makes the ruling bad. Whether a
// later ruling is known is not judged.
func (s *State) CheckRuling(ruling []byte) (r Ruling, signers []identity.OriginID, needed int, err error) {
	r, e, err := ParseRuling(ruling)
	if err != nil {
		return Ruling{}, nil, 0, err
	}
	counted := identity.Envelope{Body: e.Body}
	var keys []identity.KeyID
	for _, sig := range e.Signatures {
		if _, o, ok := s.Signer(sig.Key); ok && o != r.Origin {
			counted.Signatures = append(counted.Signatures, sig)
			keys = append(keys, sig.Key)
		}
	}
	signers, needed, err = s.Tally(&r, keys)
	if err != nil {
		return Ruling{}, nil, 0, err
	}
	if _, err := counted.Verify(identity.TypeRuling, s.federation, func(id identity.KeyID) (identity.PublicKey, bool) {
		k, _, ok := s.Signer(id)
		return k, ok
	}); err != nil {
		return Ruling{}, nil, 0, fmt.Errorf("%w: %w", ErrUnauthorised, err)
	}
	return r, signers, needed, nil
}

// Tally judges a ruling by keys whose signatures are known to be good: it
// returns the members that count, ordered by id, and how many are needed.
func (s *State) Tally(r *Ruling, keys []identity.KeyID) (signers []identity.OriginID, needed int, err error) {
	if err := s.admissible(r); err != nil {
		return nil, 0, err
	}
	for _, id := range keys {
		if _, o, ok := s.Signer(id); ok && o != r.Origin && !slices.Contains(signers, o) {
			signers = append(signers, o)
		}
	}
	if len(signers) == 0 {
		return nil, 0, fmt.Errorf("%w: no other active member has signed the ruling", ErrUnauthorised)
	}
	slices.SortFunc(signers, func(a, b identity.OriginID) int { return bytes.Compare(a[:], b[:]) })
	return signers, s.NeededFor(r.Kind, r.Origin), nil
}

// admissible checks what a ruling says against the members and the policy.
func (s *State) admissible(r *Ruling) error {
	i := s.origin(r.Origin)
	if i < 0 {
		return fmt.Errorf("%w: no member has the origin %s", ErrConflict, r.Origin)
	}
	for _, o := range r.By {
		if j := s.origin(o); j < 0 || !s.members[j].Active() {
			return fmt.Errorf("%w: the caretaker %s is not an active member", ErrConflict, o)
		}
	}
	if longest := r.Issued + feed.Minute(s.policy.TakedownDays*24*60); r.Until > longest {
		return fmt.Errorf("%w: a takedown ends after %d days unless it is confirmed", ErrConflict, s.policy.TakedownDays)
	}
	if most := s.RulingCounter(r.Target()) + CounterStep; r.Counter > most {
		return fmt.Errorf("%w: the ruling's counter is %d, at most %d can follow", ErrConflict, r.Counter, most)
	}
	if (r.Kind == RulingExpel || r.Kind == RulingRekey) && !s.members[i].Seated() {
		return fmt.Errorf("%w: the member has left, it is %s", ErrConflict, s.members[i].Status)
	}
	if len(r.Change) != 0 {
		ch, err := ParseKeyChange(s.federation, r.Change)
		if err != nil {
			return err
		}
		if ch.Origin != r.Origin {
			return fmt.Errorf("%w: the change of keys is another member's", ErrConflict)
		}
	}
	if r.Kind == RulingRevoke {
		m := &s.members[i]
		role, ok := m.anyKey(r.Key)
		if !ok {
			return fmt.Errorf("%w: the member has no key %s", ErrConflict, r.Key)
		}
		if r.Good != nil && role != identity.RolePublish {
			return fmt.Errorf("%w: only a publish key signs heads, this is a key of role %s", ErrConflict, role)
		}
		if r.Good != nil && r.Good.Epoch > m.Epoch {
			return fmt.Errorf("%w: the member's feed is in epoch %d", ErrConflict, m.Epoch)
		}
	}
	return nil
}

// anyKey is the role of a key of the member: in use, retired, revoked or of a
// node.
func (m *Member) anyKey(id identity.KeyID) (identity.Role, bool) {
	for _, k := range m.Keys {
		if k.Public.ID() == id {
			return k.Role, true
		}
	}
	for _, n := range m.Nodes {
		if n.Key.ID() == id {
			return identity.RoleNode, true
		}
	}
	return "", false
}
