package registry_test

import (
	"errors"
	"testing"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	. "github.com/2ps-project/waymark/federation/registry/registrytest"
)

// TestClockIsSetBack: enough members correct a time that ran ahead; a contest that
// ran meanwhile gives its member the whole time again.
func TestClockIsSetBack(t *testing.T) {
	f, de, sheet := recoverable(t, "PL", "DE", "LT")
	right := f.Time() + 60
	nothing := func() []byte {
		return f.Sign(registry.KindCaretaker, registry.SetCaretakers{Origin: f.Members["LT"].Origin}, "LT")
	}
	f.At(right+365*86400, nothing())
	k := de.Fresh(identity.RoleAdmin, 1)
	f.Do(f.SignWith(registry.KindKeys, SetKeys(t, f.State, de.Adding(k), k), sheet))
	wrong := registry.SetClock{Reached: f.Time(), Time: right}
	for name, c := range map[string]struct {
		clock registry.SetClock
		want  error
	}{
		"ahead":                 {registry.SetClock{Reached: f.Time(), Time: f.Time() + 1}, registry.ErrMalformed},
		"a time not reached":    {registry.SetClock{Reached: f.Time() + 100, Time: right}, registry.ErrConflict},
		"before the federation": {registry.SetClock{Reached: f.Time(), Time: 1}, registry.ErrConflict},
	} {
		if err := f.Try(f.Sign(registry.KindClock, c.clock, "PL", "LT")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Do(f.Sign(registry.KindClock, wrong, "PL"))
	if f.Time() < right+365*86400 {
		t.Fatal("one of three has set the clock back")
	}
	f.Do(approval(f, "LT"))
	if f.Time() != right {
		t.Fatalf("the time is %d, want %d", f.Time(), right)
	}
	if w := f.Rekeys(); len(w) != 1 || w[0].Due != right+registry.RekeyWait {
		t.Fatalf("what waits: %+v", w)
	}
	f.At(right+registry.RekeyWait-1, nothing())
	if len(f.Rekeys()) != 1 {
		t.Fatal("the contest was cut short")
	}
	f.At(right+registry.RekeyWait, nothing())
	if len(f.Rekeys()) != 0 {
		t.Fatal("the contest does not end")
	}
	if err := f.Try(f.Sign(registry.KindClock, wrong, "PL", "LT")); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("the same correction again: %v", err)
	}
}
