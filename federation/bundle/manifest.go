package bundle

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// Duty is what is asked of whoever keeps a bundle.
const Duty = "Records may be erased at their source after this file was made. Whoever keeps it has to erase them here too: delete the file as soon as a newer one is there, and at the latest when the policy's time for erasing is over."

// Manifest is a bundle's table of contents, its first part. Counts and sizes in
// it are exact: a reader knows what comes before it gives memory for it.
type Manifest struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Name       string                `cbor:"3,keyasint"` // the federation's
	Demo       bool                  `cbor:"4,keyasint"`
	Made       feed.Day              `cbor:"5,keyasint"`
	Exporter   identity.PublicKey    `cbor:"6,keyasint"` // the node key that signs the trailer
	Registry   RegistryPlace         `cbor:"7,keyasint"`
	Feeds      []Feed                `cbor:"8,keyasint"` // by country, then origin
	Left       []Left                `cbor:"9,keyasint,omitempty"`
	Duty       string                `cbor:"10,keyasint"`

	raw []byte
}

// RegistryPlace is how far the registry goes. All its entries are in the file.
type RegistryPlace struct {
	Seq  uint64        `cbor:"1,keyasint"`
	Hash identity.Hash `cbor:"2,keyasint"`
}

// Feed is one feed of a bundle.
type Feed struct {
	Origin  identity.OriginID `cbor:"1,keyasint"`
	Country string            `cbor:"2,keyasint"`
	Place   feed.Place        `cbor:"3,keyasint"` // its head
	Seq     uint64            `cbor:"4,keyasint"` // that head's latest change
	// Base is the head on which a difference builds; zero for a whole feed.
	Base    feed.Place `cbor:"5,keyasint"`
	Changes uint64     `cbor:"6,keyasint"` // changes in the file; of a whole feed, its live records
	Bytes   uint64     `cbor:"7,keyasint"` // of their records
}

// Whole reports whether the feed is there from nothing.
func (f Feed) Whole() bool { return f.Base == (feed.Place{}) }

// Left is a feed that the maker of a bundle holds and left out.
type Left struct {
	Country string            `cbor:"1,keyasint" json:"country"`
	Origin  identity.OriginID `cbor:"2,keyasint" json:"origin"`
	Reason  string            `cbor:"3,keyasint" json:"reason"`
}

// Raw is the manifest as it stands in the file: what a later difference is made
// against.
func (m *Manifest) Raw() []byte { return m.raw }

// feed finds a feed by its origin.
func (m *Manifest) feed(o identity.OriginID) (Feed, bool) {
	for _, f := range m.Feeds {
		if f.Origin == o {
			return f, true
		}
	}
	return Feed{}, false
}

// ParseManifest reads what [Manifest.Raw] gives. It checks form and limits; that
// the rest of the file is as it says is for [Check].
func ParseManifest(b []byte) (*Manifest, error) {
	if len(b) > maxManifest {
		return nil, fmt.Errorf("%w: a table of contents of %d bytes, at most %d", ErrTooLarge, len(b), maxManifest)
	}
	m := new(Manifest)
	if err := identity.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: table of contents: %w", ErrPart, err)
	}
	if m.Version != Version {
		return nil, fmt.Errorf("%w: %d, this program knows %d", ErrVersion, m.Version, Version)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	m.raw = append([]byte(nil), b...)
	return m, nil
}

func (m *Manifest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: table of contents: %s", ErrPart, fmt.Sprintf(format, args...))
	}
	switch {
	case m.Federation.IsZero() || m.Exporter.IsZero() || m.Registry.Seq == 0:
		return bad("no federation, no maker or no registry")
	case m.Registry.Seq > maxEntries:
		return fmt.Errorf("%w: a registry of %d entries, at most %d", ErrTooLarge, m.Registry.Seq, maxEntries)
	case len(m.Feeds) > maxFeeds || len(m.Left) > maxFeeds:
		return fmt.Errorf("%w: %d feeds, at most %d", ErrTooLarge, max(len(m.Feeds), len(m.Left)), maxFeeds)
	case !printable(m.Name, registry.MaxText) || !printable(m.Duty, maxText):
		return bad("a text that cannot be shown")
	}
	seen := make(map[identity.OriginID]bool, len(m.Feeds))
	for _, f := range m.Feeds {
		switch {
		case f.Origin.IsZero() || seen[f.Origin] || !registry.ValidCountry(f.Country):
			return bad("a feed without origin or country, or named twice")
		case f.Place.N == 0 || f.Place.Epoch == 0 || f.Place.Before(f.Base):
			return bad("the feed of %s stands nowhere", f.Country)
		case !f.Whole() && (f.Base.Epoch != f.Place.Epoch || f.Base.N == 0 || f.Base.N == f.Place.N && f.Base != f.Place):
			return bad("the feed of %s builds on what cannot lead to it", f.Country)
		case f.Changes > maxRecords || f.Bytes > maxBytes:
			return fmt.Errorf("%w: %d records of %d bytes of %s, at most %d of %d", ErrTooLarge, f.Changes, f.Bytes, f.Country, maxRecords, int64(maxBytes))
		case f.Bytes > f.Changes*feed.MaxRecord:
			return bad("%d bytes in %d records of %s", f.Bytes, f.Changes, f.Country)
		}
		seen[f.Origin] = true
	}
	for _, l := range m.Left {
		if l.Origin.IsZero() || !registry.ValidCountry(l.Country) || !printable(l.Reason, maxText) {
			return bad("a feed that was left out without origin, country or reason")
		}
	}
	return nil
}

// size is how many bytes of records are to come.
func (m *Manifest) size() (n uint64) {
	for _, f := range m.Feeds {
		n += f.Bytes
	}
	return n
}

func printable(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// ReadManifest reads a bundle's table of contents and no further.
func ReadManifest(r io.Reader) (*Manifest, error) {
	in, err := newReader(r, nil)
	if err != nil {
		return nil, err
	}
	defer in.close()
	return in.manifest()
}
