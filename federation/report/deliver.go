package report

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/2ps-project/waymark/federation/feed"
	"github.com/2ps-project/waymark/federation/identity"
)

// HandOver brings the reports of past days to the countries that are within
// reach. A day's reports travel together when it is over: whoever watches the
// line does not learn when they were written. It reports whether something is left
// that could have gone.
func (b *Box) HandOver(ctx context.Context) (left bool) {
	self, in := b.o.Self()
	if !in {
		return false
	}
	for _, to := range b.waiting(self) {
		r, ok := b.o.Recipient(to)
		if !ok {
			continue
		}
		for ctx.Err() == nil {
			more, err := b.deliver(ctx, self, to, r.Node)
			if err != nil {
				b.o.Logger.Debug("reports wait for a country that cannot be reached", "node", r.Node, "err", err)
			}
			if err != nil || !more {
				break
			}
		}
	}
	return len(b.waiting(self)) > 0
}

// waiting are the countries for which something is ready to go.
func (b *Box) waiting(self Self) []identity.OriginID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []identity.OriginID
	for _, n := range b.kept {
		if b.ready(self, n, n.to) && !slices.Contains(out, n.to) {
			out = append(out, n.to)
		}
	}
	slices.SortFunc(out, func(x, y identity.OriginID) int { return bytes.Compare(x[:], y[:]) })
	return out
}

// ready reports whether a report may leave for a country.
func (b *Box) ready(self Self, n note, to identity.OriginID) bool {
	return n.to == to && n.from.IsZero() && !n.gone && !(self.Publisher && to == self.Origin) &&
		n.day < feed.DayOf(b.o.Now()) && !b.old(n.day)
}

// deliver sends one batch. It reports whether another one should follow.
func (b *Box) deliver(ctx context.Context, self Self, to identity.OriginID, node identity.NodeID) (more bool, err error) {
	raw, sent, err := b.pack(self, to)
	if err != nil || sent == 0 {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	answer, err := b.o.Link.Deliver(ctx, node, raw)
	if err != nil {
		return false, err
	}
	done, err := b.settle(to, answer)
	return done > 0, err
}

// pack is what is ready for a country, as much as one batch takes.
func (b *Box) pack(self Self, to identity.OriginID) (raw []byte, n int, err error) {
	out := batch{Version: 1, Federation: self.Federation, To: to}
	b.mu.Lock()
	defer b.mu.Unlock()
	full := errors.New("full")
	err = b.each(func(id ID, v value) error {
		if k, ok := b.kept[id]; !ok || !b.ready(self, k, to) {
			return nil
		}
		out.Items = append(out.Items, item{ID: id, Day: v.Day, Sealed: v.Sealed})
		if len(out.Items) == maxItems {
			return full
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		return nil, 0, err
	}
	raw, err = encodeBatch(out)
	return raw, len(out.Items), err
}

// settle forgets what the other side has, and nothing that was not for it.
func (b *Box) settle(to identity.OriginID, answer []byte) (int, error) {
	s, err := decodeSettled(answer)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []ID
	for _, id := range s.IDs {
		if n, ok := b.kept[id]; ok && n.to == to && n.from.IsZero() {
			ids = append(ids, id)
		}
	}
	return len(ids), b.forget(ids...)
}

// Take takes a batch from a node of the country from, and answers which of its
// reports the sender need not keep: those that are here, those that were here
// before, and those that nobody could ever read. The same batch can come any
// number of times.
func (b *Box) Take(from identity.OriginID, raw []byte) ([]byte, error) {
	in, err := decodeBatch(raw)
	if err != nil {
		return nil, err
	}
	self, ok := b.o.Self()
	if !ok || !self.Publisher || in.To != self.Origin || in.Federation != self.Federation {
		return nil, ErrNobody
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out settled
	today := feed.DayOf(b.o.Now())
	for _, i := range in.Items {
		if _, known := b.kept[i.ID]; !known && today-i.Day < Life && i.Day-today <= 1 {
			if _, err := open(self, i.ID, i.Day, i.Sealed); err == nil {
				mine := b.count(func(n note) bool { return !n.gone && n.to == self.Origin })
				told := b.count(func(n note) bool { return n.from == from && n.day == i.Day })
				if mine >= maxMine || told >= maxTold {
					continue // the sender keeps it for another day
				}
				if err := b.put(i.ID, value{To: self.Origin, From: from, Day: i.Day, Sealed: i.Sealed}); err != nil {
					return nil, err
				}
			}
		}
		out.IDs = append(out.IDs, i.ID)
	}
	return identity.Marshal(out)
}

// Give forgets what the publishing node of a country says it has, and answers with
// the next batch for it. It is for nodes that nobody can call.
func (b *Box) Give(to identity.OriginID, done []byte) ([]byte, error) {
	self, ok := b.o.Self()
	if !ok {
		return nil, ErrNobody
	}
	if _, err := b.settle(to, done); err != nil {
		return nil, err
	}
	raw, _, err := b.pack(self, to)
	return raw, err
}

// Collect asks the others for what they keep for this country, where they
// cannot bring it. It reports whether one of them could not be asked.
func (b *Box) Collect(ctx context.Context) (unheard bool) {
	self, in := b.o.Self()
	if !in || !self.Publisher || !self.Hidden {
		return false
	}
	for _, node := range self.Peers {
		if err := b.collect(ctx, node); err != nil {
			b.o.Logger.Debug("a node could not be asked for reports", "node", node, "err", err)
			unheard = true
		}
	}
	return unheard
}

func (b *Box) collect(ctx context.Context, node identity.NodeID) error {
	var done []byte
	for range maxWaiting/maxItems + 2 {
		call, cancel := context.WithTimeout(ctx, callTime)
		raw, err := b.o.Link.Fetch(call, node, done)
		cancel()
		if err != nil {
			return err
		}
		got, err := decodeBatch(raw)
		if err != nil || len(got.Items) == 0 {
			return err
		}
		from, ok := b.o.Origin(node)
		if !ok {
			return ErrNobody
		}
		if done, err = b.Take(from, raw); err != nil {
			return err
		}
		if s, err := decodeSettled(done); err != nil || len(s.IDs) == 0 {
			return err // there is no room; it stays where it is
		}
	}
	return nil
}
