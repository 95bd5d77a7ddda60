package docket

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// MaxItem is the most bytes of an encoded item.
const MaxItem = feed.MaxEvidence + registry.MaxRuling

// Kinds of items.
const (
	kindEvidence = 1
	kindRuling   = 2
)

// domainItem separates the names of items from other hashes.
const domainItem = 0x40

// wire is an item as it travels and is stored.
type wire struct {
	Kind  uint8  `cbor:"1,keyasint"`
	Bytes []byte `cbor:"2,keyasint"` // feed.Evidence, or the envelope of a ruling
}

// ID names an item, whoever signed it: its kind, then a hash of what it says.
type ID [33]byte

func compareIDs(a, b ID) int { return bytes.Compare(a[:], b[:]) }

// item is a piece of evidence or a ruling. What it says never changes; which of
// its signatures count is found anew for each state of the registry.
type item struct {
	id  ID
	raw []byte // encoded

	evidence *feed.Evidence
	fork     registry.Fork

	ruling   registry.Ruling
	hash     identity.Hash
	envelope *identity.Envelope
	tidy     bool                    // the signatures are as keep leaves them
	good     map[identity.KeyID]bool // keys whose signatures were verified

	// Found by reduce for one state of the registry.
	signers []identity.OriginID
	needed  int

	// What judged said of the evidence, or of whether the ruling can be recorded.
	state *registry.State
	fits  bool
}

func (i *item) holds() bool { return i.evidence == nil && len(i.signers) >= i.needed }

// parse reads an item. It checks form and limits, not signatures.
func parse(raw []byte) (*item, error) {
	if len(raw) > MaxItem {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(raw), MaxItem)
	}
	var w wire
	if err := identity.Unmarshal(raw, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch w.Kind {
	case kindEvidence:
		return parseEvidence(w.Bytes)
	case kindRuling:
		return parseRuling(w.Bytes)
	}
	return nil, fmt.Errorf("%w: kind %d", ErrUnknownKind, w.Kind)
}

func parseEvidence(b []byte) (*item, error) {
	e, err := feed.ParseEvidence(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	x, err := feed.ParseHead(e.A)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence: %w", ErrMalformed, err)
	}
	y, err := feed.ParseHead(e.B)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence: %w", ErrMalformed, err)
	}
	if x.Hash == y.Hash || x.Origin != y.Origin || x.Epoch != y.Epoch || x.N != y.N {
		return nil, fmt.Errorf("%w: evidence: not two heads of one number", ErrMalformed)
	}
	if bytes.Compare(x.Hash[:], y.Hash[:]) > 0 {
		x, y = y, x
	}
	e = feed.NewEvidence(x, y)
	i := &item{evidence: &e, fork: registry.Fork{Origin: x.Origin, Epoch: x.Epoch, N: x.N, A: x.Hash, B: y.Hash}}
	i.id[0] = kindEvidence
	sum := identity.Sum(domainItem, x.Origin[:], x.Hash[:], y.Hash[:]) // the hashes cover epoch and number
	copy(i.id[1:], sum[:])
	return i, i.encode()
}

func parseRuling(b []byte) (*item, error) {
	r, e, err := registry.ParseRuling(b)
	if err != nil {
		return nil, err
	}
	i := &item{ruling: r, hash: registry.HashRuling(e.Body), envelope: e, good: make(map[identity.KeyID]bool)}
	i.id[0] = kindRuling
	copy(i.id[1:], i.hash[:])
	return i, i.encode()
}

// encode brings raw up to date.
func (i *item) encode() error {
	w := wire{Kind: kindEvidence}
	if i.evidence != nil {
		w.Bytes = i.evidence.Encode()
	} else {
		w.Kind, w.Bytes = kindRuling, i.envelope.Encode()
	}
	raw, err := identity.Marshal(w)
	if err != nil {
		return fmt.Errorf("encode an item of the docket: %w", err)
	}
	i.raw = raw
	return nil
}

// over orders rulings about one target: the later one first; of two that were
// given one counter, the one with the lower hash, so that all nodes agree.
func (i *item) over(o *item) bool {
	return cmp.Or(cmp.Compare(o.ruling.Counter, i.ruling.Counter), compareIDs(i.id, o.id)) < 0
}

// verify drops the signatures of a ruling that do not count in the state: by
// keys that are not in use by an active member other than the target, and of one
// member all but that by its lowest key, so that those of all find room. It
// reports whether any is left. One that should count and is wrong is an error.
func (i *item) verify(s *registry.State) (bool, error) {
	kept := i.envelope.Signatures[:0:0]
	lowest := make(map[identity.OriginID]identity.KeyID)
	by := make(map[identity.KeyID]identity.OriginID)
	for _, sig := range i.envelope.Signatures {
		_, o, ok := s.Signer(sig.Key)
		if !ok || o == i.ruling.Origin {
			continue
		}
		if !i.good[sig.Key] {
			one := identity.Envelope{Body: i.envelope.Body, Signatures: []identity.Signature{sig}}
			if _, err := one.Verify(identity.TypeRuling, s.Federation(), func(id identity.KeyID) (identity.PublicKey, bool) {
				k, _, ok := s.Signer(id)
				return k, ok
			}); err != nil {
				return false, fmt.Errorf("%w: %w", registry.ErrUnauthorised, err)
			}
			i.good[sig.Key] = true
		}
		by[sig.Key] = o
		if l, ok := lowest[o]; !ok || bytes.Compare(sig.Key[:], l[:]) < 0 {
			lowest[o] = sig.Key
		}
		kept = append(kept, sig)
	}
	kept = slices.DeleteFunc(kept, func(sig identity.Signature) bool { return lowest[by[sig.Key]] != sig.Key })
	if len(kept) == 0 {
		return false, nil
	}
	if i.tidy && len(kept) == len(i.envelope.Signatures) {
		return true, nil // as it was
	}
	i.keep(kept)
	return true, i.encode()
}

// merge adds the signatures of what is known of the same ruling; verify must
// follow.
func (i *item) merge(known *item) {
	i.envelope = &identity.Envelope{Body: i.envelope.Body, Signatures: append(slices.Clone(known.envelope.Signatures), i.envelope.Signatures...)}
	i.tidy = false
	maps.Copy(i.good, known.good)
}

// keep sets the signatures, ordered by key, each key once. There are never more
// than an envelope may have.
func (i *item) keep(sigs []identity.Signature) {
	e := &identity.Envelope{Body: i.envelope.Body}
	seen := make(map[identity.KeyID]bool, len(sigs))
	for _, s := range sigs {
		if !seen[s.Key] {
			seen[s.Key] = true
			e.Signatures = append(e.Signatures, s)
		}
	}
	slices.SortFunc(e.Signatures, func(a, b identity.Signature) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	e.Signatures = e.Signatures[:min(len(e.Signatures), identity.MaxSignatures)]
	i.envelope, i.tidy = e, true
}

// judged reports whether evidence is good by the keys of a state, or whether
// the registry would take a ruling.
func (i *item) judged(s *registry.State) bool {
	if i.state != s {
		var err error
		if i.evidence != nil {
			_, err = s.CheckEvidence(*i.evidence)
		} else {
			err = s.Recordable(&i.ruling)
		}
		i.state, i.fits = s, err == nil
	}
	return i.fits
}

// keys are those whose signatures were verified.
func (i *item) keys() []identity.KeyID {
	out := make([]identity.KeyID, 0, len(i.envelope.Signatures))
	for _, s := range i.envelope.Signatures {
		if i.good[s.Key] {
			out = append(out, s.Key)
		}
	}
	return out
}
