package fedmodel_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest/fedmodel"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// faulty is a disk with a fault that the model must notice.
type faulty struct {
	fedmodel.Disk
	fault string

	mu     sync.Mutex
	before any // the snapshot before the last step
	ghost  feed.Item
	old    map[feed.Key]feed.Item // the first record that each key had
}

// Append implements [feed.Appender].
func (d *faulty) Append(ctx context.Context, v *feed.Verified) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault == "loses the last step" {
		d.before, _ = d.Snapshot()
	}
	if items, ok := v.Delta().(feed.Items); ok {
		for _, i := range items {
			if _, there := d.old[i.Change().Key]; !there {
				d.old[i.Change().Key] = i
			}
			if !i.Change().Live() {
				d.ghost = d.old[i.Change().Key]
			}
		}
	}
	return d.Disk.Append(ctx, v)
}

// Open implements [fedmodel.Disk].
func (d *faulty) Open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.before != nil {
		return d.Restore(d.before)
	}
	return nil
}

// View implements [feed.Store].
func (d *faulty) View(o identity.OriginID) (feed.StoreView, error) {
	if d.fault == "waits" {
		time.Sleep(time.Millisecond)
	}
	v, err := d.Disk.View(o)
	d.mu.Lock()
	defer d.mu.Unlock()
	return faultyView{v, d.fault, d.ghost}, err
}

// Undo implements [feed.Store].
func (d *faulty) Undo(o identity.OriginID, to *feed.SignedHead) (feed.Delta, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != "keeps what was erased" {
		return d.Disk.Undo(o, to)
	}
	var items feed.Items
	for _, i := range d.old {
		items = append(items, i)
	}
	return items.Sort(), nil
}

type faultyView struct {
	feed.StoreView
	fault string
	ghost feed.Item
}

// Since implements [feed.StoreView].
func (v faultyView) Since(seq uint64, live bool, yield func(feed.Change, []byte) bool) error {
	if v.fault == "shows what was deleted" && v.ghost.Raw() != nil && seq == 0 && live && !yield(v.ghost.Change(), v.ghost.Raw()) {
		return nil
	}
	first := true
	return v.StoreView.Since(seq, live, func(c feed.Change, raw []byte) bool {
		if first && v.fault == "shows half of a step" && seq == 0 && live {
			first = false
			return true
		}
		return yield(c, raw)
	})
}

// TestModelNotices plays a plan on disks with faults: what no fault of a disk
// can hide is that the model sees it.
func TestModelNotices(t *testing.T) {
	const text = `
		seed 1 nodes 3 hidden 1
		1s edit 0 0 4
		0s publish 0 0 0
		5s delete 0 0 1
		0s publish 0 0 0
		5s erase 0 0 1
		0s publish 0 0 0
		9s kill 1 0 0
		1s start 1 0 0
		9s edit 0 0 4
		0s publish 0 0 0`
	plan, err := fedmodel.ParsePlan(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ fault, want string }{
		{"", ""},
		{"shows what was deleted", "I1:"},
		{"shows half of a step", "I1:"},
		{"loses the last step", "I2:"},
		{"keeps what was erased", "I5:"},
		{"waits", "I8:"},
	} {
		t.Run("a disk that "+c.fault, func(t *testing.T) {
			err := fedmodel.Play(t, fedmodel.Options{TempDir: memoryDir(), NewDisk: func() fedmodel.Disk {
				return &faulty{Disk: fedmodel.NewMemory(), fault: c.fault, old: map[feed.Key]feed.Item{}}
			}}, plan)
			var broken *fedmodel.Broken
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && !errors.As(err, &broken):
				t.Errorf("not noticed; want %s", c.want)
			case c.want != "" && !strings.HasPrefix(broken.What, c.want):
				t.Errorf("noticed as %q, want %s", broken.What, c.want)
			}
		})
	}
}

func TestPlansAreReadAsTheyAreWritten(t *testing.T) {
	for seed := range uint64(200) {
		p := fedmodel.Generate(seed, 50)
		got, err := fedmodel.ParsePlan("# a comment\n\n" + p.String())
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != p.String() || len(got.Steps) != 50 {
			t.Fatalf("plan %d reads\n%s\nwant\n%s", seed, got, p)
		}
		if again := fedmodel.Generate(seed, 50); again.String() != p.String() {
			t.Fatalf("seed %d gives two plans", seed)
		}
	}
	for _, bad := range []string{"", "seed 1", "seed 1 nodes 0 hidden 0", "seed 1 nodes 3 hidden 2", "seed 1 nodes 4 hidden 0\n1s dance 0 0 0", "seed 1 nodes 4 hidden 0\nsoon kill 0 0 0", "seed 1 nodes 4 hidden 0\n1s kill 0 0"} {
		if _, err := fedmodel.ParsePlan(bad); err == nil {
			t.Errorf("%q is read as a plan", bad)
		}
	}
}

func TestShrink(t *testing.T) {
	p := fedmodel.Generate(7, 40)
	// It fails with a kill somewhere before a publish.
	fails := func(p fedmodel.Plan) bool {
		killed := false
		for _, s := range p.Steps {
			killed = killed || s.Op == fedmodel.OpKill
			if killed && s.Op == fedmodel.OpPublish {
				return true
			}
		}
		return false
	}
	p.Steps = append(p.Steps, fedmodel.Step{Op: fedmodel.OpKill}, fedmodel.Step{Op: fedmodel.OpPublish})
	if less := fedmodel.Shrink(p, 1000, fails); len(less.Steps) != 2 || !fails(less) {
		t.Errorf("cut down to %d steps, want 2:\n%s", len(less.Steps), less)
	}
	if less := fedmodel.Shrink(p, 0, fails); len(less.Steps) != len(p.Steps) {
		t.Error("cut down without a try")
	}
}
