package identity_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
)

var fed = identity.FederationID{1, 2, 3}

func key(t testing.TB, role identity.Role, seed byte) *identity.Key {
	t.Helper()
	return identity.KeyFromSeed(role, [32]byte{0: seed, 31: 1})
}

// known answers for the keys given and for nobody else.
func known(keys ...*identity.Key) func(identity.KeyID) (identity.PublicKey, bool) {
	return func(id identity.KeyID) (identity.PublicKey, bool) {
		for _, k := range keys {
			if k.ID() == id {
				return k.Public(), true
			}
		}
		return identity.PublicKey{}, false
	}
}

func TestVerify(t *testing.T) {
	a, b, stranger := key(t, identity.RoleAdmin, 1), key(t, identity.RoleAdmin, 2), key(t, identity.RoleAdmin, 3)
	body := []byte("body")
	other := fed
	other[15] ^= 1
	bend := func(f func(*identity.Envelope)) *identity.Envelope {
		e := identity.Sign(identity.TypeCommand, fed, body, a, b)
		f(e)
		return e
	}
	for _, c := range []struct {
		name string
		e    *identity.Envelope
		typ  identity.Type
		fed  identity.FederationID
		err  error
		want int
	}{
		{"two signers", bend(func(*identity.Envelope) {}), identity.TypeCommand, fed, nil, 2},
		{"one key twice counts once", identity.Sign(identity.TypeCommand, fed, body, a, a), identity.TypeCommand, fed, nil, 1},
		{"no signature", identity.Sign(identity.TypeCommand, fed, body), identity.TypeCommand, fed, identity.ErrUnsigned, 0},
		{"given for another type", bend(func(*identity.Envelope) {}), identity.TypeHead, fed, identity.ErrBadSignature, 0},
		{"given for another federation", bend(func(*identity.Envelope) {}), identity.TypeCommand, other, identity.ErrBadSignature, 0},
		{"another body", bend(func(e *identity.Envelope) { e.Body = []byte("bodY") }), identity.TypeCommand, fed, identity.ErrBadSignature, 0},
		{"one unknown among known", identity.Sign(identity.TypeCommand, fed, body, a, stranger), identity.TypeCommand, fed, identity.ErrUnknownKey, 0},
		{"one bad among good", bend(func(e *identity.Envelope) { e.Signatures[1].Value[5] ^= 1 }), identity.TypeCommand, fed, identity.ErrBadSignature, 0},
		{"another's name on a signature", bend(func(e *identity.Envelope) { e.Signatures[0].Key = b.ID() }), identity.TypeCommand, fed, identity.ErrBadSignature, 0},
		{"unknown algorithm", bend(func(e *identity.Envelope) { e.Signatures[0].Algorithm = 2 }), identity.TypeCommand, fed, identity.ErrAlgorithm, 0},
		{"type and version do not run together", &identity.Envelope{Body: body, Signatures: []identity.Signature{a.Sign("command/1\x00x", fed, body)}}, identity.TypeCommand, fed, identity.ErrBadSignature, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.e.Verify(c.typ, c.fed, known(a, b))
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || len(got) != c.want {
				t.Errorf("Verify = %v, %v; want %d signers, %v", got, err, c.want, c.err)
			}
			if err != nil && got != nil {
				t.Error("signers beside an error")
			}
		})
	}
}

func TestParseEnvelope(t *testing.T) {
	k := key(t, identity.RoleAdmin, 1)
	good := identity.Sign(identity.TypeHead, fed, []byte("body"), k)
	many := &identity.Envelope{Body: []byte("body")}
	for range identity.MaxSignatures + 1 {
		many.Signatures = append(many.Signatures, good.Signatures[0])
	}
	short := &identity.Envelope{Body: []byte("body"), Signatures: []identity.Signature{{Algorithm: 1, Value: make([]byte, 63)}}}
	for name, b := range map[string][]byte{
		"nothing":               {},
		"trailing bytes":        append(good.Encode(), 0),
		"cut off":               good.Encode()[:20],
		"no body":               (&identity.Envelope{Signatures: good.Signatures}).Encode(),
		"33 signatures":         many.Encode(),
		"a short signature":     short.Encode(),
		"too long":              make([]byte, identity.MaxEnvelope+1),
		"a key given twice":     []byte("\xa3\x01\x41a\x01\x41b\x02\x80"),
		"indefinite length":     []byte("\xbf\x01\x41a\x02\x80\xff"),
		"a tag":                 []byte("\xa2\x01\xc0\x41a\x02\x80"),
		"a key id of nine":      append([]byte("\xa2\x01\x41a\x02\x81\x83\x01\x49123456789\x58\x40"), make([]byte, 64)...),
		"a key id of seven":     append([]byte("\xa2\x01\x41a\x02\x81\x83\x01\x471234567\x58\x40"), make([]byte, 64)...),
		"a signature of four":   append([]byte("\xa2\x01\x41a\x02\x81\x84\x01\x4812345678\x58\x40"), make([]byte, 65)...),
		"a list, not a map":     []byte("\x82\x41a\x80"),
		"more nesting than met": bytes.Repeat([]byte{0x81}, 64),
	} {
		if _, err := identity.ParseEnvelope(b); !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	got, err := identity.ParseEnvelope(good.Encode())
	if err != nil || !bytes.Equal(got.Encode(), good.Encode()) {
		t.Errorf("round trip: %v", err)
	}
	extra := append([]byte("\xa3"), good.Encode()[1:]...)
	if _, err := identity.ParseEnvelope(append(extra, 0x18, 0x63, 0x01)); err != nil {
		t.Errorf("an unknown field must be ignored: %v", err)
	}
}

func TestIDs(t *testing.T) {
	o := identity.NewOriginID()
	if back, err := identity.ParseOriginID(o.String()); err != nil || back != o {
		t.Errorf("ParseOriginID(String) = %v, %v", back, err)
	}
	pub := key(t, identity.RoleNode, 1).Public()
	if back, err := identity.ParsePublicKey(pub.String()); err != nil || back != pub {
		t.Errorf("ParsePublicKey(String) = %v, %v", back, err)
	}
	if back, err := identity.ParseNodeID(pub.NodeID().String()); err != nil || back != pub.NodeID() {
		t.Errorf("ParseNodeID(String) = %v, %v", back, err)
	}
	if back, err := identity.ParseFederationID(fed.String()); err != nil || back != fed {
		t.Errorf("ParseFederationID(String) = %v, %v", back, err)
	}
	for _, s := range []string{"", "00", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("g", 32), strings.Repeat("é", 16)} {
		if _, err := identity.ParseOriginID(s); !errors.Is(err, identity.ErrBadID) {
			t.Errorf("ParseOriginID(%q): %v", s, err)
		}
	}
	// A byte string of another length in a message is refused, not cut or filled.
	for _, n := range []int{0, 15, 17, 32} {
		b, err := identity.Marshal(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		var id identity.OriginID
		if err := identity.Unmarshal(b, &id); !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("an id of %d bytes: %v", n, err)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.key")
	k, err := identity.Generate(identity.RolePublish)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := identity.LoadKey(path, identity.RolePublish)
	if err != nil || back.Public() != k.Public() || back.Role() != identity.RolePublish {
		t.Fatalf("LoadKey: %v", err)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %o", info.Mode().Perm())
	}
	before, _ := os.ReadFile(path)
	if err := key(t, identity.RolePublish, 9).Save(path); !errors.Is(err, identity.ErrKeyExists) {
		t.Errorf("saving over a key: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the key file was changed")
	}
	if _, err := identity.LoadKey(path, identity.RoleAdmin); !errors.Is(err, identity.ErrKeyFile) {
		t.Errorf("a key for another role: %v", err)
	}
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	bad := map[string]string{
		"no PEM":    write("b", "hello", 0o600),
		"empty":     write("c", "", 0o600),
		"short":     write("d", strings.Replace(string(before), "\n\n", "\n\nAA==\n-----END WAYMARK PRIVATE KEY-----\n", 1), 0o600),
		"too large": write("e", string(before)+strings.Repeat("\n", 5000), 0o600),
	}
	if runtime.GOOS != "windows" {
		bad["readable by the group"] = write("f", string(before), 0o640)
		bad["readable by others"] = write("g", string(before), 0o604)
	}
	for name, p := range bad {
		_, err := identity.LoadKey(p, identity.RolePublish)
		if !errors.Is(err, identity.ErrKeyFile) {
			t.Errorf("%s: %v, want ErrKeyFile", name, err)
		}
	}
	if _, err := identity.LoadKey(filepath.Join(dir, "none"), identity.RolePublish); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := identity.LoadSealKey(path); !errors.Is(err, identity.ErrKeyFile) {
		t.Errorf("a publish key as a seal key: %v", err)
	}
}

// TestSecretsAreNotPrinted prints keys in every way that fmt and slog know.
func TestSecretsAreNotPrinted(t *testing.T) {
	dir := t.TempDir()
	k := key(t, identity.RoleAdmin, 7)
	s, err := identity.GenerateSeal()
	if err != nil {
		t.Fatal(err)
	}
	secret := func(save func(string) error, name string) []byte {
		path := filepath.Join(dir, name)
		if err := save(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	pemKey, pemSeal := secret(k.Save, "k"), secret(s.Save, "s")
	seed := [32]byte{0: 7, 31: 1}
	type holder struct {
		Key    *identity.Key
		Value  identity.Key
		Seal   *identity.SealKey
		hidden identity.Key
		veiled identity.SealKey
	}
	things := map[string]any{
		"key": k, "key by value": *k, "seal": s, "seal by value": *s, "list": []*identity.Key{k}, "values": []identity.Key{*k},
		"holder": holder{k, *k, s, *k, *s}, "pointer to holder": &holder{k, *k, s, *k, *s}, "map": map[string]any{"k": *k, "s": *s},
	}
	for name, thing := range things {
		var all strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%b", "%o", "%t", "%p"} {
			fmt.Fprintf(&all, verb+"\n", thing)
		}
		slog.New(slog.NewTextHandler(&all, nil)).Info("x", "thing", thing)
		slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "thing", thing)
		out := all.String()
		for what, bad := range map[string]string{
			"hexadecimal": fmt.Sprintf("%x", seed), "upper case": fmt.Sprintf("%X", seed), "spaced": fmt.Sprintf("% x", seed),
			"decimal": "7 0 0 0 0 0 0 0", "Go syntax": "0x7, 0x0, 0x0", "its file": strings.Split(string(pemKey), "\n")[3],
			"the seal key's file": strings.Split(string(pemSeal), "\n")[3],
		} {
			if bad != "" && strings.Contains(out, bad) {
				t.Errorf("%s prints its secret (%s)", name, what)
			}
		}
	}
	if got := fmt.Sprintf("%v %+v", k, *k); !strings.Contains(got, k.ID().String()) {
		t.Errorf("a key prints as %q, without its public name", got)
	}
	_ = fmt.Sprintf("%v %v", identity.Key{}, identity.SealKey{}) // must not panic
}

func TestSeal(t *testing.T) {
	k, err := identity.GenerateSeal()
	if err != nil {
		t.Fatal(err)
	}
	other, err := identity.GenerateSeal()
	if err != nil {
		t.Fatal(err)
	}
	plain, info := []byte("a report"), []byte("report")
	sealed, err := k.Public().Seal(plain, info)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, plain) {
		t.Error("the text shows through")
	}
	if got, err := k.Open(sealed, info); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Open = %q, %v", got, err)
	}
	again, _ := k.Public().Seal(plain, info)
	if bytes.Equal(sealed, again) {
		t.Error("the same text sealed twice looks the same")
	}
	for i := range sealed {
		bent := slices.Clone(sealed)
		bent[i] ^= 1
		if _, err := k.Open(bent, info); !errors.Is(err, identity.ErrSealed) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for name, f := range map[string]func() ([]byte, error){
		"another key":     func() ([]byte, error) { return other.Open(sealed, info) },
		"another purpose": func() ([]byte, error) { return k.Open(sealed, []byte("knock")) },
		"cut off":         func() ([]byte, error) { return k.Open(sealed[:10], info) },
		"nothing":         func() ([]byte, error) { return k.Open(nil, info) },
	} {
		if _, err := f(); !errors.Is(err, identity.ErrSealed) {
			t.Errorf("%s: %v, want ErrSealed", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "seal.key")
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := identity.LoadSealKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := back.Open(sealed, info); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("the saved key opens %q, %v", got, err)
	}
	if _, err := (identity.SealPublicKey{}).Seal(plain, info); err == nil {
		t.Error("sealed to a key that is nobody's")
	}
}

func TestCertificates(t *testing.T) {
	k := key(t, identity.RoleNode, 1)
	cert, err := k.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	if pub, err := identity.KeyOfCertificate(cert.Certificate[0]); err != nil || pub != k.Public() {
		t.Errorf("KeyOfCertificate = %v, %v", pub, err)
	}
	for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish, identity.RoleSeal} {
		if _, err := key(t, role, 1).Certificate(); err == nil {
			t.Errorf("a %s key proves connections", role)
		}
	}
	if _, err := identity.KeyOfCertificate([]byte("no certificate")); !errors.Is(err, identity.ErrMalformed) {
		t.Errorf("garbage: %v", err)
	}
}

func FuzzParseEnvelope(f *testing.F) {
	k := key(f, identity.RoleAdmin, 1)
	f.Add(identity.Sign(identity.TypeHead, fed, []byte("body"), k).Encode())
	f.Add(identity.Sign(identity.TypeHead, fed, []byte("body"), k, k).Encode())
	f.Add([]byte("\xa2\x01\x41a\x02\x80"))
	f.Add([]byte("\xbf\x01\x41a\x02\x80\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := identity.ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, identity.ErrMalformed) {
				t.Errorf("an error without a kind: %v", err)
			}
			return
		}
		back, err := identity.ParseEnvelope(e.Encode())
		if err != nil || !bytes.Equal(back.Body, e.Body) || len(back.Signatures) != len(e.Signatures) {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		if signers, err := e.Verify(identity.TypeHead, fed, known(k)); err == nil {
			if !bytes.Equal(e.Body, []byte("body")) || len(signers) != 1 {
				t.Fatalf("a forged envelope: %x", b)
			}
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "seed")
	if err := key(f, identity.RoleNode, 1).Save(path); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("-----BEGIN WAYMARK PRIVATE KEY-----\n-----END WAYMARK PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := identity.LoadKey(p, identity.RoleNode)
		if err == nil && k.Role() != identity.RoleNode {
			t.Error("a key of another role")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := key(b, identity.RoleAdmin, 1)
	e := identity.Sign(identity.TypeHead, fed, make([]byte, 200), k)
	lookup := known(k)
	for b.Loop() {
		if _, err := e.Verify(identity.TypeHead, fed, lookup); err != nil {
			b.Fatal(err)
		}
	}
}
