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

// line is one line of an import. The last one says how many there were: without
// it the rows are not whole and nothing may be written.
type line struct {
	Row  *Row `json:"r,omitempty"`
	Done *int `json:"done,omitempty"`
}

var errCutOff = &Error{Class: Failed, Code: "cut_off", Message: "The rows ended in the middle; nothing was taken in.", Next: "Start the import again."}

func writeRows(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	n := 0
	for row, err := range rows {
		if err != nil {
			return err
		}
		if len(row.Document) > maxLine/2 {
			row.Document = nil
			row.Faults = append(row.Faults, Fault{Code: "too_large", Message: fmt.Sprintf("The listing is larger than %d MiB.", maxLine/2>>20)})
		}
		if err := enc.Encode(line{Row: &row}); err != nil {
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
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		n := 0
		for lines.Scan() {
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				yield(Row{}, &Error{Class: Usage, Code: "bad_row", Message: fmt.Sprintf("Line %d of the rows is not JSON: %v.", n+1, err)})
				return
			}
			switch {
			case l.Done != nil && *l.Done == n:
				return
			case l.Row == nil:
				yield(Row{}, errCutOff)
				return
			}
			n++
			if !yield(*l.Row, nil) {
				return
			}
		}
		err := lines.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = &Error{Class: Usage, Code: "too_large", Message: fmt.Sprintf("Line %d of the rows is larger than %d MiB.", n+1, maxLine>>20)}
		} else {
			err = errCutOff
		}
		yield(Row{}, err)
	}
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
