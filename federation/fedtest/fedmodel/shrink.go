package fedmodel

import "slices"

// Shrink takes out of a plan that fails what is not needed for it to fail, as far
// as at most tries runs reach. Fails plays a plan and reports whether it fails;
// as the scheduler has a say too, a plan that fails once in a while may stay
// longer than it would have to be.
func Shrink(p Plan, tries int, fails func(Plan) bool) Plan {
	for size := len(p.Steps) / 2; size > 0; size /= 2 {
		for at := 0; at < len(p.Steps); {
			if tries--; tries < 0 {
				return p
			}
			less := p
			less.Steps = slices.Delete(slices.Clone(p.Steps), at, min(at+size, len(p.Steps)))
			if fails(less) {
				p = less
			} else {
				at += size
			}
		}
	}
	return p
}
