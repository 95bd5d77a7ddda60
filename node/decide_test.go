package node

import (
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// TestWhatIsSignedIsWhatWasAskedFor: a ruling that somebody has prepared gets
// this country's signature only when it says what its administrator said.
func TestWhatIsSignedIsWhatWasAskedFor(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	day := feed.Minute(24 * 60)
	takedown := registry.Ruling{Kind: registry.RulingTakedown, Origin: identity.OriginID{1}, Record: feed.Key{1}, Reason: registry.ReasonPrivacy, Text: "an address", Counter: 1}
	revoke := registry.Ruling{Kind: registry.RulingRevoke, Origin: identity.OriginID{1}, Key: identity.KeyID{1}, Reason: registry.ReasonCompromised, Good: &feed.Place{Epoch: 1, N: 7, Hash: identity.Hash{7}}, Counter: 1}
	suspend := registry.Ruling{Kind: registry.RulingSuspend, Origin: identity.OriginID{1}, Reason: registry.ReasonMisuse, Counter: 1}
	for name, c := range map[string]struct {
		wanted registry.Ruling
		change func(*registry.Ruling)
		joins  bool
	}{
		"the same":                     {takedown, func(*registry.Ruling) {}, true},
		"of another's last good head":  {revoke, func(r *registry.Ruling) { r.Good = &feed.Place{Epoch: 1, N: 1, Hash: identity.Hash{1}} }, false},
		"with a last good head":        {suspend, func(r *registry.Ruling) { r.Good = revoke.Good }, false},
		"without a last good head":     {revoke, func(r *registry.Ruling) { r.Good = nil }, false},
		"the same last good head":      {revoke, func(r *registry.Ruling) { r.Good = &feed.Place{Epoch: 1, N: 7, Hash: identity.Hash{7}} }, true},
		"that leaves no later counter": {suspend, func(r *registry.Ruling) { r.Counter = 1000 }, false},
		"with other words":             {takedown, func(r *registry.Ruling) { r.Text = "they are all thieves" }, false},
		"for another reason":           {takedown, func(r *registry.Ruling) { r.Reason = registry.ReasonUnlawful }, false},
		"that lifts":                   {suspend, func(r *registry.Ruling) { r.Off = true }, false},
		"that lasts":                   {takedown, func(r *registry.Ruling) { r.Lasting, r.Until = true, 0 }, false},
		"about another record":         {takedown, func(r *registry.Ruling) { r.Record[0]++ }, false},
		"that is over":                 {takedown, func(r *registry.Ruling) { r.Until = feed.MinuteOf(now) }, false},
		"that is over in a minute":     {takedown, func(r *registry.Ruling) { r.Until = feed.MinuteOf(now) + 1 }, false},
		"of some days ago":             {takedown, func(r *registry.Ruling) { r.Until = feed.MinuteOf(now) + 11*day }, true},
	} {
		waits := c.wanted.Clone()
		if waits.Kind == registry.RulingTakedown {
			waits.Until = feed.MinuteOf(now) + 14*day
		}
		c.change(&waits)
		if got := joins(waits, c.wanted, now); got != c.joins {
			t.Errorf("a ruling %s: signed %v, want %v", name, got, c.joins)
		}
	}
}

type hiding bool

func (h hiding) Hidden(identity.OriginID, feed.Key) (registry.Ruling, []identity.OriginID, bool) {
	return registry.Ruling{}, nil, bool(h)
}

// TestOnlyWhatIsHiddenIsMadeToLast: hiding, showing again and then hiding without an
// end would need no second thought.
func TestOnlyWhatIsHiddenIsMadeToLast(t *testing.T) {
	for name, c := range map[string]struct {
		hidden  bool
		r       registry.Ruling
		refused bool
	}{
		"a confirmation":              {true, registry.Ruling{Kind: registry.RulingTakedown, Lasting: true, Counter: 2}, false},
		"one of what was shown again": {false, registry.Ruling{Kind: registry.RulingTakedown, Lasting: true, Counter: 3}, true},
		"one that comes first":        {false, registry.Ruling{Kind: registry.RulingTakedown, Lasting: true, Counter: 2}, true},
		"hiding for two weeks":        {false, registry.Ruling{Kind: registry.RulingTakedown, Counter: 1}, false},
		"showing again":               {true, registry.Ruling{Kind: registry.RulingTakedown, Off: true, Counter: 2}, false},
		"a suspension":                {false, registry.Ruling{Kind: registry.RulingSuspend, Counter: 1}, false},
	} {
		if err := confirms(hiding(c.hidden), c.r); (err != nil) != c.refused {
			t.Errorf("%s: %v, refused should be %v", name, err, c.refused)
		}
	}
}
