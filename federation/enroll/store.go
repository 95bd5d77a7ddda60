package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Pending is a knock that waits for the sponsor's decision. It never leaves the
// sponsor's node.
type Pending struct {
	Invitation registry.ID        `cbor:"1,keyasint"`
	Country    string             `cbor:"2,keyasint"`
	Candidate  registry.Candidate `cbor:"3,keyasint"`
	Statement  []byte             `cbor:"4,keyasint"`
	Contact    string             `cbor:"5,keyasint"` // a person, for the comparison; gone with the knock
	Version    string             `cbor:"6,keyasint"`
	Knocked    int64              `cbor:"7,keyasint"` // Unix seconds
	Numbers    string             `cbor:"8,keyasint"` // to compare
	// Command is the proposal once it was signed. It is kept so that a lost
	// answer never makes two proposals.
	Command []byte `cbor:"9,keyasint,omitempty"`
	// Stopped says that the numbers were compared and differed. The knock is kept
	// so that the newcomer hears why; it can knock again.
	Stopped bool `cbor:"10,keyasint,omitempty"`
	// Carried says that the request came in a file, not over a connection.
	Carried bool `cbor:"11,keyasint,omitempty"`
}

// numbersLife is how long numbers that were exchanged over a connection count.
// Two administrators in two countries need days to find each other on the
// telephone, so it is not minutes; that a stranger cannot try again meanwhile is
// the commitment's doing, not the clock's.
const numbersLife = 3 * 24 * time.Hour

// late reports whether the numbers must be made anew. Those of a file count as
// long as the invitation: the file may be weeks on its way.
func (p Pending) late(now time.Time) bool {
	return !p.Carried && p.Command == nil && now.Sub(time.Unix(p.Knocked, 0)) > numbersLife
}

func (p Pending) has(key identity.PublicKey) bool { return hasNode(p.Candidate, key) }

// Store keeps what a sponsor must remember between runs: the signed terms of
// its invitations, without their secrets, and the knocks that wait. Each is a
// small file that only the node's owner can read.
type Store struct{ dir string }

// OpenStore makes the directory where it is missing.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the invitations: %w", err)
	}
	return &Store{dir}, nil
}

// Keep remembers the terms of an invitation that this node gave out.
func (s *Store) Keep(i *Invitation) error {
	if !i.IsComplete() {
		return errors.New("keep an invitation: only its code is known")
	}
	return s.write(i.ID(), ".terms", i.signed)
}

// Waiting are the knocks that wait for a decision, oldest first. Those whose
// numbers differed are not among them.
func (s *Store) Waiting() ([]Pending, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read the knocks: %w", err)
	}
	var out []Pending
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".knock"); ok {
			if p, ok := s.read(name); ok && !p.Stopped {
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Pending) int { return int(a.Knocked - b.Knocked) })
	return out, nil
}

// Get is the knock that waits by an invitation.
func (s *Store) Get(id registry.ID) (Pending, bool) { return s.read(id.String()) }

func (s *Store) read(name string) (Pending, bool) {
	b, err := os.ReadFile(filepath.Join(s.dir, name+".knock"))
	if err != nil {
		return Pending{}, false
	}
	var p Pending
	if err := identity.Unmarshal(b, &p); err != nil {
		return Pending{}, false // the newcomer knocks again
	}
	return p, true
}

func (s *Store) put(p Pending) error {
	if was, ok := s.Get(p.Invitation); ok && p.Command == nil && string(was.Statement) == string(p.Statement) {
		p.Command = was.Command
	}
	b, err := identity.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep a knock: %w", err)
	}
	return s.write(p.Invitation, ".knock", b)
}

// command is the signed proposal of a knock, made and kept once.
func (s *Store) command(p Pending, sign func() ([]byte, error)) ([]byte, error) {
	if p.Command != nil {
		return p.Command, nil
	}
	var err error
	if p.Command, err = sign(); err != nil {
		return nil, err
	}
	return p.Command, s.put(p)
}

// drop forgets a knock; a knock that is left behind by accident is told apart
// by the registry.
func (s *Store) drop(id registry.ID) { _ = os.Remove(filepath.Join(s.dir, id.String()+".knock")) }

func (s *Store) terms(id registry.ID) []byte {
	b, err := os.ReadFile(filepath.Join(s.dir, id.String()+".terms"))
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		return nil
	}
	return b
}

func (s *Store) write(id registry.ID, suffix string, b []byte) error {
	path := filepath.Join(s.dir, id.String()+suffix)
	if err := durable.Write(path, b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
