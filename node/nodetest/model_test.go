package nodetest_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/2ps-project/waymark/federation/fedtest/fedmodel"
	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/store"
)

// disk is a [fedmodel.Disk] in a directory of its own, in the store that a node has.
type disk struct {
	t   *testing.T
	dir string

	mu   sync.Mutex
	s    *store.Store
	fail error
}

func newDisk(t *testing.T) fedmodel.Disk {
	dir, err := os.MkdirTemp(memoryDir(), "model")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &disk{t: t, dir: dir}
}

// memoryDir is a directory that lies in memory, where there is one.
func memoryDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func alias(o identity.OriginID, k feed.Key) feed.Key {
	h := identity.Sum(0x7f, o[:], k[:])
	return feed.Key(h[:16])
}

func (d *disk) store() (*store.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.s != nil {
		return d.s, nil
	}
	var err error
	d.s, err = store.Open(store.Options{Dir: filepath.Join(d.dir, "db"), Floor: -1, Alias: alias, Counter: filepath.Join(d.dir, "counter")})
	return d.s, err
}

func (d *disk) Open() error {
	if err := d.Close(); err != nil {
		return err
	}
	_, err := d.store()
	return err
}

func (d *disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.s == nil {
		return nil
	}
	err := d.s.Close()
	d.s = nil
	return err
}

// image is the files of a disk: as a copy made while the database runs has them.
type image map[string][]byte

func (d *disk) Snapshot() (any, error) {
	img := image{}
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(d.dir, path)
		img[rel] = b
		return err
	})
	return img, err
}

func (d *disk) Restore(snapshot any) error {
	if err := d.Close(); err != nil {
		return err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	img, _ := snapshot.(image)
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	for rel, b := range img {
		path := filepath.Join(d.dir, rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Corrupt damages nothing: what damage to files does is tested beside the store.
func (d *disk) Corrupt(identity.OriginID, feed.Key, bool) bool { return false }

func (d *disk) Forget(o identity.OriginID) {
	s, err := d.store()
	if err == nil {
		err = s.Maintain(context.Background(), time.Now().Add(31*24*time.Hour), store.MaintainOptions{})
	}
	if err != nil {
		d.t.Error(err)
	}
}

func (d *disk) Fail(err error) { d.mu.Lock(); defer d.mu.Unlock(); d.fail = err }

func (d *disk) Append(ctx context.Context, v *feed.Verified) error {
	d.mu.Lock()
	fail := d.fail
	d.mu.Unlock()
	if fail != nil {
		return fail
	}
	s, err := d.store()
	if err != nil {
		return err
	}
	return s.Apply(ctx, v)
}

func (d *disk) Origins() ([]identity.OriginID, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.Origins()
}
func (d *disk) View(o identity.OriginID) (feed.StoreView, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.View(o)
}
func (d *disk) Stage(o identity.OriginID) (feed.Staging, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.Stage(o)
}
func (d *disk) Beat(o identity.OriginID) (*feed.SignedBeat, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.Beat(o)
}
func (d *disk) PutBeat(b *feed.SignedBeat) error {
	s, err := d.store()
	if err != nil {
		return err
	}
	return s.PutBeat(b)
}
func (d *disk) Undo(o identity.OriginID, to *feed.SignedHead) (feed.Delta, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.Undo(o, to)
}
func (d *disk) Actual(o identity.OriginID) (feed.StoreView, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.Actual(o)
}

// TestModelOnDisk plays plans of the reference model on the store that nodes
// have: three on a user's machine, twenty where CI is set.
func TestModelOnDisk(t *testing.T) {
	n := 3
	if os.Getenv("CI") != "" && !testing.Short() {
		n = 20
	}
	first := rand.Uint64N(1<<40) + 1
	t.Logf("seeds %d to %d", first, first+uint64(n)-1)
	for i := range n {
		p := fedmodel.Generate(first+uint64(i), 40)
		t.Run(fmt.Sprint("seed=", p.Seed), func(t *testing.T) {
			o := fedmodel.Options{NewDisk: func() fedmodel.Disk { return newDisk(t) }, TempDir: memoryDir()}
			if err := fedmodel.Play(t, o, p); err != nil {
				t.Errorf("%v\n\nthe plan:\n%s", err, p)
			}
		})
	}
}
