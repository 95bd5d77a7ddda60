package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/transport"
)

// laptop starts a member that the registry gives no address for and that
// nobody could dial: its host takes no connections.
func (p *play) laptop(host string) *actor {
	p.t.Helper()
	a := p.stranger(host)
	peer := a.peer()
	peer.Endpoints = nil
	p.dir.put(peer)
	return a
}

// keep runs KeepReverse until the test, or the function returned, ends it.
func (p *play) keep(a *actor, want int, through ...*actor) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var ids []identity.NodeID
	for _, b := range through {
		ids = append(ids, b.id)
	}
	go func() { done <- a.KeepReverse(ctx, func() []identity.NodeID { return ids }, want) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("KeepReverse: %v", err)
		}
	})
	p.t.Cleanup(stop)
	return stop
}

// greets has an actor answer every request with its name and who asked.
func greets(a *actor) {
	a.ServeHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := transport.PeerOf(r.Context())
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s heard %q from %s", a.host, body, id)
	}))
}

func ask(from, to *actor, text string) error {
	resp, err := from.Client().Post("https://"+to.id.String()+"/", "text/plain", strings.NewReader(text))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if want := fmt.Sprintf("%s heard %q from %s", to.host, text, from.id); err == nil && string(got) != want {
		err = fmt.Errorf("answer is %q, want %q", got, want)
	}
	return err
}

func TestReverseConnectionCarriesRequests(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi, ee, nat := p.member("lt"), p.member("fi"), p.member("ee"), p.laptop("nat")
		for _, a := range []*actor{lt, fi, ee, nat} {
			greets(a)
		}
		if err := ask(lt, nat, "before"); !errors.Is(err, transport.ErrNoEndpoint) {
			t.Errorf("before there is a connection: %v", err)
		}
		stop := p.keep(nat, 2, lt, fi, ee)
		time.Sleep(time.Second)
		if !lt.Reverse(nat.id) || !fi.Reverse(nat.id) || ee.Reverse(nat.id) {
			t.Errorf("reachable through lt, fi, ee: %v, %v, %v; want the first two", lt.Reverse(nat.id), fi.Reverse(nat.id), ee.Reverse(nat.id))
		}
		if got := nat.ReversedTo(); len(got) != 2 || !slices.Contains(got, lt.id) || !slices.Contains(got, fi.id) {
			t.Errorf("reachable through %v", got)
		}
		// Both ways at once, and many requests of one moment on one connection.
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				if err := ask(lt, nat, fmt.Sprint("number ", i)); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if err := ask(nat, lt, fmt.Sprint("number ", i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := ask(ee, nat, "x"); !errors.Is(err, transport.ErrNoEndpoint) {
			t.Errorf("a peer without a connection: %v", err)
		}
		// Idle for a day, and still there.
		time.Sleep(24 * time.Hour)
		if err := ask(fi, nat, "after a day"); err != nil {
			t.Error(err)
		}
		if n := fi.Stats().Accepted[transport.ProtoReverse]; n != 1 {
			t.Errorf("%d reverse connections in a day, want 1", n)
		}
		stop()
		time.Sleep(time.Second)
		if lt.Reverse(nat.id) || len(nat.ReversedTo()) != 0 {
			t.Error("still reachable after KeepReverse ended")
		}
		if err := ask(lt, nat, "x"); !errors.Is(err, transport.ErrNoEndpoint) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestReverseConnectionAfterACut(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi, ee, nat := p.member("lt"), p.member("fi"), p.member("ee"), p.laptop("nat")
		greets(nat)
		p.keep(nat, 2, lt, fi, ee)
		time.Sleep(time.Second)
		p.net.Cut("nat", "lt")
		hung := make(chan error, 1)
		go func() { hung <- ask(lt, nat, "into the void") }()
		time.Sleep(15 * time.Second)
		select {
		case err := <-hung:
			if err == nil {
				t.Error("a request crossed the cut")
			}
		default:
			t.Error("a request still hangs 15 s after the cut")
		}
		if lt.Reverse(nat.id) {
			t.Error("lt has not noticed the cut after 15 s")
		}
		// Somebody else stands in.
		time.Sleep(2 * time.Second)
		if !fi.Reverse(nat.id) || !ee.Reverse(nat.id) {
			t.Errorf("fi %v, ee %v; want both", fi.Reverse(nat.id), ee.Reverse(nat.id))
		}
		// With two of three gone, the missing one is opened once it is back.
		p.net.Cut("nat", "ee")
		time.Sleep(3 * time.Minute)
		p.net.Heal("nat", "lt")
		time.Sleep(75 * time.Second)
		if err := ask(lt, nat, "again"); err != nil {
			t.Errorf("75 s after healing: %v", err)
		}
	})
}

func TestReverseConnectionOfTheRevoked(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, nat := p.member("lt"), p.laptop("nat")
		greets(nat)
		p.keep(nat, 2, lt)
		time.Sleep(time.Second)
		if err := ask(lt, nat, "x"); err != nil {
			t.Fatal(err)
		}
		known, _ := p.dir.Peer(nat.id)
		p.dir.remove(nat.id)
		lt.Recheck()
		synctest.Wait()
		if lt.Reverse(nat.id) {
			t.Error("the connection of a revoked node is still open")
		}
		if err := ask(lt, nat, "x"); !errors.Is(err, transport.ErrUnknownPeer) {
			t.Errorf("a request to a revoked node: %v", err)
		}
		time.Sleep(10 * time.Minute)
		// At most one attempt a minute or so: the pause between them grows.
		if n := lt.Stats().Refused[transport.ReasonUnknown]; n < 5 || n > 25 {
			t.Errorf("a refused node knocked %d times in ten minutes", n)
		}
		p.dir.put(known)
		time.Sleep(90 * time.Second)
		if err := ask(lt, nat, "x"); err != nil {
			t.Errorf("readmitted: %v", err)
		}
	})
}

// TestReverseConnectionOfARestartedNode has the machine come back before its
// old connections are noticed to be dead.
func TestReverseConnectionOfARestartedNode(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, nat := p.member("lt"), p.laptop("nat")
		greets(nat)
		for i := range 4 {
			stop := p.keep(nat, 1, lt)
			time.Sleep(time.Second)
			if err := ask(lt, nat, "x"); err != nil {
				t.Errorf("start %d: %v", i, err)
			}
			if open := lt.Stats().Open[transport.ProtoReverse]; open > 2 {
				t.Errorf("%d connections of one peer", open)
			}
			p.net.Cut("nat", "lt") // the end goes unheard
			stop()
			p.net.Heal("nat", "lt")
		}
	})
}

func TestReverseConnectionsAreBounded(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt := p.member("lt")
		var nats []*actor
		for i := range 66 {
			nat := p.laptop(fmt.Sprint("nat", i))
			greets(nat)
			p.keep(nat, 1, lt)
			nats = append(nats, nat)
		}
		time.Sleep(20 * time.Second)
		open := 0
		for _, nat := range nats {
			if lt.Reverse(nat.id) {
				open++
				if err := ask(lt, nat, "x"); err != nil {
					t.Error(err)
				}
			}
		}
		if open != 64 || lt.Stats().Refused[transport.ReasonTooMany] < 2 {
			t.Errorf("%d peers hold a connection, refused %v; want 64 and the others refused", open, lt.Stats().Refused)
		}
		// One peer that opens many has two at most, the newest ones.
		for range 5 {
			p.keep(nats[0], 1, lt)
			time.Sleep(time.Second)
		}
		if err := ask(lt, nats[0], "x"); err != nil {
			t.Error(err)
		}
		if n := lt.Stats().Open[transport.ProtoReverse]; n > 64 {
			t.Errorf("%d connections in all", n)
		}
	})
}

func TestReverseIsNotForOthers(t *testing.T) {
	scene(t, func(t *testing.T, p *play) {
		lt, fi := p.member("lt"), p.member("fi")
		if _, err := lt.DialPeer(t.Context(), fi.id, transport.ProtoReverse); !errors.Is(err, transport.ErrProtocol) {
			t.Errorf("DialPeer: %v", err)
		}
		defer func() {
			if recover() == nil {
				t.Error("Accept gave out the reverse connections")
			}
		}()
		lt.Accept(transport.ProtoReverse)
	})
}
