package fiction

import (
	"fmt"
	"strings"
)

// block is a run of telephone numbers that reach nobody.
type block struct {
	prefix string // as written, international
	digits int    // that follow
}

// Numbers for film, print and demonstrations that regulators keep unassigned:
// Germany's Bundesnetzagentur (Mitteilung 148/2021, "Drama Numbers"), Sweden's
// PTS (2020), the United Kingdom's Ofcom ("Telephone numbers for use in TV and
// radio drama programmes").
var (
	blocksDE = []block{
		{"+49 30 23125 ", 3}, {"+49 69 90009 ", 3}, {"+49 40 66969 ", 3}, {"+49 221 4710 ", 3}, {"+49 89 99998 ", 3},
	}
	blocksSE = []block{{"+46 8 465 004 ", 2}, {"+46 31 390 06 ", 2}, {"+46 40 628 04 ", 2}}
	blocksGB = []block{{"+44 1632 960", 3}, {"+44 20 7946 0", 3}}
)

// blocksNowhere is for countries of which no such range is known. No country
// or service has the code 990, so these cannot be dialled. (999 is as free,
// but without its plus it is an emergency number in Poland and the United
// Kingdom.)
var blocksNowhere = []block{{"+990 000 0", 5}}

// number rolls one telephone number of the blocks.
func (d *dice) number(blocks []block) string {
	b := blocks[d.below(len(blocks))]
	limit := 1
	for range b.digits {
		limit *= 10
	}
	return fmt.Sprintf("%s%0*d", b.prefix, b.digits, d.below(limit))
}

// Invented tells whether a telephone number, written internationally and in any
// grouping, is one that reaches nobody: of a range that a regulator keeps for
// fiction, or of the country code 990, which is assigned to nobody. A test can
// hold against it whatever a demonstration shows; 112 is the one exception that
// is meant.
func Invented(number string) bool {
	digits := digitsOf(number)
	if !strings.HasPrefix(strings.TrimSpace(number), "+") {
		return false
	}
	for _, blocks := range [][]block{blocksDE, blocksSE, blocksGB, blocksNowhere} {
		for _, b := range blocks {
			prefix := digitsOf(b.prefix)
			if strings.HasPrefix(digits, prefix) && len(digits) == len(prefix)+b.digits {
				return true
			}
		}
	}
	return false
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
