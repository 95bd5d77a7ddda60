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
	if err := b.reseal(self); err != nil {
		b.o.Logger.Error("reports could not be sealed to the machine that reads them now", "err", err)
	}
	for _, to := range b.waiting(self) {
		r, ok := b.o.Recipient(to)
		if !ok {
			continue
		}
		nodes := []identity.NodeID{r.Node}
		if self.Hidden && r.Hidden {
			nodes = self.Peers // one of them keeps it until it is fetched
		}
		for _, node := range nodes {
			if b.bring(ctx, self, to, node) {
				break
			}
		}
	}
	b.passOn(ctx, self)
	return len(b.waiting(self)) > 0
}

// bring delivers to a node what it takes of what is ready for a country, and reports
// whether that was all.
func (b *Box) bring(ctx context.Context, self Self, to identity.OriginID, node identity.NodeID) (all bool) {
	for ctx.Err() == nil {
		sent, done, err := b.deliver(ctx, self, to, node, b.ready(self, to))
		if err != nil {
			b.o.Logger.Debug("reports wait for a country that cannot be reached", "node", node, "err", err)
			return false
		}
		if done == 0 {
			return sent == 0
		}
	}
	return false
}

// reseal is for a machine whose place another one has taken: what its key still
// opens it seals to the key of the new one, and brings it there.
func (b *Box) reseal(self Self) error {
	if self.Publisher {
		return nil
	}
	r, ok := b.o.Recipient(self.Origin)
	if !ok || r.Seal == self.Key.Public() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	again := map[ID]value{}
	err := b.each(func(id ID, v value) error {
		if v.To != self.Origin || len(v.Sealed) == 0 || b.old(v.Day) {
			return nil
		}
		report, err := open(self, id, v.Day, v.Sealed)
		if err != nil {
			return nil // sealed to the new machine, or to nobody's key here
		}
		plain, err := report.encode()
		if err != nil {
			return err
		}
		v.From, v.Shut = identity.OriginID{}, false
		if v.Sealed, err = r.Seal.Seal(plain, info(self.Federation, v.To, id, v.Day)); err == nil {
			again[id] = v
		}
		return err
	})
	for id, v := range again {
		if err == nil {
			err = b.put(id, v)
		}
	}
	return err
}

// passOn is for a machine that has taken another one's place: what was sealed to the
// old one, and came here, goes to where the old key may still be.
func (b *Box) passOn(ctx context.Context, self Self) {
	if !self.Publisher {
		return
	}
	for _, node := range self.Siblings {
		for ctx.Err() == nil {
			_, done, err := b.deliver(ctx, self, self.Origin, node, func(id ID, v value) bool {
				if v.To != self.Origin || len(v.Sealed) == 0 || b.old(v.Day) {
					return false
				}
				_, err := open(self, id, v.Day, v.Sealed)
				return err != nil
			})
			if err != nil || done == 0 {
				break // who is not there, or cannot open them either, is asked again later
			}
		}
	}
}

// waiting are the countries for which something is ready to go.
func (b *Box) waiting(self Self) []identity.OriginID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []identity.OriginID
	for _, n := range b.kept {
		if b.leaves(self, n) && !slices.Contains(out, n.to) {
			out = append(out, n.to)
		}
	}
	slices.SortFunc(out, func(x, y identity.OriginID) int { return bytes.Compare(x[:], y[:]) })
	return out
}

// leaves tells whether a report may leave: it was made here or is carried for others,
// and its day is over.
func (b *Box) leaves(self Self, n note) bool {
	return (n.from.IsZero() || n.to != self.Origin) && !n.gone && !(self.Publisher && n.to == self.Origin) &&
		n.day < feed.DayOf(b.o.Now()) && !b.old(n.day)
}

// ready picks what may leave for a country.
func (b *Box) ready(self Self, to identity.OriginID) func(ID, value) bool {
	return func(id ID, v value) bool {
		n, ok := b.kept[id]
		return ok && n.to == to && b.leaves(self, n)
	}
}

// deliver sends one batch of what is picked. It returns how many reports went, and
// how many of them need not be kept any longer.
func (b *Box) deliver(ctx context.Context, self Self, to identity.OriginID, node identity.NodeID, picked func(ID, value) bool) (sent, done int, err error) {
	raw, ids, err := b.pack(self, to, picked)
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	answer, err := b.o.Link.Deliver(ctx, node, raw)
	if err != nil {
		return len(ids), 0, err
	}
	done, err = b.settle(answer, func(id ID, _ note) bool { return slices.Contains(ids, id) })
	return len(ids), done, err
}

// pack is what is picked for a country, as much as one batch takes.
func (b *Box) pack(self Self, to identity.OriginID, picked func(ID, value) bool) (raw []byte, ids []ID, err error) {
	out := batch{Version: 1, Federation: self.Federation, To: to}
	b.mu.Lock()
	defer b.mu.Unlock()
	full := errors.New("full")
	err = b.each(func(id ID, v value) error {
		if !picked(id, v) {
			return nil
		}
		out.Items, ids = append(out.Items, item{ID: id, Day: v.Day, Sealed: v.Sealed}), append(ids, id)
		if len(out.Items) == maxItems {
			return full
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		return nil, nil, err
	}
	raw, err = encodeBatch(out)
	return raw, ids, err
}

// settle forgets what the other side has, of what was meant for it.
func (b *Box) settle(answer []byte, meant func(ID, note) bool) (int, error) {
	s, err := decodeSettled(answer)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []ID
	for _, id := range s.IDs {
		if n, ok := b.kept[id]; ok && !n.gone && !slices.Contains(ids, id) && meant(id, n) {
			ids = append(ids, id)
		}
	}
	return len(ids), b.forget(ids...)
}

// Take takes a batch from a node of the country from, and answers which of its
// reports the sender need not keep: those that are here, those that were here
// before, and those that are too old. The same batch can come any number of times.
//
// The node that publishes takes what is for its country, also what its key does not
// open. Another one of that country takes what its own key opens: its place was taken
// by the sender. One that can be called takes what is for a node that nobody can call.
func (b *Box) Take(from identity.OriginID, raw []byte) ([]byte, error) {
	in, err := decodeBatch(raw)
	if err != nil {
		return nil, err
	}
	self, ok := b.o.Self()
	if !ok || in.Federation != self.Federation {
		return nil, ErrNobody
	}
	mine := in.To == self.Origin
	if !mine {
		if to, ok := b.o.Recipient(in.To); !ok || !to.Hidden || self.Hidden {
			return nil, ErrNobody
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out settled
	today := feed.DayOf(b.o.Now())
	for _, i := range in.Items {
		_, known := b.kept[i.ID]
		if !known && today-i.Day < Life && i.Day-today <= 1 {
			v := value{To: in.To, From: from, Day: i.Day, Sealed: i.Sealed}
			if mine {
				_, err := open(self, i.ID, i.Day, i.Sealed)
				v.Shut = err != nil
			}
			if v.Shut && !self.Publisher || !b.room(self, v.note()) {
				continue // the sender keeps it for another day
			}
			if err := b.put(i.ID, v); err != nil {
				return nil, err
			}
		}
		out.IDs = append(out.IDs, i.ID)
	}
	return identity.Marshal(out)
}

// room tells whether one more report can be taken.
func (b *Box) room(self Self, n note) bool {
	own := n.to == self.Origin
	limit, like := maxCarried, func(k note) bool { return k.to != self.Origin && !k.from.IsZero() }
	switch {
	case n.shut:
		limit, like = maxShut, func(k note) bool { return k.shut }
	case own:
		limit, like = maxMine, func(k note) bool { return k.to == self.Origin && !k.shut }
	}
	told := b.count(func(k note) bool { return k.from == n.from && k.day == n.day && (k.to == self.Origin) == own })
	return b.count(func(k note) bool { return !k.gone && like(k) }) < limit && (told < maxTold || n.from == self.Origin)
}

// Give forgets what the publishing node of a country says it has, and answers with
// the next batch for it. It is for nodes that nobody can call.
func (b *Box) Give(to identity.OriginID, done []byte) ([]byte, error) {
	self, ok := b.o.Self()
	if !ok {
		return nil, ErrNobody
	}
	if _, err := b.settle(done, func(_ ID, n note) bool { return n.to == to && (n.from.IsZero() || n.to != self.Origin) }); err != nil {
		return nil, err
	}
	raw, _, err := b.pack(self, to, b.ready(self, to))
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
