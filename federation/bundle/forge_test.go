package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// The format once more, written down from DESIGN.md and not from the code.
const firstLine = "waymark bundle 1\n"

const (
	partManifest = 1
	partRegistry = 2
	partEntries  = 3
	partItems    = 4
	partFeed     = 5
	partHeads    = 6
	partChanges  = 7
	partTrailer  = 8
)

type part struct {
	kind byte
	body []byte
}

type entriesPart struct {
	From    uint64   `cbor:"1,keyasint"`
	Entries [][]byte `cbor:"2,keyasint"`
}

type changePart struct {
	_      struct{} `cbor:",toarray"`
	Change feed.Change
	Record []byte
}

type trailerPart struct {
	Version    uint64                `cbor:"1,keyasint"`
	Federation identity.FederationID `cbor:"2,keyasint"`
	Bytes      uint64                `cbor:"3,keyasint"`
	Hash       [32]byte              `cbor:"4,keyasint"`
}

func unpack(t testing.TB, file []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func pack(t testing.TB, plain []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(plain, nil)
}

// parts takes a bundle apart.
func parts(t testing.TB, file []byte) (out []part) {
	t.Helper()
	rest, ok := bytes.CutPrefix(unpack(t, file), []byte(firstLine))
	if !ok {
		t.Fatal("no first line")
	}
	for len(rest) > 0 {
		n := binary.BigEndian.Uint32(rest[1:5])
		out = append(out, part{rest[0], bytes.Clone(rest[5 : 5+n])})
		rest = rest[5+n:]
	}
	return out
}

func join(list []part) []byte {
	out := []byte(firstLine)
	for _, p := range list {
		out = append(out, p.kind)
		out = binary.BigEndian.AppendUint32(out, uint32(len(p.body)))
		out = append(out, p.body...)
	}
	return out
}

// forge puts parts together again, with a new trailer in place of the last one,
// as who has the key of a node can.
func forge(t testing.TB, list []part, key *identity.Key) []byte {
	t.Helper()
	if n := len(list); n > 0 && list[n-1].kind == partTrailer {
		list = list[:n-1]
	}
	plain := join(list)
	var m bundle.Manifest
	decode(t, list[0].body, &m)
	body := encode(t, trailerPart{bundle.Version, m.Federation, uint64(len(plain)), sha256.Sum256(plain)})
	return pack(t, join(append(list[:len(list):len(list)], part{partTrailer, identity.Sign(identity.TypeBundle, m.Federation, body, key).Encode()})))
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := identity.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t testing.TB, b []byte, v any) {
	t.Helper()
	if err := identity.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// index is where the nth part of a kind stands.
func index(t testing.TB, list []part, kind byte, nth int) int {
	t.Helper()
	for i, p := range list {
		if p.kind == kind {
			if nth == 0 {
				return i
			}
			nth--
		}
	}
	t.Fatalf("no part %d", kind)
	return -1
}

// editManifest changes the table of contents.
func editManifest(t testing.TB, list []part, change func(*bundle.Manifest)) {
	t.Helper()
	var m bundle.Manifest
	decode(t, list[0].body, &m)
	change(&m)
	list[0].body = encode(t, m)
}

// editChanges changes the nth part with changes.
func editChanges(t testing.TB, list []part, nth int, change func([]changePart) []changePart) {
	t.Helper()
	i := index(t, list, partChanges, nth)
	var c []changePart
	decode(t, list[i].body, &c)
	list[i].body = encode(t, change(c))
}
