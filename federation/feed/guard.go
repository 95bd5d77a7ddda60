package feed

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/2ps-project/waymark/federation/durable"
	"github.com/2ps-project/waymark/federation/identity"
)

// Guard remembers, outside the database, the last head that may have been seen
// by anyone. A node whose database is behind its guard was restored, cloned or
// lost its tail, and must not sign: it would sign a number twice.
type Guard struct {
	Origin   identity.OriginID
	Epoch    uint64
	N        uint64
	Hash     identity.Hash
	Instance [8]byte
}

// covers reports whether the head is the guard's or a newer one: a feed that
// holds it cannot sign a number twice.
func (g Guard) covers(held *SignedHead) bool {
	if held == nil {
		return g.N == 0
	}
	return held.Epoch > g.Epoch || held.Epoch == g.Epoch && held.N >= g.N
}

const guardTitle = "waymark publish guard 1"

// ErrGuard is returned for a guard file that cannot be read.
var ErrGuard = errors.New("the publish guard cannot be read")

// String is the guard as the text of its file.
func (g Guard) String() string {
	return fmt.Sprintf("%s\norigin %s\nepoch %d\nn %d\nhash %s\ninstance %x\n", guardTitle, g.Origin, g.Epoch, g.N, g.Hash, g.Instance)
}

// ParseGuard reads what String writes.
func ParseGuard(text string) (Guard, error) {
	var g Guard
	var origin, hash, instance string
	rest, ok := strings.CutPrefix(text, guardTitle+"\n")
	if !ok {
		return g, fmt.Errorf("%w: it does not begin with %q", ErrGuard, guardTitle)
	}
	if _, err := fmt.Sscanf(rest, "origin %32s\nepoch %d\nn %d\nhash %64s\ninstance %16s\n", &origin, &g.Epoch, &g.N, &hash, &instance); err != nil {
		return g, fmt.Errorf("%w: %v", ErrGuard, err)
	}
	err := g.Origin.UnmarshalText([]byte(origin))
	if err == nil {
		err = g.Hash.UnmarshalText([]byte(hash))
	}
	if err == nil && len(instance) == 16 {
		_, err = hex.Decode(g.Instance[:], []byte(instance))
	}
	if err != nil {
		return g, fmt.Errorf("%w: %v", ErrGuard, err)
	}
	if g.String() != text {
		return g, fmt.Errorf("%w: it holds something else besides", ErrGuard)
	}
	return g, nil
}

// LoadGuard reads a guard file; false when there is none.
func LoadGuard(path string) (Guard, bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Guard{}, false, nil
	}
	if err != nil {
		return Guard{}, false, fmt.Errorf("%w: %v", ErrGuard, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return Guard{}, false, fmt.Errorf("%w: %v", ErrGuard, err)
	}
	g, err := ParseGuard(string(text))
	return g, err == nil, err
}

// Save replaces the guard file durably: the old one or the new one is there
// whole, whatever happens.
func (g Guard) Save(path string) error {
	if err := durable.Write(path, []byte(g.String())); err != nil {
		return fmt.Errorf("write the publish guard: %w", err)
	}
	return nil
}
