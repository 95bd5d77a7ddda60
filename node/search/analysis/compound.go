package analysis

import "strings"

// links are what stands between the parts of a compound in the languages that
// write it as one word. A language without any here has no compounds.
var links = [Count][]string{
	1:  {"", "s", "es", "n", "en", "er", "e"}, // de
	4:  {"", "n", "en"},                       // fi: the genitive
	9:  {"", "s", "en", "e"},                  // nl
	10: {"", "s", "e"},                        // no
	12: {"", "s", "e", "o", "u"},              // sv
}

const (
	minCompound = 7 // bytes; nothing shorter is taken apart
	minPart     = 3 // of a part that is known
	minHead     = 5 // of the last part where what stands before it is not known
	minUnknown  = 4 // of what is not known before a known last part
	maxParts    = 4
)

// Parts returns the stems of the parts of a compound, first to last; nil for
// what is none. The last part must be known: "…linje", "…stelle", "…ryhmä"; what
// stands before it may be a word that nobody has listed, and then counts as one.
func (l Language) Parts(word string) []string {
	if l < 0 || len(links[l]) == 0 || len(word) < minCompound || word[0] <= '9' {
		return nil
	}
	if parts := l.split(word, maxParts); len(parts) > 1 {
		return parts
	}
	return nil
}

// split takes a word apart from its end, the longest known last part first. It
// returns nil where that fails, and the stem of a word that is known whole.
func (l Language) split(word string, most int) []string {
	x := l.lexicon()
	var guess []string
	for n := min(len(word)-minPart, x.longest+maxEnding); most > 1 && n >= minPart; n-- {
		head, rest := word[len(word)-n:], word[:len(word)-n]
		if head[0]&0xC0 == 0x80 || !l.known(head) {
			continue
		}
		for _, link := range links[l] {
			first, ok := strings.CutSuffix(rest, link)
			if !ok || len(first) < minPart {
				continue
			}
			if l.known(first) {
				return []string{l.Stem(first), l.Stem(head)}
			}
			if parts := l.split(first, most-1); parts != nil {
				return append(parts, l.Stem(head))
			}
		}
		if guess == nil && most == maxParts && len(head) >= minHead && len(rest) >= minUnknown {
			guess = []string{l.Stem(strings.TrimSuffix(rest, "s")), l.Stem(head)}
		}
	}
	return guess
}

// maxEnding is by how much an inflected last part may be longer than a listed one.
const maxEnding = 5

func (l Language) known(part string) bool {
	x := l.lexicon()
	if _, ok := x.parts[part]; ok {
		return true
	}
	if len(part) < minPart+1 {
		return false
	}
	_, ok := x.parts[l.Stem(part)]
	return ok
}

// Compounds tells whether the language writes compounds as one word.
func (l Language) Compounds() bool { return l >= 0 && len(links[l]) > 0 }
