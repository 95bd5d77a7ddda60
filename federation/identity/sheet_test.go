package identity_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
)

func TestPaper(t *testing.T) {
	key, err := identity.Generate(identity.RoleRecovery)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.Paper()
	if err != nil {
		t.Fatal(err)
	}
	for name, typed := range map[string]string{
		"as written": text, "in small letters": strings.ToLower(text), "with spaces": strings.ReplaceAll(text, "-", "  "),
		"without anything between": strings.ReplaceAll(text, "-", ""), "O for 0": strings.ReplaceAll(text, "0", "O"),
	} {
		back, err := identity.RecoveryKey(typed)
		if err != nil || back.ID() != key.ID() || back.Role() != identity.RoleRecovery {
			t.Errorf("%s: %v, %v", name, back, err)
		}
	}
	groups := strings.Split(text, "-")
	swapped := append([]string{groups[1], groups[0]}, groups[2:]...)
	for name, typed := range map[string]string{
		"two groups exchanged": strings.Join(swapped, "-"),
		"the end missing":      strings.Join(groups[:len(groups)-3], "-"),
		"one character wrong":  strings.Map(func(r rune) rune { return r }, flip(text)),
	} {
		if _, err := identity.RecoveryKey(typed); !errors.Is(err, identity.ErrTypo) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := identity.RecoveryKey("nothing of the kind"); err == nil {
		t.Error("words were taken for a key")
	}
	admin, err := identity.Generate(identity.RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Paper(); err == nil {
		t.Error("an admin key was written on paper")
	}
}

// flip changes the first character into another one.
func flip(text string) string {
	if text[0] == '7' {
		return "8" + text[1:]
	}
	return "7" + text[1:]
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte("waymark"), "ABCDE-FGHJK")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		b = b[:min(len(b), 300)]
		if len(b) > 2 {
			back, err := identity.DecodeGroups(identity.EncodeGroups(b))
			if err != nil || !bytes.HasPrefix(back, b) || len(bytes.Trim(back[len(b):], "\x00")) > 0 {
				t.Fatalf("%x came back as %x, %v", b, back, err)
			}
		}
		if _, err := identity.DecodeGroups(text); err != nil && !errors.Is(err, identity.ErrTypo) && !errors.Is(err, identity.ErrNoGroups) {
			t.Fatal(err)
		}
	})
}
