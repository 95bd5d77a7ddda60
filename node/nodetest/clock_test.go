package nodetest_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
)

// TestTheRegistryIsAheadOfTheClock: a node whose clock was set back, or that others
// with a clock ahead have led, says so also when no peer is there to compare with.
func TestTheRegistryIsAheadOfTheClock(t *testing.T) {
	c := config.Default()
	c.Country, c.Operator, c.Federation.Voter = "PL", "Example", true
	if err := c.UseBasePort(freeBase(t, 1)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "pl")
	if err := node.Init(dir, c); err != nil {
		t.Fatal(err)
	}
	if err := node.Found(t.Context(), dir, c, "Example", true); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		off  time.Duration
		want bool
	}{{0, false}, {-5 * time.Minute, false}, {-3 * time.Hour, true}, {time.Hour, false}} {
		n, err := node.New(node.Options{Dir: dir, Config: c, Now: func() time.Time { return time.Now().Add(tt.off) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		<-n.Ready()
		st, err := n.Admin().Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(st.Alarms, func(a control.Alarm) bool { return a.Code == "registry_clock" })
		switch {
		case i >= 0 != tt.want:
			t.Errorf("with a clock that is %v off: %+v", tt.off, st.Alarms)
		case tt.want && (!strings.Contains(st.Alarms[i].Text, "3h0m0s from now") || !strings.Contains(st.Alarms[i].Next, "set it if it is behind") || !st.Degraded):
			t.Errorf("%+v", st.Alarms[i])
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
