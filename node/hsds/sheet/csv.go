package sheet

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/encoding"
)

var separatorNames = map[byte]string{',': "commas", ';': "semicolons", '\t': "tabs"}

// csvFile is a file of CSV, and how it is read.
type csvFile struct {
	src   io.ReaderAt
	size  int64
	of    encoding.Encoding // nil for UTF-8
	as    string            // its name
	comma byte
}

func openCSV(src io.ReaderAt, size int64, o Options) (_ source, as string, err error) {
	f := &csvFile{src: src, size: size}
	if f.of, f.as, err = tellEncoding(src, size, o.Encoding); err != nil {
		return nil, "", err
	}
	in := f.text()
	head, err := in.Peek(MaxCell)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	if o.Separator != "" {
		f.comma = o.Separator[0]
	} else if f.comma = saidSeparator(head); f.comma == 0 {
		f.comma = separator(head)
	}
	if separatorNames[f.comma] == "" || len(o.Separator) > 1 {
		return nil, "", refuse("the separator %q is not known; choose a comma, a semicolon or a tab", o.Separator)
	}
	return f, f.as + ", separated by " + separatorNames[f.comma], nil
}

func (f *csvFile) close() error { return nil }

// text is the file from its beginning in UTF-8, without the byte order mark.
func (f *csvFile) text() *bufio.Reader {
	var in io.Reader = io.NewSectionReader(f.src, 0, f.size)
	if f.of != nil {
		in = &known{in: f.of.NewDecoder().Reader(in), as: f.as, line: 1}
	}
	out := bufio.NewReaderSize(in, MaxCell)
	if mark, _ := out.Peek(3); string(mark) == "\ufeff" {
		_, _ = out.Discard(3) // has just been peeked
	}
	return out
}

// oneRow bounds what is read for a row: in a file with a quotation mark too many all
// the rest may be one.
type oneRow struct {
	in   io.Reader
	left int
}

var errRow = errors.New("a row is too large")

func (o *oneRow) Read(b []byte) (int, error) {
	if o.left <= 0 {
		return 0, errRow
	}
	n, err := o.in.Read(b[:min(len(b), o.left)])
	o.left -= n
	return n, err
}

func (f *csvFile) rows(each func(Line) error) error {
	text := f.text()
	if head, _ := text.Peek(MaxCell); saidSeparator(head) != 0 {
		for {
			if _, err := text.ReadSlice('\n'); err == nil || err == io.EOF {
				break
			} else if err != bufio.ErrBufferFull {
				return err
			}
		}
	}
	in := &oneRow{in: text}
	r := csv.NewReader(in)
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = rune(f.comma), -1, true
	lines := 0 // that were read so far
	for row := 0; ; {
		in.left = MaxRow
		cells, err := r.Read()
		if err == io.EOF {
			return nil
		}
		l := Line{Cells: cells}
		start, end := lines+1, lines+1
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			start, end = bad.StartLine, bad.Line
			l.Cells, l.Broken = nil, "This row cannot be read: "+bad.Err.Error()+". Check its quotation marks."
		case errors.Is(err, errRow):
			return refuse("row %d has more than %d MiB; check its quotation marks", row+1, MaxRow>>20)
		case err != nil:
			return err
		case len(cells) > 0:
			start, _ = r.FieldPos(0)
			end, _ = r.FieldPos(len(cells) - 1)
			end += strings.Count(cells[len(cells)-1], "\n")
		}
		row += 1 + start - 1 - lines // the reader passes over blank lines, which are rows as well
		lines = end
		l.Number = row
		for i, c := range l.Cells {
			if inner, ok := strings.CutPrefix(c, `="`); ok && strings.HasSuffix(inner, `"`) {
				l.Cells[i] = strings.TrimSuffix(inner, `"`) // how a text is kept from becoming a number
			}
		}
		if err := each(l); err != nil {
			return err
		}
	}
}

// saidSeparator is the one that the first line names as Excel does, which shows no row
// for it; 0 when it names none.
func saidSeparator(text []byte) byte {
	if rest, ok := bytes.CutPrefix(text, []byte("sep=")); ok && len(rest) > 1 && separatorNames[rest[0]] != "" {
		return rest[0]
	}
	return 0
}

// separator is the sign that stands most often in the first line that has one,
// outside of quotation marks.
func separator(text []byte) byte {
	counts := map[byte]int{}
	quoted := false
	for _, c := range text {
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
