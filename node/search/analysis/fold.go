package analysis

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What decomposition leaves: letters that carry their mark in the stem, the
// final sigma, and ligatures.
var leftover = map[rune]string{
	'ł': "l", 'ø': "o", 'ħ': "h", 'đ': "d", 'ð': "d", 'ŧ': "t", 'ŋ': "n", 'ß': "ss", 'æ': "ae", 'œ': "oe",
	'ı': "i", 'ĸ': "k", 'þ': "th", 'ƶ': "z", 'ɨ': "i", 'ς': "σ",
}

const foldTableSize = 0x2000 // Latin, Greek with polytonic, Cyrillic: what is asked nearly always

var foldTable = sync.OnceValue(func() *[foldTableSize]string {
	t := new([foldTableSize]string)
	for r := rune(0); r < foldTableSize; r++ {
		t[r] = foldSlow(r)
	}
	return t
})

// foldSlow returns r in lower case without its marks; "" for what is neither
// a letter nor a number.
func foldSlow(r rune) string {
	var out []rune
	for _, d := range norm.NFKD.String(string(r)) {
		if unicode.IsLetter(d) || unicode.IsNumber(d) {
			d = unicode.ToLower(d)
			if s, ok := leftover[d]; ok {
				out = append(out, []rune(s)...)
			} else {
				out = append(out, d)
			}
		}
	}
	return string(out)
}

// joins tells whether r belongs to a word though it folds to nothing: marks,
// soft hyphens, joiners and marks of direction that copied text carries inside
// words.
func joins(r rune) bool {
	switch r {
	case 0x00AD, 0xFEFF:
		return true
	}
	if r >= 0x200B && r <= 0x200F || r >= 0x202A && r <= 0x202E || r >= 0x2060 && r <= 0x2069 { // no width, or only a direction
		return true
	}
	return r >= 0x300 && unicode.In(r, unicode.Mn, unicode.Mc, unicode.Me)
}

// MaxWordBytes bounds a folded word; the rest of a longer one is not looked at.
const MaxWordBytes = 64

// Words calls yield with every word of s, folded, in order. The slice is valid
// during the call. Invalid UTF-8 separates words.
func Words(s string, yield func(word []byte)) {
	Spans(s, func(word []byte, _, _ int) { yield(word) })
}

// Spans is like [Words] and tells where in s each word begins and ends, in
// bytes.
func Spans(s string, yield func(word []byte, from, to int)) {
	t := foldTable()
	var buf [MaxWordBytes + utf8.UTFMax*4]byte
	w := buf[:0]
	from, to := 0, 0
	flush := func() {
		if len(w) > 0 {
			yield(clip(w), from, to)
			w = buf[:0]
		}
	}
	for i := 0; i < len(s); {
		at := i
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			case c >= 'A' && c <= 'Z':
				c += 'a' - 'A'
			default:
				flush()
				continue
			}
			if len(w) == 0 {
				from = at
			}
			if to = i; len(w) < MaxWordBytes {
				w = append(w, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		var f string
		switch {
		case r == utf8.RuneError:
		case r < foldTableSize:
			f = t[r]
		default:
			f = foldSlow(r)
		}
		switch {
		case f != "":
			if len(w) == 0 {
				from = at
			}
			if to = i; len(w) < MaxWordBytes {
				w = append(w, f[:min(len(f), utf8.UTFMax*4)]...)
			}
		case joins(r):
			if len(w) > 0 && unicode.Is(unicode.M, r) {
				to = i // a mark is seen with its letter
			}
		default:
			flush()
		}
	}
	flush()
}

// clip cuts w to MaxWordBytes at the border of a letter.
func clip(w []byte) []byte {
	if len(w) <= MaxWordBytes {
		return w
	}
	n := MaxWordBytes
	for n > 0 && !utf8.RuneStart(w[n]) {
		n--
	}
	return w[:n]
}

// Fold returns the words of s, folded.
func Fold(s string) []string {
	var out []string
	Words(s, func(w []byte) { out = append(out, string(w)) })
	return out
}

// Spelled finds how a text writes a folded word: "młodzież" for "mlodziez".
func Spelled(text, folded string) (word string, found bool) {
	Spans(text, func(w []byte, from, to int) {
		if !found && string(w) == folded {
			word, found = text[from:to], true
		}
	})
	return word, found
}
