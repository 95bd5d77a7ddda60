package consensus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/2ps-project/waymark/federation/registry"
)

const (
	// deliverEvery is how often it is looked whether the voters can agree again
	// while commands wait.
	deliverEvery = 10 * time.Second
	maxWaiting   = 64
)

// ErrWaiting: the command is kept here, over restarts too, and handed over as
// soon as the voters can agree.
var ErrWaiting = errors.New("the change waits here until the countries that keep the registry can agree")

// outbox keeps commands that wait for the voters.
type outbox struct {
	drawer Drawer // nil: they last as long as the process

	mu      sync.Mutex
	waiting []waiting // oldest first
	added   chan struct{}
}

type waiting struct {
	id      registry.ID
	since   int64 // Unix nanoseconds
	command []byte
}

func openOutbox(d Drawer) (*outbox, error) {
	o := &outbox{drawer: d, added: make(chan struct{}, 1)}
	if d == nil {
		return o, nil
	}
	err := d.Each(func(_, value []byte) error {
		if len(value) < 8 {
			return nil
		}
		c, _, err := registry.ParseCommand(value[8:])
		if err != nil {
			return nil // of a version that is gone; it waits no longer
		}
		o.waiting = append(o.waiting, waiting{c.ID, int64(binary.BigEndian.Uint64(value)), bytes.Clone(value[8:])})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the changes that wait: %w", err)
	}
	slices.SortFunc(o.waiting, func(a, b waiting) int { return int(a.since - b.since) })
	o.wake()
	return o, nil
}

func (o *outbox) wake() {
	select {
	case o.added <- struct{}{}:
	default:
	}
}

// keep keeps a command, once.
func (o *outbox) keep(id registry.ID, command []byte, now int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.ContainsFunc(o.waiting, func(w waiting) bool { return w.id == id }) {
		return nil
	}
	if len(o.waiting) >= maxWaiting {
		return fmt.Errorf("%d changes wait here already", maxWaiting)
	}
	if o.drawer != nil {
		if err := o.drawer.Put(id[:], append(binary.BigEndian.AppendUint64(nil, uint64(now)), command...)); err != nil {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
	}
	o.waiting = append(o.waiting, waiting{id, now, bytes.Clone(command)})
	o.wake()
	return nil
}

func (o *outbox) drop(id registry.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = slices.DeleteFunc(o.waiting, func(w waiting) bool { return w.id == id })
	if o.drawer == nil {
		return nil
	}
	return o.drawer.Delete(id[:])
}

func (o *outbox) list() []waiting {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.waiting)
}

// Entrust is [Keeper.Propose] for a change that may wait: when the voters cannot
// agree now, or the answer got lost, it is kept and handed over when they can,
// and the error is ErrWaiting. It is counted once, whatever happens. What the
// registry then refuses waits no longer, and the operator hears of it.
func (k *Keeper) Entrust(ctx context.Context, command []byte) (uint64, error) {
	c, _, err := registry.ParseCommand(command)
	if err != nil {
		return 0, err
	}
	seq, err := k.Propose(ctx, command)
	if !errors.Is(err, ErrNoQuorum) && !errors.Is(err, ErrOutcomeUnknown) {
		return seq, err
	}
	if failed := k.outbox.keep(c.ID, command, k.Now().UnixNano()); failed != nil {
		return 0, fmt.Errorf("%w; and it cannot wait here: %w", err, failed)
	}
	return 0, fmt.Errorf("%w (%v)", ErrWaiting, err)
}

// Waiting are the commands that wait for the voters, oldest first.
func (k *Keeper) Waiting() [][]byte {
	var out [][]byte
	for _, w := range k.outbox.list() {
		out = append(out, w.command)
	}
	return out
}

// deliver hands over what waits until ctx ends.
func (k *Keeper) deliver(ctx context.Context) {
	for {
		for _, w := range k.outbox.list() {
			if ctx.Err() != nil || !k.Fresh(ctx, contactTime).Quorum {
				break
			}
			k.handIn(ctx, w)
		}
		var later <-chan time.Time
		if len(k.outbox.list()) > 0 {
			later = time.After(deliverEvery)
		}
		select {
		case <-later:
		case <-k.outbox.added:
		case <-ctx.Done():
			return
		}
	}
}

// handIn proposes one command that waits.
func (k *Keeper) handIn(ctx context.Context, w waiting) {
	seq, err := k.Propose(ctx, w.command)
	switch {
	case err == nil:
		k.Logger.Info("a change that waited here has been made", "entry", seq, "waited since", time.Unix(0, w.since).UTC())
	case final(err):
		k.Logger.Warn("a change that waited here is refused", "waited since", time.Unix(0, w.since).UTC(), "error", err)
	default:
		return
	}
	if err := k.outbox.drop(w.id); err != nil {
		k.Logger.Warn("a change that no longer waits could not be forgotten; it is counted once all the same", "error", err)
	}
}
