package registry_test

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// example is a command that was good at its place in a registry.
type example struct {
	before *registry.State
	time   int64
	registry.Command
	keys []*identity.Key // that signed it

	// inner is what its body wraps, signed on its own: a statement or a ruling.
	inner     *identity.Envelope
	innerType identity.Type
	innerKeys []*identity.Key
}

// examples are the commands of the golden logs, every kind among them.
func examples(t testing.TB) (out []example) {
	pl, de, lt, fi := cast(t)
	keys := make(map[identity.KeyID]*identity.Key)
	for _, m := range []*Member{pl, de, lt, fi} {
		all := []*identity.Key{m.Keys.Admin, m.Keys.Publish, m.Keys.Node}
		for _, role := range []identity.Role{identity.RoleAdmin, identity.RolePublish, identity.RoleNode, identity.RoleRecovery} {
			for n := range byte(10) {
				all = append(all, m.Fresh(role, n))
			}
		}
		for _, k := range all {
			keys[k.ID()] = k
		}
	}
	signers := func(e *identity.Envelope) (by []*identity.Key) {
		for _, s := range e.Signatures {
			if keys[s.Key] == nil {
				t.Fatalf("nobody has the key %s", s.Key)
			}
			by = append(by, keys[s.Key])
		}
		return by
	}
	for _, log := range []func(testing.TB) ([][]byte, *registry.State){golden, goldenRules} {
		entries, _ := log(t)
		for i := 1; i < len(entries); i++ {
			before, err := registry.Replay(entries[:i])
			if err != nil {
				t.Fatal(err)
			}
			e, err := registry.ParseEntry(entries[i])
			if err != nil {
				t.Fatal(err)
			}
			c, envelope, err := registry.ParseCommand(e.Command)
			if err != nil {
				t.Fatal(err)
			}
			x := example{before: before, time: e.Time, Command: c, keys: signers(envelope)}
			if inner, kind := wrapped(c); inner != nil {
				if x.inner, err = identity.ParseEnvelope(inner); err != nil {
					t.Fatal(err)
				}
				x.innerType, x.innerKeys = kind, signers(x.inner)
			}
			out = append(out, x)
		}
	}
	return out
}

// wrapped is the signed envelope in a command's body; nil when it has none.
func wrapped(c registry.Command) ([]byte, identity.Type) {
	var one struct {
		Envelope []byte `cbor:"1,keyasint"`
	}
	switch c.Kind {
	case registry.KindAdmit, registry.KindNode, registry.KindKeys:
		if identity.Unmarshal(c.Payload, &one) == nil {
			return one.Envelope, identity.TypeStatement
		}
	case registry.KindRuling:
		if identity.Unmarshal(c.Payload, &one) == nil {
			return one.Envelope, identity.TypeRuling
		}
	}
	return nil, ""
}

// with is the command with another body, or with another content of the envelope in
// it, signed by the same keys.
func (x example) with(body []byte, inner bool) ([]byte, error) {
	c := x.Command
	c.Payload = body
	if inner {
		envelope := identity.Sign(x.innerType, c.Federation, body, x.innerKeys...).Encode()
		raw, err := identity.Marshal(map[uint64][]byte{1: envelope})
		if err != nil {
			return nil, err
		}
		c.Payload = raw
	}
	return c.Sign(x.keys...)
}

func (x example) apply(command []byte) (*registry.State, error) {
	return x.before.Apply(registry.Entry{Time: x.time, Command: command})
}

// TestEveryKindsBodyIsReached: what the fuzz target below begins with is a good
// command of every kind there is, made as the target makes them; and each kind's
// decoder refuses its body when it is cut short.
func TestEveryKindsBodyIsReached(t *testing.T) {
	reached := make(map[string]bool)
	for _, x := range examples(t) {
		whole, err := x.with(x.Payload, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.apply(whole); err != nil {
			t.Errorf("%s: a good command: %v", x.Kind, err)
		}
		half, _ := x.with(x.Payload[:len(x.Payload)/2], false)
		if _, err := x.apply(half); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: half a body: %v", x.Kind, err)
		}
		reached[string(x.Kind)] = true
		if x.inner == nil {
			continue
		}
		whole, err = x.with(x.inner.Body, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.apply(whole); err != nil {
			t.Errorf("%s: a good command, put together anew: %v", x.Kind, err)
		}
		half, _ = x.with(x.inner.Body[:len(x.inner.Body)/2], true)
		if _, err := x.apply(half); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: half of what is signed in it: %v", x.Kind, err)
		}
	}
	source, err := os.ReadFile("command.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile(`Kind\w+\s+Kind = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	if have := slices.Sorted(maps.Keys(reached)); len(all) < 15 || !slices.Equal(have, all) {
		t.Errorf("examples of %q, there are %q", strings.Join(have, " "), strings.Join(all, " "))
	}
}

// FuzzBodies: whatever a member puts into the body of a command of any kind, or signs
// in it, is judged alike twice, leaves the state before as it was, and leads to one
// that is the next.
func FuzzBodies(f *testing.F) {
	all := examples(f)
	before := make([]string, len(all))
	for i, x := range all {
		before[i] = string(x.before.Encode())
		f.Add(uint8(i), false, x.Payload)
		if x.inner != nil {
			f.Add(uint8(i), true, x.inner.Body)
		}
	}
	f.Fuzz(func(t *testing.T, at uint8, inner bool, body []byte) {
		i := int(at) % len(all)
		x := all[i]
		command, err := x.with(body, inner && x.inner != nil)
		if err != nil {
			return // too long
		}
		next, err := x.apply(command)
		again, errAgain := x.apply(command)
		if string(x.before.Encode()) != before[i] {
			t.Fatalf("%s: the state before has changed", x.Kind)
		}
		switch {
		case (err == nil) != (errAgain == nil):
			t.Fatalf("%s: %v, then %v", x.Kind, err, errAgain)
		case err != nil:
			return
		case next.Seq() != x.before.Seq()+1 || next.Hash() == x.before.Hash() || string(next.Encode()) != string(again.Encode()):
			t.Fatalf("%s: entry %d, and not the same twice", x.Kind, next.Seq())
		}
	})
}
