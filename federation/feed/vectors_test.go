package feed_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/feed/feedtest"
	"github.com/2ps-project/waymark/federation/identity"
)

var update = flag.Bool("update", false, "write the vectors in testdata anew")

// vectors are known answers for whoever writes another implementation. Every
// byte string is in hexadecimal.
type vectors struct {
	Federation string            `json:"federation"`
	Origin     string            `json:"origin"`
	Keys       []keyVector       `json:"keys"`
	Records    []recordVector    `json:"records"`
	Change     string            `json:"change"`   // of the first record, encoded
	Deletion   string            `json:"deletion"` // of its key at number 9, encoded
	Erasure    string            `json:"erasure"`  // the same, with every copy
	Buckets    map[string]string `json:"buckets"`  // hash of an empty bucket 0 and 1023, of the first record's, by name
	EmptyRoot  string            `json:"empty_root"`
	Root       string            `json:"root"`
	Signed     string            `json:"signed"` // what the head's signature covers, in full
	Head       envelopeVector    `json:"head"`
	Beat       envelopeVector    `json:"beat"`
	// Approved is head 2, signed by the admin key as well. Renewed is head 3, by
	// another publish key, in a new epoch and without a change.
	Approved envelopeVector `json:"approved"`
	Renewed  envelopeVector `json:"renewed"`
	// Other is a second head 2, and Evidence of both, encoded.
	Other    envelopeVector `json:"other"`
	Evidence string         `json:"evidence"`
	Guard    string         `json:"guard"`
}

type keyVector struct {
	Role   string `json:"role"`
	Seed   string `json:"seed"`
	Public string `json:"public"`
	ID     string `json:"id"`
	Node   string `json:"node,omitempty"`
}

type recordVector struct {
	Key     string `json:"key"`
	Bucket  int    `json:"bucket"`
	Encoded string `json:"encoded"`
	Hash    string `json:"hash"`
	Seq     uint64 `json:"seq"`
}

type envelopeVector struct {
	Body      string `json:"body"`
	Hash      string `json:"hash,omitempty"`
	Signature string `json:"signature"` // the first one
	Second    string `json:"second_signature,omitempty"`
	Envelope  string `json:"envelope"`
}

func envelope(t *testing.T, b []byte, hash string) envelopeVector {
	t.Helper()
	e, err := identity.ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	v := envelopeVector{
		Body: hex.EncodeToString(e.Body), Hash: hash,
		Signature: hex.EncodeToString(e.Signatures[0].Value), Envelope: hex.EncodeToString(b),
	}
	if len(e.Signatures) > 1 {
		v.Second = hex.EncodeToString(e.Signatures[1].Value)
	}
	return v
}

func headVector(t *testing.T, h *feed.SignedHead) envelopeVector {
	return envelope(t, h.Envelope, h.Hash.String())
}

func makeVectors(t *testing.T) vectors {
	f := feedtest.NewFederation("ada")
	m := f.Member("ada")
	v := vectors{Federation: f.ID.String(), Origin: m.Origin.String(), EmptyRoot: feed.EmptyLeaves().Root().String()}
	for _, name := range []string{"admin/ada", "publish/ada", "publish/ada/2", "node/ada"} {
		role := identity.Role(name[:strings.IndexByte(name, '/')])
		seed := sha256.Sum256([]byte("feedtest/" + name))
		k := identity.KeyFromSeed(role, seed)
		kv := keyVector{Role: string(role), Seed: hex.EncodeToString(seed[:]), Public: k.Public().String(), ID: k.ID().String()}
		if role == identity.RoleNode {
			kv.Node = k.Public().NodeID().String()
		}
		v.Keys = append(v.Keys, kv)
	}
	a := f.Author("ada").Fill(0, 3, "vector")
	for _, c := range a.Live() {
		v.Records = append(v.Records, recordVector{c.Key.String(), c.Key.Bucket(), hex.EncodeToString(a.Raw(c.Key)), c.Hash.String(), c.Seq})
	}
	first := a.Live()[0]
	for c, into := range map[feed.Change]*string{
		first: &v.Change, {Seq: 9, Key: first.Key, Op: feed.Delete}: &v.Deletion, {Seq: 9, Key: first.Key, Op: feed.Erase}: &v.Erasure,
	} {
		b, err := identity.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		*into = hex.EncodeToString(b)
	}
	v.Buckets = map[string]string{
		"empty 0": feed.BucketHash(0, nil).String(), "empty 1023": feed.BucketHash(1023, nil).String(),
		"of the first record": feed.BucketHash(first.Key.Bucket(), a.Bucket(first.Key.Bucket())).String(),
	}
	v.Root = a.Leaves().Root().String()
	env, _ := a.Head(nil)
	h, err := feed.ParseHead(env)
	if err != nil {
		t.Fatal(err)
	}
	v.Head = envelope(t, env, h.Hash.String())
	v.Signed = hex.EncodeToString([]byte("waymark/head/1\x00")) + v.Federation + v.Head.Body
	v.Beat = envelope(t, a.Beat(7).Envelope, "")
	other := a.Clone()
	a.Put(first.Key, "changed").Head(nil, m.Publish, m.Admin)
	other.Put(first.Key, "changed otherwise").Head(nil)
	v.Approved, v.Other = headVector(t, a.View().Head()), headVector(t, other.View().Head())
	v.Evidence = hex.EncodeToString(feed.NewEvidence(a.View().Head(), other.View().Head()).Encode())
	f.Rotate("ada", 2)
	f.Bump("ada", nil)
	a.Head(nil)
	v.Renewed = headVector(t, a.View().Head())
	v.Guard = feed.Guard{Origin: m.Origin, Epoch: 1, N: 1, Hash: h.Hash, Instance: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}.String()
	return v
}

// TestVectors fails when any byte of the formats changes. That would cut this
// version off from all others: see the type and version in what is signed.
func TestVectors(t *testing.T) {
	got, err := json.MarshalIndent(makeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", "vectors.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the formats changed; got:\n%s", got)
	}
}

// TestVectorsStandAlone checks the vectors by plain SHA-256 and Ed25519 alone.
func TestVectorsStandAlone(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sum := func(parts ...[]byte) string {
		h := sha256.New()
		for _, p := range parts {
			h.Write(p)
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	for _, k := range v.Keys {
		if sum(unhex(k.Public))[:16] != k.ID {
			t.Errorf("%s: the key id is not the first 8 bytes of the key's hash", k.Role)
		}
		spki := append(unhex("302a300506032b6570032100"), unhex(k.Public)...)
		if k.Node != "" && sum(spki)[:32] != k.Node {
			t.Error("the node id is not the first 16 bytes of the hash of the SubjectPublicKeyInfo")
		}
	}
	covered := func(body string) []byte {
		return unhex(hex.EncodeToString([]byte("waymark/head/1\x00")) + v.Federation + body)
	}
	if hex.EncodeToString(covered(v.Head.Body)) != v.Signed {
		t.Error("what is named signed is not the type, the federation and the body")
	}
	admin, publish, next := unhex(v.Keys[0].Public), unhex(v.Keys[1].Public), unhex(v.Keys[2].Public)
	for _, c := range []struct {
		what            string
		key             []byte
		body, signature string
	}{
		{"the first head", publish, v.Head.Body, v.Head.Signature},
		{"the approved head", publish, v.Approved.Body, v.Approved.Signature},
		{"the approval", admin, v.Approved.Body, v.Approved.Second},
		{"the other head", publish, v.Other.Body, v.Other.Signature},
		{"the renewed head", next, v.Renewed.Body, v.Renewed.Signature},
	} {
		if !verify(c.key, covered(c.body), unhex(c.signature)) {
			t.Errorf("%s: the signature does not cover the body", c.what)
		}
	}
	for _, e := range []envelopeVector{v.Head, v.Approved, v.Other, v.Renewed} {
		if sum([]byte{0x20}, unhex(e.Body)) != e.Hash {
			t.Error("a head's hash is not that of 0x20 and its body")
		}
	}
	for before, after := range map[string]string{v.Head.Hash: v.Approved.Body, v.Approved.Hash: v.Renewed.Body} {
		if !strings.Contains(after, before) {
			t.Error("a head does not name the one before it")
		}
	}
	a, b := v.Approved, v.Other
	if a.Hash > b.Hash {
		a, b = b, a
	}
	if i, j := strings.Index(v.Evidence, a.Envelope), strings.Index(v.Evidence, b.Envelope); i < 0 || j < i {
		t.Error("the evidence is not the two envelopes, the one with the lower hash first")
	}
	leaves := make([][]byte, 1024)
	for q := range leaves {
		parts := [][]byte{{0, byte(q >> 8), byte(q)}}
		for _, r := range v.Records { // at most one in each bucket here
			if r.Bucket == q {
				parts = append(parts, unhex(r.Key), []byte{0, 0, 0, 0, 0, 0, 0, byte(r.Seq)}, unhex(r.Hash))
			}
		}
		leaves[q] = unhex(sum(parts...))
	}
	for n := 512; n > 0; n /= 2 {
		for i := range n {
			leaves[i] = unhex(sum([]byte{1}, leaves[2*i], leaves[2*i+1]))
		}
	}
	if hex.EncodeToString(leaves[0]) != v.Root {
		t.Error("the root is not the tree over the buckets")
	}
	for _, r := range v.Records {
		if sum([]byte{0x10}, unhex(r.Encoded)) != r.Hash {
			t.Errorf("record %s: its hash is not that of 0x10 and its bytes", r.Key)
		}
		if k := sha256.Sum256(unhex(r.Key)); int(k[0])<<2|int(k[1])>>6 != r.Bucket {
			t.Errorf("record %s: its bucket is not the first ten bits of the key's hash", r.Key)
		}
	}
}

func verify(pub, msg, sig []byte) bool { return ed25519.Verify(pub, msg, sig) }
