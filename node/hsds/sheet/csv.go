package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

var separatorNames = map[byte]string{',': "commas", ';': "semicolons", '\t': "tabs"}

func parseCSV(b []byte, o Options) (*Table, error) {
	text, as, err := decode(b, o.Encoding)
	if err != nil {
		return nil, err
	}
	t := &Table{}
	offset := 0
	var comma byte
	if rest, ok := bytes.CutPrefix(text, []byte("sep=")); ok && len(rest) > 1 && separatorNames[rest[0]] != "" {
		// what Excel writes and reads; it shows no row for it
		comma = rest[0]
		_, text, _ = bytes.Cut(rest, []byte("\n"))
	}
	if o.Separator != "" {
		comma = o.Separator[0]
	}
	if comma == 0 {
		comma = separator(text)
	}
	if separatorNames[comma] == "" || len(o.Separator) > 1 {
		return nil, refuse("the separator %q is not known; choose a comma, a semicolon or a tab", o.Separator)
	}
	t.ReadAs = as + ", separated by " + separatorNames[comma]
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = rune(comma), -1, true // a line that is kept is copied
	lines := 0                                                        // that were read so far
	for row := 0; ; {
		cells, err := r.Read()
		if err == io.EOF {
			return t, nil
		}
		l := Line{Cells: cells}
		start := lines + 1
		if len(cells) > 0 {
			start, _ = r.FieldPos(0)
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			start = bad.StartLine
			l.Cells, l.Broken = nil, "This row cannot be read: "+bad.Err.Error()+". Check its quotation marks."
		} else if err != nil {
			return nil, err
		}
		row += 1 + start - 1 - lines // the reader passes over blank lines, which are rows as well
		lines += bytes.Count(text[offset:r.InputOffset()], []byte("\n"))
		offset = int(r.InputOffset())
		l.Number = row
		for i, c := range l.Cells {
			if inner, ok := strings.CutPrefix(c, `="`); ok && strings.HasSuffix(inner, `"`) {
				l.Cells[i] = strings.TrimSuffix(inner, `"`) // how a text is kept from becoming a number
			}
		}
		if err := t.add(l, o.Header); err != nil {
			return nil, err
		}
	}
}

// separator is the sign that stands most often in the first line that has one,
// outside of quotation marks.
func separator(text []byte) byte {
	counts := map[byte]int{}
	quoted := false
	for _, c := range text[:min(len(text), MaxCell)] {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' && len(counts) > 0:
			return most(counts)
		case separatorNames[c] != "":
			counts[c]++
		}
	}
	return most(counts)
}

func most(counts map[byte]int) byte {
	best := byte(',')
	for _, c := range []byte(",;\t") {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return best
}
