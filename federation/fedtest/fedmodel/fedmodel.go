// Package fedmodel plays random histories of a federation in virtual time,
// faults and malice included, and compares every node with a reference model
// after each step.
//
// The publishers, replicators, dockets, transports and the registry's state
// machine are the real ones; the network, the clocks and the voters' agreement
// are simulated. DESIGN.md beside this file has the invariants and what each
// kind of step may and may not lead to.
package fedmodel

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry/registrytest"
)

// Options say what the machines of a federation are made of.
type Options struct {
	// NewDisk makes an empty disk. It is required.
	NewDisk func() Disk
	// TempDir is where publish guards are kept; it should be in memory, as each
	// of them is synced to disk. Empty is the system's.
	TempDir string
	// Trace is told what happens, a line at a time; nil keeps it for failures.
	Trace func(line string)
	// Logger is what the nodes log to, each under its name; nil discards.
	Logger *slog.Logger
}

// Broken is an invariant that did not hold, with what led to it.
type Broken struct {
	Plan  Plan
	Step  int // the number of the step after which it did not hold
	What  string
	Trace string // what happened, a line a step
}

// Error tells what did not hold and how to see it again.
func (b *Broken) Error() string {
	return fmt.Sprintf("after step %d of seed %d: %s\n%s", b.Step, b.Plan.Seed, b.What, b.Trace)
}

// limits are those of the federation's policy, small enough to be met.
var limits = feed.Limits{Records: 400, Bytes: 1 << 20}

// Play plays a plan to its end and settles the federation afterwards. It returns
// nil, or a *[Broken].
func Play(t *testing.T, o Options, p Plan) (err error) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp(o.TempDir, "fedmodel")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, o: o, plan: p, dir: dir, net: fedtest.NewNetwork(4 * time.Millisecond), began: time.Now(), ref: newReference(),
			tainted: map[refPlace]string{}, suspects: map[identity.OriginID]string{},
			suspended: map[identity.OriginID]bool{}, counters: map[identity.OriginID]uint64{}, keysOf: map[identity.OriginID]int{}, lastWord: map[identity.OriginID]string{},
		}
		defer w.net.Close()
		w.play()
		if w.broken != nil {
			err = w.broken
		}
	})
	return err
}

// world is one federation and what the model knows of it. The test's goroutine
// owns it, except what mu guards.
type world struct {
	t        *testing.T
	o        Options
	plan     Plan
	dir      string
	net      *fedtest.Network
	began    time.Time
	machines []*machine // the originals in order, then the copy that is there now
	made     []*machine // all that there ever were
	step     int
	written  int // records ever written, for their contents

	federation identity.FederationID
	// suspended are the members that the others have suspended, and counters
	// those of the rulings about them.
	suspended map[identity.OriginID]bool
	counters  map[identity.OriginID]uint64
	keysOf    map[identity.OriginID]int    // the number of the publish key in use; 0 is the first
	lastWord  map[identity.OriginID]string // what each published at the very end

	mu      sync.Mutex
	law     law
	ref     *reference
	broken  *Broken
	trace   []string
	tainted map[refPlace]string // feeds (by origin and epoch) of which two machines may sign one number, and why
	// suspects are origins whose publisher may rightly be quarantined, and why.
	suspects map[identity.OriginID]string
}

// errSkip is returned by a step that is not possible as things are.
var errSkip = errors.New("not possible now")

// now is the true time: virtual, and after the registry was founded.
func (w *world) now() time.Time { return registrytest.Start.Add(time.Hour + time.Since(w.began)) }

// fail records the first invariant that does not hold.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = &Broken{Plan: w.plan, Step: w.step, What: fmt.Sprintf(format, args...), Trace: strings.Join(w.trace, "\n")}
	}
}

func (w *world) hasFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken != nil
}

// note adds a line to the trace.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprintf("%9.3fs  ", time.Since(w.began).Seconds()) + fmt.Sprintf(format, args...)
	w.trace = append(w.trace, line)
	if w.o.Trace != nil {
		w.o.Trace(line)
	}
}

// play is the whole history.
func (w *world) play() {
	w.found(w.plan.Nodes)
	w.federation = w.law.state.Federation()
	defer func() {
		for _, m := range w.made {
			m.stop()
			if err := m.disk.Close(); err != nil {
				w.fail("%s: the disk could not be closed: %v", m.name, err)
			}
		}
		synctest.Wait()
	}()
	for _, m := range w.machines {
		m.start()
	}
	time.Sleep(2 * time.Second)
	for i, s := range w.plan.Steps {
		w.step = i + 1
		time.Sleep(s.After)
		synctest.Wait()
		if w.check(); w.hasFailed() { // what came about during the pause
			return
		}
		before := time.Now()
		outcome := "done"
		err := w.do(s)
		if errors.Is(err, errSkip) {
			outcome = "skipped"
		} else if err != nil {
			outcome = err.Error()
		}
		w.note("%3d  %-34s %s%s", w.step, s, outcome, took(time.Since(before)))
		synctest.Wait()
		w.check()
		if w.hasFailed() {
			return
		}
	}
	w.step = len(w.plan.Steps)
	w.settle()
}

func took(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " (" + d.String() + ")"
}

// machine is the machine of a number in a step; nil when there is none.
func (w *world) machine(i int) *machine {
	if i < 0 || i >= len(w.machines) {
		return nil
	}
	return w.machines[i]
}

// copied is the copy that is there now, or nil.
func (w *world) copied() *machine { return w.machine(w.plan.Nodes) }

// taint remembers that two machines may sign one number of an origin's feed in
// its present epoch, through no fault of the software.
func (w *world) taint(o identity.OriginID, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	epoch, _ := w.law.state.Epoch(o)
	if m, ok := w.law.state.MemberByOrigin(o); ok {
		epoch = m.Epoch
	}
	w.tainted[refPlace{origin: o, epoch: epoch}] = why
	w.suspects[o] = why
}

// taintAgain is taint for a new epoch while a copy is about.
func (w *world) taintAgain(o identity.OriginID) {
	if c := w.copied(); c != nil && c.origin() == o {
		w.taint(o, "another machine has its publish key")
	}
}

// suspect remembers that a quarantine of an origin's publisher would be right.
func (w *world) suspect(o identity.OriginID, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspects[o] = why
}

// editsKey is how a publish tells the model what it publishes.
type editsKey struct{}

// head is the newest head that a machine's disk holds of a feed; nil for none.
func (m *machine) head(o identity.OriginID) *feed.SignedHead {
	view, err := m.disk.View(o)
	if err != nil {
		m.w.fail("%s: the feed of %s cannot be read: %v", m.name, o, err)
		return nil
	}
	defer view.Close()
	return view.Head()
}
