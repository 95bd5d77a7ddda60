package docket

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/federation/registry"
)

// reduce finds which items have no place any more, by what is in them and in
// the registry alone, never by the order in which they came. It also finds for
// each ruling who has signed it.
func reduce(items map[ID]*item, s *registry.State, now time.Time) map[ID]bool {
	drop := make(map[ID]bool)
	var evidence, rulings []*item
	for _, id := range slices.SortedFunc(maps.Keys(items), compareIDs) {
		i := items[id]
		switch {
		case i.evidence != nil && !proves(i, s), i.evidence == nil && !stands(i, s, now):
			drop[id] = true
		case i.evidence != nil:
			evidence = append(evidence, i)
		default:
			rulings = append(rulings, i)
		}
	}
	reduceEvidence(evidence, drop)
	reduceRulings(rulings, drop)
	reduceAll(append(evidence, rulings...), drop)
	return drop
}

// proves reports whether evidence is good and not on record.
func proves(i *item, s *registry.State) bool {
	for _, f := range s.Evidence() {
		if f.Origin == i.fork.Origin && f.Epoch == i.fork.Epoch && f.N <= i.fork.N {
			return false
		}
	}
	return i.judged(s)
}

// stands reports whether a ruling has signatures that count, is later than the
// one on record and not too old.
func stands(i *item, s *registry.State, now time.Time) bool {
	r := &i.ruling
	if s.RulingCounter(r.Target()) >= r.Counter || now.Sub(r.Issued.Time()) > registry.RulingLife || r.Over(now.Add(-keepEnded)) {
		return false
	}
	if ok, err := i.verify(s); err != nil || !ok {
		return false
	}
	var err error
	i.signers, i.needed, err = s.Tally(r, i.keys())
	return err == nil
}

// reduceEvidence keeps for each feed and epoch the lowest number, and of each
// feed the latest epochs.
func reduceEvidence(evidence []*item, drop map[ID]bool) {
	slices.SortFunc(evidence, func(a, b *item) int {
		return cmp.Or(bytes.Compare(a.fork.Origin[:], b.fork.Origin[:]), cmp.Compare(b.fork.Epoch, a.fork.Epoch),
			cmp.Compare(a.fork.N, b.fork.N), compareIDs(a.id, b.id))
	})
	epochs := 0
	for at, i := range evidence {
		switch {
		case at == 0 || evidence[at-1].fork.Origin != i.fork.Origin:
			epochs = 1
		case evidence[at-1].fork.Epoch != i.fork.Epoch:
			epochs++
		default:
			drop[i.id] = true
		}
		if epochs > MaxPerFeed {
			drop[i.id] = true
		}
	}
}

// reduceRulings keeps for each target the ruling that holds and those that would
// hold instead with more signatures: of these the latest ones of each signer.
func reduceRulings(rulings []*item, drop map[ID]bool) {
	best := make(map[registry.Target]*item)
	for _, i := range rulings {
		if t := i.ruling.Target(); i.holds() && (best[t] == nil || i.over(best[t])) {
			best[t] = i
		}
	}
	open := make(map[identity.OriginID][]*item)
	for _, i := range rulings {
		if b := best[i.ruling.Target()]; b != nil && b.over(i) {
			drop[i.id] = true
			continue
		}
		if !i.holds() {
			for _, o := range i.signers {
				open[o] = append(open[o], i)
			}
		}
	}
	kept := make(map[*item]bool)
	for _, list := range open {
		slices.SortFunc(list, latest)
		for _, i := range list[:min(len(list), MaxOpen)] {
			kept[i] = true
		}
	}
	for _, list := range open {
		for _, i := range list {
			if !kept[i] {
				drop[i.id] = true
			}
		}
	}
}

// reduceAll keeps the items that matter most when there are too many.
func reduceAll(all []*item, drop map[ID]bool) {
	all = slices.DeleteFunc(all, func(i *item) bool { return drop[i.id] })
	if len(all) <= MaxItems {
		return
	}
	slices.SortFunc(all, func(a, b *item) int { return cmp.Or(cmp.Compare(a.weight(), b.weight()), latest(a, b)) })
	for _, i := range all[MaxItems:] {
		drop[i.id] = true
	}
}

// weight orders items by how much is lost without them, the most important
// first.
func (i *item) weight() int {
	switch {
	case i.evidence != nil:
		return 0
	case !i.holds():
		return 3
	case i.ruling.Kind == registry.RulingTakedown:
		return 2
	}
	return 1
}

func latest(a, b *item) int {
	return cmp.Or(cmp.Compare(b.ruling.Issued, a.ruling.Issued), compareIDs(a.id, b.id))
}
