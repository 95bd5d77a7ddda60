package sheet

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	utf16 "golang.org/x/text/encoding/unicode"
)

// encodings are those that can be asked for, by the name that people are told.
var encodings = []struct {
	name string
	of   encoding.Encoding
}{
	{"UTF-8", utf16.UTF8},
	{"UTF-16LE", utf16.UTF16(utf16.LittleEndian, utf16.IgnoreBOM)},
	{"UTF-16BE", utf16.UTF16(utf16.BigEndian, utf16.IgnoreBOM)},
	{"Windows-1252", charmap.Windows1252},
	{"Windows-1250", charmap.Windows1250},
	{"Windows-1257", charmap.Windows1257},
	{"Windows-1253", charmap.Windows1253},
}

func encodingNames() string {
	var names []string
	for _, e := range encodings {
		names = append(names, e.name)
	}
	return strings.Join(names, ", ")
}

// tellEncoding returns the encoding of a file, nil for UTF-8, and its name. Without
// one that is asked for it is told from the bytes, all of them; where that is not
// certain, the file is refused: a wrong letter in an address is worse than a question.
func tellEncoding(src io.ReaderAt, size int64, asked string) (of encoding.Encoding, as string, err error) {
	s, err := look(src, size)
	if err != nil {
		return nil, "", err
	}
	if as = asked; as == "" {
		if as, err = s.tell(); err != nil {
			return nil, "", err
		}
	}
	i := slices.IndexFunc(encodings, func(e struct {
		name string
		of   encoding.Encoding
	}) bool {
		return strings.EqualFold(e.name, as)
	})
	if i < 0 {
		return nil, "", refuse("the encoding %q is not known; choose one of %s", as, encodingNames())
	}
	as = encodings[i].name
	switch {
	case as == "UTF-8" && s.bad > 0:
		return nil, "", refuse("line %d is not in UTF-8; name the encoding in the mapping, or save the file as “CSV UTF-8”", s.bad)
	case as == "UTF-8":
		return nil, as, nil
	case strings.HasPrefix(as, "UTF-16") && size%2 != 0:
		return nil, "", refuse("it ends in the middle of a character (%s); was it cut off?", as)
	}
	return encodings[i].of, as, nil
}

// known hands on a text that was made from an encoding, up to a character that this
// does not have.
type known struct {
	in   io.Reader
	as   string
	line int
	cut  []byte // of a character, at the end of what was read last
}

func (k *known) Read(b []byte) (int, error) {
	n, err := k.in.Read(b)
	seen := append(k.cut, b[:n]...)
	if at := bytes.Index(seen, []byte("\ufffd")); at >= 0 {
		return 0, refuse("line %d holds a character that %s does not have; name the right encoding in the mapping", k.line+bytes.Count(seen[:at], []byte("\n")), k.as)
	}
	k.line += bytes.Count(b[:n], []byte("\n"))
	k.cut = bytes.Clone(seen[max(0, len(seen)-2):])
	return n, err
}

// looked is what a file tells of its encoding.
type looked struct {
	head []byte // its first bytes
	bad  int    // the line that is not in UTF-8; 0 when there is none
	// How often each byte beyond ASCII is there, by whether a plain letter stands before
	// it (1) and after it (2).
	count [256][4]int
}

// look reads a file to its end, as bytes.
func look(src io.ReaderAt, size int64) (*looked, error) {
	s := &looked{}
	in := io.NewSectionReader(src, 0, size)
	buffer := make([]byte, 64<<10)
	line := 1
	var before, last byte // the last two
	var begun []byte      // of a character
	for {
		n, err := io.ReadFull(in, buffer)
		if s.head == nil {
			s.head = bytes.Clone(buffer[:min(n, 4)])
		}
		for _, c := range buffer[:n] {
			if last >= utf8.RuneSelf {
				s.count[last][context(before, c)]++
			}
			before, last = last, c
			if s.bad == 0 && (c >= utf8.RuneSelf || len(begun) > 0) {
				if begun = append(begun, c); utf8.FullRune(begun) {
					if r, n := utf8.DecodeRune(begun); r == utf8.RuneError && n == 1 {
						s.bad = line
					}
					begun = begun[:0]
				}
			}
			if c == '\n' {
				line++
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if last >= utf8.RuneSelf {
		s.count[last][context(before, 0)]++
	}
	if len(begun) > 0 && s.bad == 0 {
		s.bad = line
	}
	return s, nil
}

// context is how a byte stands between two others.
func context(before, after byte) (c int) {
	if word(before) {
		c = 1
	}
	if word(after) {
		c |= 2
	}
	return c
}

// tell finds out the encoding.
func (s *looked) tell() (string, error) {
	b := s.head
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(b, []byte("\x00\x00\xfe\xff")):
		return "", refuse("it is in UTF-32; save it as “CSV UTF-8”")
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return "UTF-16LE", nil
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "UTF-16BE", nil
	case len(b) >= 4 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		return "UTF-16LE", nil
	case len(b) >= 4 && b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		return "UTF-16BE", nil
	case s.bad == 0:
		return "UTF-8", nil
	}
	return s.tellPage()
}

// alphabets are the letters beyond ASCII of the languages of the federation and
// their neighbours, each with the code page that its files come in. Where two
// agree on every byte, either reads the same text.
var alphabets = []struct{ page, letters string }{
	{"Windows-1252", "äöüß"}, {"Windows-1252", "åäöé"}, {"Windows-1252", "æøåéòó"},
	{"Windows-1252", "àâæçèéêëîïôùûüœÿ"}, {"Windows-1252", "àèéìíîòóùú"}, {"Windows-1252", "éëïóöüèê"},
	{"Windows-1252", "áéíñóúü"}, {"Windows-1252", "áâãàçéêíóôõú"},
	{"Windows-1250", "ąćęłńóśźż"}, {"Windows-1250", "áčďéěíňóřšťúůýž"}, {"Windows-1250", "áäčďéíĺľňóôŕšťúýž"},
	{"Windows-1250", "áéíóöőúüű"}, {"Windows-1250", "čšžćđ"}, {"Windows-1250", "ăâîşţ"},
	{"Windows-1257", "ąčęėįšųūž"}, {"Windows-1257", "āčēģīķļņšūž"}, {"Windows-1257", "äõöüšž"},
	{"Windows-1253", "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ"},
}

// tellPage tells a code page of one byte a character by the letters that come
// out: each language has few of its own, and a wrong page gives others.
func (s *looked) tellPage() (string, error) {
	var best, second string
	bestShare, secondShare := -1.0, -1.0
	for _, a := range alphabets {
		i := slices.IndexFunc(encodings, func(e struct {
			name string
			of   encoding.Encoding
		}) bool {
			return e.name == a.page
		})
		in, out := s.letters(encodings[i].of, a.letters)
		if in+out == 0 {
			continue
		}
		share := float64(in) / float64(in+out)
		switch {
		case a.page == best:
			bestShare = max(bestShare, share)
		case share > bestShare:
			best, second, bestShare, secondShare = a.page, best, share, bestShare
		case share > secondShare:
			second, secondShare = a.page, share
		}
	}
	if bestShare < 0.8 || (secondShare == bestShare && !s.same(best, second)) {
		return "", refuse("its encoding cannot be told; name it in the mapping (encoding = \"…\", one of %s), or save the file as “CSV UTF-8”", encodingNames())
	}
	return best, nil
}

// letters counts the bytes beyond ASCII that are letters of an alphabet, and
// those that are other letters, or signs that stand in the middle of a word.
func (s *looked) letters(page encoding.Encoding, letters string) (in, out int) {
	greek := page == charmap.Windows1253
	for c := utf8.RuneSelf; c < 256; c++ {
		r := page.(*charmap.Charmap).DecodeByte(byte(c))
		known := strings.ContainsRune(letters, unicode.ToLower(r))
		for between, n := range s.count[c] {
			switch {
			case known && greek && between > 0:
				out += n // nearly every byte is a Greek letter, but no word has letters of both kinds
			case known:
				in += n
			case r == utf8.RuneError || unicode.IsLetter(r) || between == 3 && r != '’':
				out += n
			}
		}
	}
	return in, out
}

func word(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// same tells whether two code pages read the same text from the file.
func (s *looked) same(one, other string) bool {
	page := func(name string) *charmap.Charmap {
		for _, e := range encodings {
			if e.name == name {
				return e.of.(*charmap.Charmap)
			}
		}
		return nil
	}
	x, y := page(one), page(other)
	for c := utf8.RuneSelf; c < 256; c++ {
		r := x.DecodeByte(byte(c))
		if s.count[c] != [4]int{} && (r == utf8.RuneError || r != y.DecodeByte(byte(c))) {
			return false
		}
	}
	return true
}
