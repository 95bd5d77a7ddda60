package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/enroll"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
)

// world is some nodes of one process, whose clocks can be moved together.
type world struct {
	t     *testing.T
	ahead atomic.Int64
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// settings are those of a node at free ports.
func (w *world) settings(country string) config.Config {
	c := config.Default()
	c.Country, c.Operator, c.Federation.Voter = country, "Test operator "+country, true
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		base := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if base < 65000 && c.UseBasePort(base) == nil {
			return c
		}
	}
	w.t.Fatal("no free ports")
	return c
}

// run starts the node of a directory and returns how to stop it.
func (w *world) run(dir string, c config.Config) (n *node.Node, stop func()) {
	w.t.Helper()
	n, err := node.New(node.Options{Dir: dir, Config: c, Now: w.now})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return n, stop
}

func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(40 * time.Second); !done(); {
		if time.Now().After(limit) {
			w.t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at nodes that run
	}
}

func publish(t *testing.T, n *node.Node, id, name string) error {
	doc := fmt.Sprintf(`{"id":%q,"name":%q,"status":"active","organization":{"id":"0b1c64e2-0f0f-4d3f-9a3e-3b8f0a5f7c11","name":"Example","description":"x"}}`, id, name)
	one := func(yield func(control.Row, error) bool) {
		yield(control.Row{Where: "1", Document: json.RawMessage(doc)}, nil)
	}
	report, err := n.Admin().Import(t.Context(), one, control.ImportOptions{Publish: true})
	if err == nil && report.Published != 1 {
		err = fmt.Errorf("not published: %+v", report)
	}
	return err
}

func found(t *testing.T, n *node.Node, id string) bool {
	raw, err := n.Admin().Search(t.Context(), map[string][]string{"per_page": {"100"}})
	return err == nil && strings.Contains(string(raw), id)
}

// TestASheetBringsACountryBack: of a country's machine nothing is left but the
// paper in the safe. A new machine is let in 72 hours later, copies what the
// country had published, and goes on from there.
func TestASheetBringsACountryBack(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole nodes; left out with -short")
	}
	w := &world{t: t}
	ctx := t.Context()
	plDir, deDir, newDir := filepath.Join(t.TempDir(), "pl"), filepath.Join(t.TempDir(), "de"), filepath.Join(t.TempDir(), "new")
	plc, dec := w.settings("PL"), w.settings("DE")
	if err := node.Init(plDir, plc); err != nil {
		t.Fatal(err)
	}
	if err := node.Found(ctx, plDir, plc, "Test federation", true); err != nil {
		t.Fatal(err)
	}
	pl, _ := w.run(plDir, plc)
	if err := node.Init(deDir, dec); err != nil {
		t.Fatal(err)
	}
	de, stop := w.run(deDir, dec)
	var inv control.Invitation
	w.until("PL can invite", func() (ok bool) {
		var err error
		inv, err = pl.Admin().Invite(ctx, "DE", 0)
		return err == nil
	})
	if _, err := de.Admin().Join(ctx, inv.Code, true); err != nil {
		t.Fatal(err)
	}
	const first, second = "cc148810-d857-441c-9679-408f346de14b", "dd148810-d857-441c-9679-408f346de14b"
	w.until("DE publishes", func() bool { return publish(t, de, first, "Beratung") == nil })
	w.until("PL has it", func() bool { return found(t, pl, first) })
	sheet, err := de.Admin().RecoverySheet(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := os.RemoveAll(deDir); err != nil {
		t.Fatal(err)
	}

	file, err := pl.Admin().Ticket(ctx, "DE")
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := enroll.ParseTicket(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.RecoveryKey(sheet.Secret)
	if err != nil {
		t.Fatal(err)
	}
	newc := w.settings("DE")
	path, err := node.InitMachine(newDir, newc, ticket, true, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := w.run(newDir, newc)
	for range 2 { // bringing it twice does no harm
		added, err := pl.Admin().AddMachine(ctx, request)
		if err != nil || added.In || added.Due == nil || added.Due.Sub(w.now()) < 71*time.Hour {
			t.Fatalf("the request is in: %+v, %v", added, err)
		}
	}
	w.ahead.Store(int64(registry.RekeyWait*time.Second - time.Hour))
	node.FinishRekey(ctx, pl)
	if st, err := again.Admin().Status(ctx); err != nil || len(st.Members) != 0 || len(st.Alarms) == 0 || st.Alarms[0].Code != "machine_waits" {
		t.Fatalf("an hour too early: %+v, %v", st, err)
	}
	w.ahead.Store(int64(registry.RekeyWait*time.Second + 10*time.Minute))
	node.FinishRekey(ctx, pl)
	w.until("the new machine publishes", func() bool {
		st, err := again.Admin().Status(ctx)
		return err == nil && strings.HasPrefix(st.Role, "publisher") && found(t, again, first)
	})
	w.until("it goes on from there", func() bool { return publish(t, again, second, "Neue Beratung") == nil })
	w.until("PL has both", func() bool { return found(t, pl, first) && found(t, pl, second) })
	if _, err := os.Stat(path); err == nil {
		t.Error("the request of the machine still lies there")
	}
}
