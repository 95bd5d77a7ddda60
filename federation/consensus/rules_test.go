package consensus_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/consensus"
	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// telling is a network over which nodes say that they run another version of the
// registry's rules than they do.
type telling struct {
	consensus.Network
	version *atomic.Uint64 // what they say; 0: the truth
}

func (n telling) Client() *http.Client {
	c := *n.Network.Client()
	c.Transport = versions{c.Transport, n.version}
	return &c
}

type versions struct {
	http.RoundTripper
	version *atomic.Uint64
}

// keyVersion is where an answer to /status tells the version of the rules.
const keyVersion = 10

func (v versions) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := v.RoundTripper.RoundTrip(r)
	said := v.version.Load()
	if err != nil || said == 0 || !strings.HasSuffix(r.URL.Path, "/status") {
		return res, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var answer map[uint64]any
	if err := identity.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	if _, ok := answer[keyVersion]; !ok {
		return nil, errors.New("the answer tells no version")
	}
	answer[keyVersion] = said
	if b, err = identity.Marshal(answer); err != nil {
		return nil, err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return res, nil
}

// TestRulesAreActivatedWhenAllVotersKnowThem: the members may sign that later rules
// hold; the leader orders that only when each voter's program says that it knows
// them. One that does not, or does not answer, would stop there, and the quorum with
// it.
func TestRulesAreActivatedWhenAllVotersKnowThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &federation{t: t, net: fedtest.NewNetwork(20 * time.Millisecond), nodes: map[string]*node{}}
		defer f.end()
		version := new(atomic.Uint64)
		f.options = func(o *consensus.Options) { o.Network = telling{o.Network, version} }
		pl := f.node("PL")
		e, _, err := registry.Genesis{Version: 1, Random: [32]byte{1}, Name: "Old", Founded: registrytest.Start.Unix(), Founder: pl.Candidate}.Sign(pl.Keys)
		if err != nil {
			t.Fatal(err)
		}
		f.genesis, pl.bootstrap = e.Encode(), true
		pl.start()
		de, lt := f.join("DE"), f.join("LT")
		f.within(time.Minute, "three voters", func() bool { return f.voters(pl, 3) && f.voters(de, 3) && f.voters(lt, 3) })
		if pl.State().Rules() != 1 {
			t.Fatalf("it begins under version %d", pl.State().Rules())
		}
		activate := func() error {
			_, c := de.Sign(t, de.State(), registry.KindActivate, registry.Activate{Rules: 2}, pl.Member, lt.Member)
			_, err := de.Propose(context.Background(), c)
			return err
		}

		version.Store(1)
		if err := activate(); !errors.Is(err, registry.ErrConflict) || !strings.Contains(err.Error(), "it needs a newer program first") {
			t.Fatalf("with voters that know version 1: %v", err)
		}
		version.Store(0)
		lt.halt()
		if err := activate(); !errors.Is(err, registry.ErrConflict) || !strings.Contains(err.Error(), lt.Node().String()) {
			t.Fatalf("with a voter that cannot be asked: %v", err)
		}
		if pl.State().Rules() != 1 || de.State().Rules() != 1 {
			t.Fatal("the later rules hold")
		}
		lt.start()
		f.within(time.Minute, "three voters again", func() bool { return f.voters(lt, 3) && f.same() })
		if err := activate(); err != nil {
			t.Fatal(err)
		}
		f.within(10*time.Second, "the later rules hold everywhere", func() bool { return f.same() && lt.State().Rules() == 2 })
	})
}
