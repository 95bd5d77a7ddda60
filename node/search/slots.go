package search

// slots is a table that finds what is in a list by its hash, with open
// addressing: a number in the list + 1, 0 = free.
type slots []uint32

// newSlots makes the table of a list of n things.
func newSlots(n int, at func(i int) []byte) slots {
	size := 4
	for size < n*3/2 {
		size *= 2
	}
	t := make(slots, size)
	for i := range n {
		h := hashTerm(at(i)) & uint32(size-1)
		for t[h] != 0 {
			h = (h + 1) & uint32(size-1)
		}
		t[h] = uint32(i + 1)
	}
	return t
}

// fits tells whether a table can be that of n things.
func (t slots) fits(n int) bool { return len(t) > n && len(t)&(len(t)-1) == 0 }

// find returns the number of what has a hash and is what is looked for, or -1.
func (t slots) find(hash uint32, is func(i int) bool) int {
	mask := uint32(len(t) - 1)
	h := hash & mask
	for range t { // a damaged table may be full
		if t[h] == 0 {
			break
		}
		if i := int(t[h] - 1); is(i) {
			return i
		}
		h = (h + 1) & mask
	}
	return -1
}
