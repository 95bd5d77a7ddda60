package sheet

import (
	"bytes"
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

// decode returns the text of a file and the name of its encoding. Without a
// name it is told from the bytes; where that is not certain, the file is refused:
// a wrong letter in an address is worse than a question.
func decode(b []byte, name string) (text []byte, as string, err error) {
	as = name
	if as == "" {
		if as, err = tell(b); err != nil {
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
	if as == "UTF-8" {
		if at := badUTF8(b); at >= 0 {
			return nil, "", refuse("line %d is not in UTF-8; name the encoding in the mapping, or save the file as “CSV UTF-8”", 1+bytes.Count(b[:at], []byte("\n")))
		}
		return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), as, nil
	}
	if strings.HasPrefix(as, "UTF-16") && len(b)%2 != 0 {
		return nil, "", refuse("it ends in the middle of a character (%s); was it cut off?", as)
	}
	if text, err = encodings[i].of.NewDecoder().Bytes(b); err != nil {
		return nil, "", refuse("it cannot be read as %s: %v", as, err)
	}
	if len(text) > MaxFile {
		return nil, "", refuse("it has more than %d MiB as UTF-8; split it", MaxFile>>20)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if at := bytes.IndexRune(text, utf8.RuneError); at >= 0 {
		return nil, "", refuse("line %d holds a character that %s does not have; name the right encoding in the mapping", 1+bytes.Count(text[:at], []byte("\n")), as)
	}
	return text, as, nil
}

// badUTF8 returns where the text stops being UTF-8, -1 when it never does.
func badUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// tell finds out the encoding.
func tell(b []byte) (string, error) {
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
	case utf8.Valid(b):
		return "UTF-8", nil
	}
	return tellPage(b)
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
func tellPage(b []byte) (string, error) {
	var best, second string
	bestShare, secondShare := -1.0, -1.0
	for _, a := range alphabets {
		i := slices.IndexFunc(encodings, func(e struct {
			name string
			of   encoding.Encoding
		}) bool {
			return e.name == a.page
		})
		in, out := lettersIn(b, encodings[i].of, a.letters)
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
	if bestShare < 0.8 || (secondShare == bestShare && !same(b, best, second)) {
		return "", refuse("its encoding cannot be told; name it in the mapping (encoding = \"…\", one of %s), or save the file as “CSV UTF-8”", encodingNames())
	}
	return best, nil
}

// lettersIn counts the bytes beyond ASCII that are letters of an alphabet, and
// those that are other letters, or signs that stand in the middle of a word.
func lettersIn(b []byte, page encoding.Encoding, letters string) (in, out int) {
	table := [256]rune{}
	known := [256]bool{}
	for c := 128; c < 256; c++ {
		r := page.(*charmap.Charmap).DecodeByte(byte(c))
		table[c] = r
		known[c] = strings.ContainsRune(letters, unicode.ToLower(r))
	}
	greek := page == charmap.Windows1253
	for i, c := range b {
		switch {
		case c < 128:
		case known[c] && greek && (i > 0 && word(b[i-1]) || i+1 < len(b) && word(b[i+1])):
			out++ // nearly every byte is a Greek letter, but no word has letters of both kinds
		case known[c]:
			in++
		case table[c] == utf8.RuneError || unicode.IsLetter(table[c]) || (i > 0 && word(b[i-1]) && i+1 < len(b) && word(b[i+1]) && table[c] != '’'):
			out++
		}
	}
	return in, out
}

func word(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// same tells whether two encodings read the same text from these bytes.
func same(b []byte, one, other string) bool {
	x, _, err1 := decode(b, one)
	y, _, err2 := decode(b, other)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
