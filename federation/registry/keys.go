package registry

import (
	"fmt"
	"math"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// RekeyWait is how many seconds a change of keys is held back when the member's
// own admin key did not sign it, so that whoever has that key can object.
const RekeyWait = 72 * 3600

// KeyChange states what becomes of a member's keys and of the epoch of its feed.
// Node keys are stated by [Nodes].
type KeyChange struct {
	Version uint64            `cbor:"1,keyasint"`
	Origin  identity.OriginID `cbor:"2,keyasint"`
	Add     []NewKey          `cbor:"3,keyasint,omitempty"`
	// Retire takes keys out of use that are still trusted for what they signed.
	Retire []Retirement `cbor:"4,keyasint,omitempty"`
	// Revoke takes keys away that somebody else may have. For an admin or a
	// publish key the epoch must rise with it.
	Revoke []identity.KeyID `cbor:"5,keyasint,omitempty"`
	// Epoch is the member's next epoch when its feed starts over, else 0.
	Epoch uint64 `cbor:"6,keyasint,omitempty"`
	// Good is the last head of the present epoch that a revoked publish key
	// signed rightly: the feed goes back to it. Nil when none was forged.
	Good *feed.Place `cbor:"7,keyasint,omitempty"`
	// Seal replaces the key to which others seal what only the member may read.
	Seal *identity.SealPublicKey `cbor:"8,keyasint,omitempty"`
	// Machine is a node of the member from then on, and signs the statement as the
	// added keys do. One that publishes, new or a mirror so far, takes the place of
	// the one before, and the epoch rises; any other one is a new mirror.
	Machine *Machine `cbor:"9,keyasint,omitempty"`
	// Stays keeps the node that published before as a mirror. Else it is struck
	// off: it is lost, or in other hands.
	Stays bool `cbor:"10,keyasint,omitempty"`
}

// NewKey is a key that a member adds.
type NewKey struct {
	Public identity.PublicKey `cbor:"1,keyasint"`
	Role   identity.Role      `cbor:"2,keyasint"` // admin, publish or recovery
}

// Retirement ends the use of a key.
type Retirement struct {
	ID identity.KeyID `cbor:"1,keyasint"`
	// Last is, for a publish key, the last head that it may have signed: the
	// member stops publishing before it states it. Zero for other keys.
	Last Mark `cbor:"2,keyasint"`
}

// SetKeys is the payload of [KindKeys]: an envelope of type statement over a
// [KeyChange], signed by every key that it adds and by no other.
type SetKeys struct {
	Statement []byte `cbor:"1,keyasint"`
}

// Rekey is a change of keys that waits, because the member's admin key did not
// sign it.
type Rekey struct {
	ID     ID                  `cbor:"1,keyasint"` // of the command
	Hash   identity.Hash       `cbor:"2,keyasint"` // what an objection names
	Change KeyChange           `cbor:"3,keyasint"`
	By     []identity.OriginID `cbor:"4,keyasint"` // the members that signed; none: the recovery key did
	Seq    uint64              `cbor:"5,keyasint"` // the entry that made it
	Due    int64               `cbor:"6,keyasint"` // Unix seconds; the first entry from then on finds it done
	Key    identity.KeyID      `cbor:"7,keyasint"` // the recovery key that asked for it; zero when members did
}

// SignKeyChange is the statement for a [SetKeys], signed by the keys it adds.
func SignKeyChange(f identity.FederationID, ch KeyChange, added ...*identity.Key) ([]byte, error) {
	ch.Version = Version
	body, err := identity.Marshal(ch)
	if err != nil {
		return nil, fmt.Errorf("sign a change of keys: %w", err)
	}
	return identity.Sign(identity.TypeStatement, f, body, added...).Encode(), nil
}

// ParseKeyChange reads a statement over a change of keys and verifies that
// every key that it adds has signed, and no other.
func ParseKeyChange(f identity.FederationID, b []byte) (*KeyChange, error) {
	e, err := parseStatement(b)
	if err != nil {
		return nil, err
	}
	ch := new(KeyChange)
	if err := identity.Unmarshal(e.Body, ch); err != nil {
		return nil, fmt.Errorf("%w: change of keys: %v", ErrMalformed, err)
	}
	if ch.Version > Version {
		return nil, fmt.Errorf("%w: the change of keys is of version %d, this program knows %d", ErrUnknownKind, ch.Version, Version)
	}
	if err := ch.check(); err != nil {
		return nil, err
	}
	added := make([]identity.PublicKey, 0, len(ch.Add))
	for _, k := range ch.Add {
		added = append(added, k.Public)
	}
	if ch.Machine != nil {
		added = append(added, ch.Machine.Key)
	}
	if len(added) == 0 && len(e.Signatures) == 0 {
		return ch, nil
	}
	if err := verifyAll(e, identity.TypeStatement, f, added); err != nil {
		return nil, fmt.Errorf("the added keys: %w", err)
	}
	return ch, nil
}

func (ch KeyChange) clone() KeyChange {
	ch.Add, ch.Retire, ch.Revoke = slices.Clone(ch.Add), slices.Clone(ch.Retire), slices.Clone(ch.Revoke)
	if ch.Good != nil {
		good := *ch.Good
		ch.Good = &good
	}
	if ch.Seal != nil {
		seal := *ch.Seal
		ch.Seal = &seal
	}
	if ch.Machine != nil {
		machine := *ch.Machine
		machine.Endpoints = slices.Clone(machine.Endpoints)
		ch.Machine = &machine
	}
	return ch
}

// check tells what is wrong with the change by itself, or nil.
func (ch *KeyChange) check() error {
	changes := len(ch.Add) + len(ch.Retire) + len(ch.Revoke)
	switch {
	case ch.Version == 0, ch.Origin.IsZero():
		return fmt.Errorf("%w: a change of keys without version or origin", ErrMalformed)
	case changes == 0 && ch.Epoch == 0 && ch.Seal == nil && ch.Machine == nil:
		return fmt.Errorf("%w: a change of keys that changes nothing", ErrMalformed)
	case changes > MaxKeys:
		return fmt.Errorf("%w: %d keys change at once, at most %d may", ErrMalformed, changes, MaxKeys)
	case ch.Good != nil && (len(ch.Revoke) == 0 || ch.Good.N == 0 || ch.Good.Hash == identity.Hash{}):
		return fmt.Errorf("%w: a last good head without a revoked key, number or hash", ErrMalformed)
	case ch.Seal != nil && *ch.Seal == identity.SealPublicKey{}:
		return fmt.Errorf("%w: a seal key of zeros", ErrMalformed)
	case ch.Machine != nil && ch.Machine.Publisher && ch.Epoch == 0, ch.Stays && (ch.Machine == nil || !ch.Machine.Publisher):
		return fmt.Errorf("%w: another node publishes exactly when the epoch rises", ErrMalformed)
	}
	if ch.Machine != nil {
		alone := *ch.Machine
		alone.Publisher = true
		if err := checkMachines([]Machine{alone}); err != nil {
			return err
		}
		if slices.ContainsFunc(ch.Add, func(k NewKey) bool { return k.Public == ch.Machine.Key }) {
			return fmt.Errorf("%w: one key in two roles", ErrMalformed)
		}
	}
	named := make(map[identity.KeyID]bool, changes)
	for _, k := range ch.Add {
		if k.Public.IsZero() || k.Role != identity.RoleAdmin && k.Role != identity.RolePublish && k.Role != identity.RoleRecovery {
			return fmt.Errorf("%w: %q is not the role of a key that can be added here", ErrMalformed, k.Role)
		}
		named[k.Public.ID()] = true
	}
	for _, r := range ch.Retire {
		if r.Last.N > maxNumber || r.Last.Epoch > maxNumber {
			return fmt.Errorf("%w: no feed has a head %d", ErrMalformed, r.Last.N)
		}
		named[r.ID] = true
	}
	for _, id := range ch.Revoke {
		named[id] = true
	}
	if len(named) != changes {
		return fmt.Errorf("%w: a change that names a key twice", ErrMalformed)
	}
	return nil
}

func (c *change) keys() error {
	var p SetKeys
	if err := c.payload(&p); err != nil {
		return err
	}
	ch, err := ParseKeyChange(c.federation, p.Statement)
	if err != nil {
		return err
	}
	i := c.origin(ch.Origin)
	if i < 0 {
		return fmt.Errorf("%w: no member has the origin %s", ErrUnauthorised, ch.Origin)
	}
	own, err := c.mayRekey(ch.Origin)
	if err != nil {
		return err
	}
	m, err := c.rekeyed(i, ch)
	if err != nil {
		return err
	}
	if own {
		c.put(i, m)
		c.dropUnbacked()
		return nil
	}
	return c.wait(Rekey{ID: c.command.ID, Hash: HashCommand(c.envelope), Change: *ch, By: c.by, Key: c.sheet()})
}

// wait puts a change of keys on hold; one waits at a time.
func (c *change) wait(r Rekey) error {
	if slices.ContainsFunc(c.rekeys, func(o Rekey) bool { return o.Change.Origin == r.Change.Origin }) {
		return fmt.Errorf("%w: a change of this member's keys is waiting already; its admin key can object to it", ErrConflict)
	}
	r.Seq, r.Due = c.seq, c.time+RekeyWait
	c.rekeys = append(slices.Clone(c.rekeys), r)
	return nil
}

// rekeyByOthers does what a ruling says about the keys of the member at index i:
// the change waits, or one that the others asked for is dropped.
func (c *change) rekeyByOthers(i int, entry *Recorded) error {
	r := &entry.Ruling
	if r.Off {
		c.rekeys = slices.DeleteFunc(slices.Clone(c.rekeys), func(w Rekey) bool { return w.Change.Origin == r.Origin && len(w.By) > 0 })
		return nil
	}
	ch, err := ParseKeyChange(c.federation, r.Change)
	if err != nil {
		return err
	}
	if _, err := c.rekeyed(i, ch); err != nil {
		return err
	}
	return c.wait(Rekey{ID: c.command.ID, Hash: entry.Hash, Change: *ch, By: entry.Signers})
}

// sheet is the recovery key that signed the command; zero when members did.
func (c *change) sheet() identity.KeyID {
	for _, sig := range c.envelope.Signatures {
		if _, i := c.recovery(sig.Key); i >= 0 {
			return sig.Key
		}
	}
	return identity.KeyID{}
}

// dropUnbacked drops the waiting changes whose makers no longer speak.
func (s *State) dropUnbacked() {
	s.rekeys = slices.DeleteFunc(slices.Clone(s.rekeys), func(r Rekey) bool { return !s.backed(&r) })
}

// backed reports whether those who asked for a waiting change still may: the
// recovery key is in use, or enough of the members that signed are active.
func (s *State) backed(r *Rekey) bool {
	i := s.origin(r.Change.Origin)
	if i < 0 {
		return false
	}
	if len(r.By) == 0 {
		_, ok := s.members[i].Key(identity.RoleRecovery, r.Key)
		return ok
	}
	active := 0
	for _, o := range r.By {
		if j := s.origin(o); j >= 0 && s.members[j].Active() {
			active++
		}
	}
	return active >= min(len(r.By), s.Needed(r.Change.Origin))
}

// mayRekey reports whether the signers may change the keys of an origin: at
// once, if its own admin key signed, else after [RekeyWait].
func (c *change) mayRekey(o identity.OriginID) (own bool, err error) {
	switch {
	case len(c.recovering) == 1 && len(c.by) == 0 && c.recovering[0] == o:
		return false, nil
	case len(c.recovering) > 0:
		return false, fmt.Errorf("%w: a recovery key signs alone, and for its own member", ErrUnauthorised)
	case slices.Contains(c.by, o):
		if _, err := c.alone(); err != nil {
			return false, err
		}
		return true, nil
	case len(c.by) < c.Needed(o):
		return false, fmt.Errorf("%w: another member's keys need %d signatures, %d are here", ErrUnauthorised, c.Needed(o), len(c.by))
	}
	return false, nil
}

// rekeyed is the member at index i after a change of its keys.
func (c *change) rekeyed(i int, ch *KeyChange) (Member, error) {
	m := c.members[i].clone()
	if ch.Epoch != 0 && ch.Epoch != m.Epoch+1 {
		return m, fmt.Errorf("%w: epoch %d does not follow epoch %d", ErrConflict, ch.Epoch, m.Epoch)
	}
	if ch.Good != nil && (ch.Epoch == 0 || ch.Good.Epoch != m.Epoch) {
		return m, fmt.Errorf("%w: the last good head is one of epoch %d, and the epoch rises after it", ErrConflict, m.Epoch)
	}
	var last Mark // of the publish key that retires
	for _, r := range ch.Retire {
		k := m.inUse(r.ID)
		switch {
		case k == nil:
			return m, fmt.Errorf("%w: key %s is not in use", ErrConflict, r.ID)
		case k.Role != identity.RolePublish && r.Last != Mark{}:
			return m, fmt.Errorf("%w: only a publish key has a last head", ErrMalformed)
		case k.Role != identity.RolePublish:
			k.To = endOf(m.Epoch)
		case r.Last.Epoch != m.Epoch:
			return m, fmt.Errorf("%w: the last head of a publish key is one of epoch %d", ErrConflict, m.Epoch)
		default:
			k.To, last = r.Last, r.Last
		}
	}
	for _, id := range ch.Revoke {
		if err := m.revoke(id, ch.Good, ch.Epoch != 0); err != nil {
			return m, err
		}
	}
	if ch.Epoch != 0 {
		m.startOver(ch.Good)
	}
	for _, n := range ch.Add {
		if c.holds(n.Public, -1) {
			return m, fmt.Errorf("%w: key %s is in use already, or was", ErrConflict, n.Public.ID())
		}
		k := Key{Public: n.Public, Role: n.Role, From: Mark{m.Epoch, 0}}
		if n.Role == identity.RolePublish && ch.Epoch == 0 && last != (Mark{}) {
			k.From = Mark{last.Epoch, last.N + 1}
		}
		m.Keys = append(m.Keys, k)
	}
	if ch.Seal != nil {
		m.Seal = *ch.Seal
	}
	if ch.Machine != nil {
		if err := c.replace(&m, *ch.Machine, ch.Stays); err != nil {
			return m, err
		}
	}
	return m, m.checkKeys()
}

// replace makes a machine a node of m: the one that publishes, or a new mirror.
func (c *change) replace(m *Member, by Machine, stays bool) error {
	known := slices.ContainsFunc(m.Nodes, func(n Node) bool { return n.Key == by.Key })
	switch old, ok := m.Publisher(); {
	case !known && c.holds(by.Key, -1):
		return fmt.Errorf("%w: key %s is in use already, or was", ErrConflict, by.Key.ID())
	case ok && old.Key == by.Key, known && !by.Publisher:
		return fmt.Errorf("%w: this node has its place already", ErrConflict)
	}
	nodes := []Node{by.node()}
	for _, n := range m.Nodes {
		if n.Key == by.Key || by.Publisher && n.Publisher && !stays {
			continue
		}
		n.Publisher = n.Publisher && !by.Publisher
		nodes = append(nodes, n)
	}
	if len(nodes) > MaxNodes {
		return fmt.Errorf("%w: %d nodes, a member has at most %d", ErrConflict, len(nodes), MaxNodes)
	}
	m.Nodes = nodes
	return nil
}

// LastOf stands for the last head of an epoch that ends, whichever that was: for
// whoever retires a publish key and cannot know it.
func LastOf(epoch uint64) Mark { return Mark{epoch, maxNumber} }

// endOf is the end of an epoch, for keys that go out of use with no head named.
func endOf(epoch uint64) Mark { return Mark{epoch, math.MaxUint64} }

// inUse finds a key of the member that is in use.
func (m *Member) inUse(id identity.KeyID) *Key {
	i := slices.IndexFunc(m.Keys, func(k Key) bool { return k.To == Mark{} && k.Public.ID() == id })
	if i < 0 {
		return nil
	}
	return &m.Keys[i]
}

// revoke takes a key of the member away, in use or retired. What a publish key
// signed stands up to the last good head.
func (m *Member) revoke(id identity.KeyID, good *feed.Place, rises bool) error {
	i := slices.IndexFunc(m.Keys, func(k Key) bool { return k.Public.ID() == id })
	if i < 0 || m.Keys[i].Revoked {
		return fmt.Errorf("%w: key %s is none of the member's, or revoked already", ErrConflict, id)
	}
	k := &m.Keys[i]
	if !rises && k.Role != identity.RoleRecovery {
		return fmt.Errorf("%w: the epoch rises when a %s key is revoked", ErrConflict, k.Role)
	}
	k.Revoked = true
	to := endOf(m.Epoch)
	if good != nil && k.Role == identity.RolePublish {
		to = Mark{good.Epoch, good.N}
	}
	if (k.To == Mark{}) || to.before(k.To) {
		k.To = to
	}
	return nil
}

// startOver raises the member's epoch.
func (m *Member) startOver(good *feed.Place) {
	m.Epoch++
	m.Good = feed.Place{}
	if good != nil {
		m.Good = *good
	}
}

// checkKeys checks how many keys of each role are in use.
func (m *Member) checkKeys() error {
	count := map[identity.Role]int{}
	for _, k := range m.Keys {
		if k.To == (Mark{}) {
			count[k.Role]++
		}
	}
	switch {
	case count[identity.RolePublish] > 1:
		return fmt.Errorf("%w: one publish key is in use at a time; retire or revoke the other one", ErrConflict)
	case count[identity.RoleAdmin] == 0:
		return fmt.Errorf("%w: a member needs an admin key", ErrConflict)
	case count[identity.RoleAdmin] > MaxAdminKeys, count[identity.RoleRecovery] > MaxAdminKeys:
		return fmt.Errorf("%w: at most %d admin keys and %d recovery keys are in use at a time", ErrConflict, MaxAdminKeys, MaxAdminKeys)
	}
	m.forgetKeys()
	return nil
}

// forgetKeys drops the oldest keys that are out of use when there are too many.
func (m *Member) forgetKeys() {
	for len(m.Keys) > MaxKeys {
		i := slices.IndexFunc(m.Keys, func(k Key) bool { return k.To != Mark{} })
		m.Keys = slices.Delete(m.Keys, i, i+1)
	}
}

// settled is the state after the changes of keys that have waited long enough
// by the given time. What contradicts the registry by then is dropped.
func (s *State) settled(now int64) *State {
	if !slices.ContainsFunc(s.rekeys, func(r Rekey) bool { return r.Due <= now }) {
		return s
	}
	next := new(State)
	*next = *s
	next.rekeys = nil
	next.members = slices.Clone(s.members)
	for _, r := range s.rekeys {
		if r.Due > now {
			next.rekeys = append(next.rekeys, r)
			continue
		}
		if !next.backed(&r) {
			continue
		}
		i := next.origin(r.Change.Origin)
		c := change{State: next}
		if m, err := c.rekeyed(i, r.Change.adjusted(&next.members[i])); err == nil {
			next.members[i] = m
		}
	}
	return next
}

// adjusted is the change for a member whose keys or epoch have changed while it
// waited: what is done already is left out.
func (ch KeyChange) adjusted(m *Member) *KeyChange {
	ch = ch.clone()
	ch.Add = slices.DeleteFunc(ch.Add, func(k NewKey) bool {
		_, known := m.Key(k.Role, k.Public.ID())
		return known
	})
	ch.Retire = slices.DeleteFunc(ch.Retire, func(r Retirement) bool { return m.inUse(r.ID) == nil })
	for i := range ch.Retire { // before a new epoch, which head was the last of the old one does not matter
		if l := &ch.Retire[i].Last; *l != (Mark{}) && ch.Epoch != 0 {
			*l = endOf(m.Epoch)
		}
	}
	ch.Revoke = slices.DeleteFunc(ch.Revoke, func(id identity.KeyID) bool {
		return slices.ContainsFunc(m.Keys, func(k Key) bool { return k.Revoked && k.Public.ID() == id })
	})
	if ch.Epoch != 0 {
		ch.Epoch = m.Epoch + 1
	}
	if ch.Good != nil && ch.Good.Epoch != m.Epoch {
		ch.Good = nil
	}
	if ch.Machine != nil && slices.ContainsFunc(m.Nodes, func(n Node) bool { return n.Key == ch.Machine.Key && (n.Publisher || !ch.Machine.Publisher) }) {
		ch.Machine, ch.Stays = nil, false
	}
	return &ch
}
