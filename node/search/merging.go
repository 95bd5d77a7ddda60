package search

import (
	"cmp"
	"context"
	"slices"
	"time"
)

const (
	mergeAlone = 24 // segments above which an Apply merges itself when Run does not
	mergeHard  = 96 // segments above which it does so in any case
)

// tidy has the segments merged: by Run, or here where that falls behind.
func (x *Index) tidy() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
	n := len(x.current.Load().views)
	if !x.running.Load() && (n > mergeAlone || x.mustErase()) || n > mergeHard {
		x.mergeAll(context.Background(), pick)
	}
}

// mustErase tells whether a segment holds what was erased.
func (x *Index) mustErase() bool {
	return slices.ContainsFunc(x.current.Load().views, func(v view) bool { return v.purge })
}

// mergeAll merges as long as there is anything to.
func (x *Index) mergeAll(ctx context.Context, pick func([]view) []int) {
	x.merging.Lock()
	defer x.merging.Unlock()
	for ctx.Err() == nil {
		more := false
		if err := guarded(func() error { more = x.mergeOnce(pick); return nil }); err != nil {
			x.distrust(err)
			return
		}
		if !more {
			return
		}
	}
}

// pickFresh chooses what is in memory only.
func pickFresh(views []view) (chosen []int) {
	for i, v := range views {
		if v.seg.file == nil && v.seg.n < spillFrom {
			chosen = append(chosen, i)
		}
	}
	if len(chosen) < 2 {
		return nil
	}
	return chosen
}

// maxSegment is how many documents a segment has at most: it bounds the memory
// of a merge. A million listings are then five segments or so.
const maxSegment = 1 << 18

// pick chooses what to merge: a segment that holds what was erased; or the
// smallest segments, as long as each is no larger than those before it
// together, so that a document is rewritten about once for each doubling of the
// index; or one that is a third dead.
func pick(views []view) []int {
	if i := slices.IndexFunc(views, func(v view) bool { return v.purge }); i >= 0 {
		return []int{i}
	}
	order := bySize(views)
	sum, n := 0, 0
	for _, i := range order {
		if views[i].count() > sum+32 || sum+views[i].count() > maxSegment {
			break
		}
		sum += views[i].count()
		n++
	}
	if n >= 4 {
		return order[:n]
	}
	for i := range views {
		if dead := views[i].dead; dead > 32 && dead > views[i].seg.n/3 {
			return []int{i}
		}
	}
	return nil
}

// pickQuiet chooses what to merge while nothing changes: all that fits into one
// segment, unless what stands beside the largest is so little that questions
// hardly notice it.
func pickQuiet(views []view) []int {
	order := bySize(views)
	sum, n := 0, 0
	for _, i := range order {
		if sum+views[i].count() > maxSegment {
			break
		}
		sum += views[i].count()
		n++
	}
	if n < 2 || n <= 3 && sum-views[order[n-1]].count() < sum/20 {
		return nil
	}
	return order[:n]
}

// bySize orders views by how many live in them.
func bySize(views []view) []int {
	order := make([]int, len(views))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(views[a].count(), views[b].count()) })
	return order
}

// erased lets go of the snapshots that may hold what was erased, once no segment
// in use does. The caller holds write.
func (x *Index) erased() {
	if x.erasing && !x.mustErase() {
		x.erasing = false
		x.kept.Store(new([]*snapshot))
	}
}

// mergeOnce merges the segments that pick chooses and reports whether there were
// any. Searches and writes go on meanwhile. The caller holds merging.
func (x *Index) mergeOnce(pick func([]view) []int) bool {
	start := time.Now()
	before := x.current.Load().views
	chosen := pick(before)
	if len(chosen) == 0 {
		return false
	}
	parts := make([]view, len(chosen))
	for i, c := range chosen {
		parts[i] = before[c]
	}
	seg, remap := merge(parts)
	merged := newView(x.spill(seg, spillFrom))

	x.write.Lock()
	defer x.write.Unlock()
	old := x.current.Load()
	// What died since the merge began dies in its outcome.
	views := make([]view, 0, len(old.views))
	alive := map[uint64]bool{}
	var dying []uint32
	for _, v := range old.views {
		p := slices.IndexFunc(parts, func(p view) bool { return p.seg.serial == v.seg.serial })
		if p < 0 {
			views = append(views, v)
			continue
		}
		alive[v.seg.serial] = true
		before := len(dying)
		dying = died(dying, v.live, remap[p])
		merged.purge = merged.purge || v.purge && len(dying) > before // erased since
	}
	for p := range parts {
		if !alive[parts[p].seg.serial] { // all of it died
			dying = died(dying, nil, remap[p])
		}
	}
	if len(dying) > 0 {
		merged = merged.without(dying)
	}
	if merged.count() > 0 {
		views = append(views, merged)
	}
	x.publish(newSnapshot(old.number+1, views, old.labels))
	x.erased()
	x.opt.Logger.Debug("search: merged segments", "segments", len(parts), "documents", seg.n, "took", time.Since(start))
	return true
}

// died appends the new numbers of what is not in live now and was alive when
// the merge began.
func died(list []uint32, live docBits, remap []uint32) []uint32 {
	for d, to := range remap {
		if to != gone && (live == nil || !live.has(uint32(d))) {
			list = append(list, to)
		}
	}
	return list
}
