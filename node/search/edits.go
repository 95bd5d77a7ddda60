package search

// Nearest is the name that takes the fewest edits to become of a word; the first of
// them, empty where there are none. It takes any distance: for saying what may have
// been meant where something must be chosen from a short list.
func Nearest(word string, names []string) string {
	best, least := "", 1<<30
	for _, name := range names {
		if d := distance([]rune(word), []rune(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance returns how many single letters must be put in, left out, replaced
// or swapped with their neighbour to make b of a (optimal string alignment).
func distance(a, b []rune) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
