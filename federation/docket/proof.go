package docket

import (
	"errors"
	"fmt"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// MaxProof is the most bytes of an evidence file.
const MaxProof = 64 << 20

// Errors of evidence files.
var (
	// ErrProof: the file does not show what an evidence file shows.
	ErrProof = errors.New("this file proves nothing")
	// ErrOtherFederation: the file is about another federation than the one
	// asked for.
	ErrOtherFederation = errors.New("the evidence is of another federation")
)

// proof is an evidence file: evidence, and the registry from its genesis up to
// the entry by which the feed's keys are known. Every entry carries the
// signatures that it needs, so that nothing else has to be believed.
type proof struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Evidence   []byte                `cbor:"3,keyasint"`
	Entries    [][]byte              `cbor:"4,keyasint"`
}

// Finding is what an evidence file proves: who holds the origin's publish key
// has signed two different heads with one number.
type Finding struct {
	Federation identity.FederationID
	Name       string // of the federation
	Demo       bool   // the federation is a demonstration
	Origin     identity.OriginID
	Country    string
	Operator   string
	A, B       *feed.SignedHead // the lower hash first
	Entries    uint64           // of the registry that the file holds
}

// ExportEvidence makes a file by which anybody who knows the federation's id can
// check the evidence, offline and without trusting who gave it. Entries are the
// registry's, the genesis first; the file holds as many of them as are needed.
func ExportEvidence(e feed.Evidence, entries [][]byte) ([]byte, error) {
	var s *registry.State
	for n, b := range entries {
		entry, err := registry.ParseEntry(b)
		if err != nil {
			return nil, fmt.Errorf("registry entry %d: %w", n+1, err)
		}
		if s, err = registry.Next(s, entry); err != nil {
			return nil, fmt.Errorf("registry entry %d: %w", n+1, err)
		}
		f, err := s.CheckEvidence(e)
		if err != nil {
			continue // the keys are not known yet
		}
		file, err := identity.Marshal(proof{1, s.Federation(), f.Evidence().Encode(), entries[:n+1]})
		if err != nil {
			return nil, fmt.Errorf("make an evidence file: %w", err)
		}
		if len(file) > MaxProof {
			return nil, fmt.Errorf("%w: it would have %d bytes, at most %d are allowed", ErrProof, len(file), MaxProof)
		}
		return file, nil
	}
	return nil, fmt.Errorf("%w: by no state of this registry are the two heads signed with the feed's keys", ErrProof)
}

// VerifyEvidence checks an evidence file with nothing but the id of the
// federation that it is to be about. What it cannot tell is whether the members
// have since said something else about the keys.
func VerifyEvidence(file []byte, federation identity.FederationID) (*Finding, error) {
	if len(file) > MaxProof {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrProof, len(file), MaxProof)
	}
	var p proof
	if err := identity.Unmarshal(file, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	switch {
	case p.Version != 1:
		return nil, fmt.Errorf("%w: it is of version %d, this program knows 1", ErrProof, p.Version)
	case p.Federation != federation:
		return nil, fmt.Errorf("%w: %s, wanted %s", ErrOtherFederation, p.Federation, federation)
	}
	e, err := feed.ParseEvidence(p.Evidence)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	s, err := registry.Replay(p.Entries)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if s.Federation() != federation { // the genesis decides, not what the file says of itself
		return nil, fmt.Errorf("%w: its registry is that of %s", ErrOtherFederation, s.Federation())
	}
	f, err := s.CheckEvidence(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	m, _ := s.MemberByOrigin(f.Origin)
	return &Finding{
		Federation: federation, Name: s.Name(), Demo: s.Demo(), Origin: f.Origin, Country: m.Country, Operator: m.Operator,
		A: f.A, B: f.B, Entries: s.Seq(),
	}, nil
}
