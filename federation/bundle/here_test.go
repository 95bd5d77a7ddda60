package bundle_test

import (
	"strings"
	"testing"

	"github.com/2ps-project/waymark/federation/bundle"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// TestVotersChange: a node that knew the first voter only follows the changes of
// the voters that are in the file, and a newer head without entries is taken.
func TestVotersChange(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	r.mustTake(w.export(nil))
	w.confirm("DE", "LT", "PL")
	w.confirm("LT", "PL")
	w.command(w.founder.Invite(t, w.state, "FI"))
	w.confirm()
	r.at = w.at
	r.mustTake(w.export(nil))
	if r.heads.Rotation() != 3 || r.state.Seq() != w.state.Seq() {
		t.Fatalf("rotation %d, entry %d", r.heads.Rotation(), r.state.Seq())
	}
	w.confirm()
	r.at = w.at
	report := r.mustTake(w.export(nil))
	if r.heads.Newest().Issued != w.heads.Newest().Issued || report.NewEntries != 0 {
		t.Errorf("the newest word of the voters did not come along: %+v", report)
	}
	fresh := newReplica(t, w.at)
	fresh.mustTake(w.export(nil))
	if fresh.heads.Rotation() != 3 {
		t.Errorf("a new node: rotation %d", fresh.heads.Rotation())
	}
}

// otherKeys answers for one origin in another way than the registry.
type otherKeys struct {
	feed.Keys
	origin identity.OriginID
	epoch  func(uint64, bool) (uint64, bool)
	key    bool // the keys of the origin are not known any more
	forked uint64
}

func (k otherKeys) Epoch(o identity.OriginID) (uint64, bool) {
	epoch, ok := k.Keys.Epoch(o)
	if o == k.origin && k.epoch != nil {
		return k.epoch(epoch, ok)
	}
	return epoch, ok
}

func (k otherKeys) HeadKey(o identity.OriginID, epoch, n uint64, id identity.KeyID) (identity.PublicKey, bool) {
	if o == k.origin && k.key {
		return identity.PublicKey{}, false
	}
	return k.Keys.HeadKey(o, epoch, n, id)
}

func (k otherKeys) Forked(o identity.OriginID) (uint64, bool) {
	if o == k.origin && k.forked > 0 {
		return k.forked, true
	}
	return k.Keys.Forked(o)
}

// TestSetAside: what is known here and not in the bundle counts here. The feed
// that it is about stays as it is; the others are taken.
func TestSetAside(t *testing.T) {
	w := three(t)
	older := w.export(nil)
	w.publish("PL", put(1000, 1001, "dwa")...)
	w.publish("DE", put(0, 1, "drei")...)
	newer := w.export(nil)
	tests := []struct {
		name string
		keys otherKeys
		why  error
	}{
		{"suspended", otherKeys{epoch: func(uint64, bool) (uint64, bool) { return 0, false }}, feed.ErrOrigin},
		{"began anew", otherKeys{epoch: func(e uint64, ok bool) (uint64, bool) { return e + 1, ok }}, feed.ErrEpoch},
		{"its key was revoked", otherKeys{key: true}, identity.ErrUnknownKey},
		{"signed in two ways", otherKeys{forked: 2}, feed.ErrForked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplica(t, w.at)
			r.mustTake(older)
			held := contents(t, r.store, w.members["PL"].Origin)
			report, err := r.take(newer, func(o *bundle.ImportOptions) {
				o.Rules = func(s *registry.State, heads registry.HeadChain) feed.Rules {
					rules := bundle.Rules(s, heads, w.at)
					tt.keys.Keys, tt.keys.origin = rules.Keys, w.members["PL"].Origin
					rules.Keys = tt.keys
					return rules
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := outcomes(report); got["PL"] != bundle.OutcomeAside || got["DE"] != bundle.OutcomeTaken {
				t.Errorf("outcomes %v", got)
			}
			for _, f := range report.Feeds {
				if f.Country == "PL" && !strings.Contains(f.Reason, tt.why.Error()) {
					t.Errorf("the reason is %q, want %q in it", f.Reason, tt.why)
				}
			}
			if now := contents(t, r.store, w.members["PL"].Origin); now[0] != held[0] {
				t.Error("the feed moved")
			}
		})
	}
}

// TestRulingInBundle: what the docket of a bundle changes holds for its feeds.
func TestRulingInBundle(t *testing.T) {
	w := three(t)
	r := newReplica(t, w.at)
	report, err := r.take(w.export(func(o *bundle.ExportOptions) { o.Docket = items("PL is suspended") }), func(o *bundle.ImportOptions) {
		o.Rules = func(s *registry.State, heads registry.HeadChain) feed.Rules {
			rules := bundle.Rules(s, heads, w.at)
			if len(r.items) > 0 {
				rules.Keys = otherKeys{Keys: rules.Keys, origin: w.members["PL"].Origin, epoch: func(uint64, bool) (uint64, bool) { return 0, false }}
			}
			return rules
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(report); got["PL"] != bundle.OutcomeAside || got["DE"] != bundle.OutcomeTaken {
		t.Errorf("outcomes %v", got)
	}
	if contents(t, r.store, w.members["PL"].Origin) != nil {
		t.Error("the feed was taken")
	}
}

// forgetful shows of each feed the newest head only.
type forgetful struct{ feed.Store }

type forgetfulView struct{ feed.StoreView }

func (f forgetful) View(o identity.OriginID) (feed.StoreView, error) {
	view, err := f.Store.View(o)
	return forgetfulView{view}, err
}

func (v forgetfulView) Heads(n uint64, limit int) ([][]byte, error) {
	if h := v.Head(); h != nil {
		return v.StoreView.Heads(max(n, h.N), limit)
	}
	return nil, nil
}

// TestLongAway: heads in between that nobody keeps any more are made up for by
// the voters' word on a later one, and by nothing else.
func TestLongAway(t *testing.T) {
	for _, anchored := range []bool{false, true} {
		w := three(t)
		r := newReplica(t, w.at)
		r.mustTake(w.export(nil))
		for i := range 5 {
			w.publish("DE", put(i, i+1, "anders")...)
		}
		w.vector = anchored
		w.confirm()
		r.at = w.at
		report := r.mustTake(w.export(func(o *bundle.ExportOptions) { o.Feeds = forgetful{w.store} }))
		want := bundle.OutcomeAside
		if anchored {
			want = bundle.OutcomeTaken
			r.same(w)
		}
		if got := outcomes(report)["DE"]; got != want {
			t.Errorf("anchored %t: %s, want %s: %+v", anchored, got, want, report.Feeds)
		}
	}
}
