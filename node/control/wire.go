package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

const (
	maxRequest  = 1 << 20   // bytes of a request that is one JSON value
	maxAnswer   = 256 << 20 // bytes of an answer that is one JSON value: a list of all listings
	maxLine     = 4 << 20   // bytes of one row; a published record is at most 64 KiB
	trailerFail = "Waymark-Failed"
	trailerDone = "Waymark-Done"
)

// line is one line of an import; behind it stand as many bytes of the row's document
// as it says, so that nobody needs to look through them to know where they end. The
// last line says how many rows there were: without it they are not whole and nothing
// may be written.
type line struct {
	Row  *Row `json:"r,omitempty"`
	Size int  `json:"size,omitempty"`
	Done *int `json:"done,omitempty"`
}

const maxDocument = maxLine / 2 // bytes of a row's document

var errCutOff = &Error{Class: Failed, Code: "cut_off", Message: "The rows ended in the middle; nothing was taken in.", Next: "Start the import again."}

func writeRows(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	n := 0
	for row, err := range rows {
		if err != nil {
			return err
		}
		doc := row.Document
		if len(doc) > maxDocument {
			doc = nil
			row.Faults = append(row.Faults, Fault{Code: "too_large", Message: fmt.Sprintf("The listing is larger than %d MiB.", maxDocument>>20)})
		}
		row.Document = nil
		if err := enc.Encode(line{Row: &row, Size: len(doc)}); err != nil {
			return err
		}
		if _, err := out.Write(doc); err != nil {
			return err
		}
		n++
	}
	if err := enc.Encode(line{Done: &n}); err != nil {
		return err
	}
	return out.Flush()
}

func readRows(r io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for n := 0; ; n++ {
			row, last, err := readRow(in, n)
			if err != nil {
				yield(Row{}, err)
				return
			}
			if last || !yield(row, nil) {
				return
			}
		}
	}
}

// readRow reads the row behind n others, or finds that it was the last.
func readRow(in *bufio.Reader, n int) (row Row, last bool, err error) {
	var head []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(head)+len(part) > maxLine {
			return row, false, &Error{Class: Usage, Code: "too_large", Message: fmt.Sprintf("Row %d is larger than %d MiB.", n+1, maxLine>>20)}
		}
		head = append(head, part...)
		if err == nil || errors.Is(err, io.EOF) && len(head) > 0 {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return row, false, errCutOff
		}
	}
	var l line
	if err := json.Unmarshal(head, &l); err != nil {
		return row, false, &Error{Class: Usage, Code: "bad_row", Message: fmt.Sprintf("Row %d cannot be read: %v.", n+1, err)}
	}
	switch {
	case l.Done != nil && *l.Done == n:
		return row, true, nil
	case l.Row == nil:
		return row, false, errCutOff
	case l.Size < 0 || l.Size > maxDocument:
		return row, false, &Error{Class: Usage, Code: "bad_row", Message: fmt.Sprintf("Row %d cannot be read: a document has at most %d bytes.", n+1, maxDocument)}
	case l.Size > 0:
		l.Row.Document = make(json.RawMessage, l.Size)
		if _, err := io.ReadFull(in, l.Row.Document); err != nil {
			return row, false, errCutOff
		}
	}
	return *l.Row, false, nil
}

// readAnswer decodes one JSON value of bounded size.
func readAnswer(r io.Reader, limit int64, into any) error {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	if int64(len(raw)) > limit {
		return fmt.Errorf("more than %d bytes of JSON", limit)
	}
	return json.Unmarshal(raw, into)
}
