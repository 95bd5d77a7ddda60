package nodetest_test

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/node"
	"github.com/2ps-project/waymark/node/control"
)

// line is a line between two nodes on which only so many bytes come back, and that
// can be cut.
type line struct {
	net.Listener
	to string

	mu   sync.Mutex
	more *sync.Cond
	left int // of the bytes that may still come back
	cut  bool
	open []net.Conn
}

func newLine(t *testing.T, address, to string) *line {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	n := &line{Listener: l, to: to}
	n.more = sync.NewCond(&n.mu)
	t.Cleanup(func() { l.Close(); n.set(true) })
	go n.run()
	return n
}

func (l *line) run() {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		l.mu.Lock()
		if err != nil || l.cut {
			near.Close()
			if far != nil {
				far.Close()
			}
			l.mu.Unlock()
			continue
		}
		l.open = append(l.open, near, far)
		l.mu.Unlock()
		go l.pass(far, near, false)
		go l.pass(near, far, true)
	}
}

func (l *line) pass(to, from net.Conn, counted bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 4<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		l.mu.Lock()
		for counted && l.left < n && !l.cut {
			l.more.Wait()
		}
		if counted {
			l.left -= n
		}
		l.mu.Unlock()
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// let lets so many more bytes through.
func (l *line) let(n int) {
	l.mu.Lock()
	l.left = min(l.left+n, n)
	l.more.Broadcast()
	l.mu.Unlock()
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	if l.cut = cut; cut {
		for _, c := range l.open {
			c.Close()
		}
		l.open = nil
	}
	l.more.Broadcast()
	l.mu.Unlock()
}

// TestACopyThatStopsInTheMiddle: the newcomer's disk is full, and then its line is
// cut, both in the middle of its first copy. Its status says which, how far it has
// got and what to do, and the copy goes on from there by itself.
func TestACopyThatStopsInTheMiddle(t *testing.T) {
	if testing.Short() {
		t.Skip("copies thousands of listings; left out with -short")
	}
	ctx, port := t.Context(), freeBase(t, 3)
	var full atomic.Bool
	start := func(country string, base int, advertise string, in func(dir string, c config.Config) error) *node.Node {
		c := config.Default()
		c.Country, c.Operator, c.Federation.Voter = country, "Example", country == "PL"
		if advertise != "" {
			c.Federation.Advertise = []string{advertise}
		}
		if err := c.UseBasePort(base); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), country)
		if err := node.Init(dir, c); err != nil {
			t.Fatal(err)
		}
		if err := in(dir, c); err != nil {
			t.Fatal(err)
		}
		o := node.Options{Dir: dir, Config: c}
		if country == "DE" {
			o.Free = func() (int64, error) {
				if full.Load() {
					return 1 << 20, nil
				}
				return 1 << 40, nil
			}
		}
		n, err := node.New(o)
		if err != nil {
			t.Fatal(err)
		}
		run, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- n.Run(run) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		return n
	}
	status := func(n *node.Node) control.Status {
		st, err := n.Admin().Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	progress := func() control.Copied { return control.Copied{} }
	at := "127.0.0.1:" + strconv.Itoa(port+20)
	pl := start("PL", port, at, func(dir string, c config.Config) error { return node.Found(ctx, dir, c, "Example", true) })
	between := newLine(t, at, "127.0.0.1:"+strconv.Itoa(port+6))
	eventually := func(what string, done func() bool) {
		t.Helper()
		began := time.Now()
		defer func() { t.Logf("%v until %s: %+v", time.Since(began).Round(time.Millisecond), what, progress()) }()
		tick, giveUp := time.NewTicker(20*time.Millisecond), time.After(time.Minute)
		defer tick.Stop()
		for !done() {
			select {
			case <-tick.C:
				between.let(16 << 10)
			case <-giveUp:
				t.Fatalf("waited a minute in vain until %s", what)
			}
		}
	}
	eventually("the registry can be written", func() bool { return status(pl).Registry.Quorum })
	if report, err := pl.Admin().Import(ctx, rows("PL", 0, 4000), control.ImportOptions{Publish: true}); err != nil || len(report.Refused) > 0 {
		t.Fatal(err, report.Refused)
	}
	eventually("PL shows its listings", func() bool { return status(pl).Listings > 3000 })
	shown := status(pl).Listings
	between.let(1 << 20)
	de := start("DE", port+10, "", func(dir string, c config.Config) error {
		inv, err := pl.Admin().Invite(ctx, "DE", 0)
		if err == nil {
			_, err = node.Join(ctx, dir, c, inv.Code)
		}
		between.let(16 << 10) // from here on no faster than the test looks
		return err
	})
	copied := func() control.Copied {
		for _, m := range status(de).Members {
			if m.Country == "PL" && m.Copied != nil {
				return *m.Copied
			}
		}
		return control.Copied{}
	}
	progress = copied
	alarm := func(code, next string) bool {
		return slices.ContainsFunc(status(de).Alarms, func(a control.Alarm) bool { return a.Code == code && strings.Contains(a.Next, next) })
	}
	eventually("a part has been copied", func() bool { return copied().Records > 0 })

	full.Store(true)
	eventually("the status says that the disk is full", func() bool { return alarm("disk_full", "writing goes on by itself") })
	if !status(de).Degraded {
		t.Error("nothing needs anybody, says the status")
	}
	looks := 0
	eventually("more has come in than there is room for", func() bool { looks++; return looks > 50 })
	kept := copied()
	if kept.Records == 0 || kept.Records >= kept.Of || status(de).Listings != 0 {
		t.Errorf("%+v copied onto a full disk, and %d listings shown", kept, status(de).Listings)
	}
	full.Store(false)
	eventually("the copy goes on from there", func() bool {
		c := copied()
		if c.Records < kept.Records {
			t.Fatalf("the copy began anew: %+v after %+v", c, kept)
		}
		return c.Records > kept.Records
	})
	if alarm("disk_full", "") {
		t.Error("the alarm stays")
	}
	part := copied()

	between.set(true)
	eventually("the status says that nobody is reached", func() bool { return alarm("unreachable", "look at this node's own connection") })
	if c := copied(); c.Records < part.Records || c.Records >= c.Of {
		t.Errorf("%+v copied when it was cut off, %+v before", c, part)
	}
	part = copied()
	between.set(false)
	least := part.Records
	eventually("all is copied", func() bool {
		if c := copied(); c.Of > 0 {
			least = min(least, c.Records)
		}
		return status(de).Listings == shown
	})
	if least < part.Records {
		t.Errorf("the copy began anew: %d records after %d", least, part.Records)
	}
	t.Logf("%d listings; stopped at %+v", shown, part)
}
