package hsds

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/2ps-project/waymark/node/listing"
)

// readJSON reads one JSON document or, if the first line is a whole object and
// more follows, one a line.
func readJSON(in *bufio.Reader, lines bool, emit func(Row) bool) error {
	if !lines {
		head, err := in.Peek(in.Size())
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		first, rest, more := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
		lines = more && len(bytes.TrimSpace(rest)) > 0 && json.Valid(first) && bytes.HasPrefix(first, []byte("{"))
	}
	if lines {
		return readLines(in, emit)
	}
	room := &allowance{in: in}
	room.renew()
	src := source{json.NewDecoder(room), room}
	if err := readValue(src, "$", emit); err != nil {
		return err
	}
	if _, err := src.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the end of the JSON document", ErrFormat)
	}
	return nil
}

// source is JSON as it is read: from a file, or from an element that is in memory.
type source struct {
	*json.Decoder
	room *allowance // nil in memory
}

// allowance bounds what is read for one element, since the decoder keeps it whole.
type allowance struct {
	in   io.Reader
	left int
}

var errElement = fmt.Errorf("%w: one service, or one organization with its services, has more than %d MiB; split it", ErrFormat, MaxElement>>20)

func (a *allowance) renew() {
	if a != nil {
		a.left = MaxElement
	}
}

func (a *allowance) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, errElement
	}
	n, err := a.in.Read(b[:min(len(b), a.left)])
	a.left -= n
	return n, err
}

// readLines reads a value from every line that is not blank. A bad line does
// not end it.
func readLines(in *bufio.Reader, emit func(Row) bool) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 0, 64<<10), MaxElement)
	n := 1
	for ; scan.Scan(); n++ {
		line := bytes.TrimSpace(scan.Bytes())
		if len(line) == 0 {
			continue
		}
		where := fmt.Sprintf("line %d", n)
		if line[0] == '{' {
			if err := readElement(line, where, emit); !errors.Is(err, errNotJSON) {
				if err != nil {
					return err
				}
				continue
			}
		} else if json.Valid(line) {
			if err := readValue(source{json.NewDecoder(bytes.NewReader(line)), nil}, where, emit); err != nil {
				return err
			}
			continue
		}
		if !emit(badRow(where, "This line is no JSON. Correct it; each line must hold one whole object.")) {
			return errStop
		}
	}
	if err := scan.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%w: line %d has more than %d MiB; split it", ErrFormat, n, MaxElement>>20)
	} else if err != nil {
		return fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return nil
}

// readElement reads an object that is in memory: nearly always a service that needs
// nothing done to it.
func readElement(raw []byte, where string, emit func(Row) bool) error {
	if !bytes.Contains(raw, pageMark) && !bytes.Contains(raw, organizationMark) {
		row := Row{Where: where, Raw: bytes.Clone(raw)}
		if bytes.Contains(raw, madeMark) {
			d, err := listing.ParseJSON(raw)
			if err == nil {
				row = Row{Where: where, Document: d}
			}
		}
		if !emit(row) {
			return errStop
		}
		return nil
	}
	if !json.Valid(raw) {
		return errNotJSON
	}
	return readValue(source{json.NewDecoder(bytes.NewReader(raw)), nil}, where, emit)
}

// What stands in the bytes of a page, of an organization with its services, and of a
// service to which [Plain] has added something.
var (
	pageMark         = []byte(`"contents"`)
	organizationMark = []byte(`"services"`)
	madeMark         = []byte(`"` + refField + `"`)
)

// errNotJSON is the only error of [readElement] that does not end all reading.
var errNotJSON = errors.New("no JSON")

// readValue reads a service, an organization with services, a page, or a list
// of those.
func readValue(src source, where string, emit func(Row) bool) error {
	tok, err := src.Token()
	if err != nil {
		return notJSON(err)
	}
	switch tok {
	case json.Delim('['):
		return readElements(src, where, emit)
	case json.Delim('{'):
		return readObject(src, where, emit)
	}
	return fmt.Errorf("%w: want a JSON object or list", ErrFormat)
}

func notJSON(err error) error {
	if errors.Is(err, ErrFormat) {
		return err
	}
	if err == io.EOF {
		return fmt.Errorf("%w: it is empty or ends too early", ErrFormat)
	}
	return fmt.Errorf("%w: it is no JSON: %v", ErrFormat, err)
}

// readElements reads the rest of a list, one element in memory at a time.
func readElements(src source, where string, emit func(Row) bool) error {
	for i := 0; src.More(); i++ {
		src.room.renew()
		var raw json.RawMessage
		if err := src.Decode(&raw); err != nil {
			return notJSON(err)
		}
		at := fmt.Sprintf("%s[%d]", where, i)
		if len(raw) == 0 || raw[0] != '{' {
			if !emit(badRow(at, "This is no object. Put a service here or leave it out.")) {
				return errStop
			}
			continue
		}
		if err := readElement(raw, at, emit); err != nil {
			return err
		}
	}
	_, err := src.Token()
	if err != nil {
		return notJSON(err)
	}
	return nil
}

// readObject reads the rest of an object. The contents of a page are read as
// they come; anything else is put together again, so that
// [listing.ParseJSON] sees the bytes of one service and judges them.
func readObject(src source, where string, emit func(Row) bool) error {
	var whole bytes.Buffer
	var services []json.RawMessage
	page, organization := false, false
	for src.More() {
		tok, err := src.Token()
		if err != nil {
			return notJSON(err)
		}
		key := tok.(string) // the decoder has made sure of it
		if key == "contents" && !page {
			if tok, err := src.Token(); err != nil || tok != json.Delim('[') {
				return fmt.Errorf("%w: the contents of a page must be a list", ErrFormat)
			}
			if err := readElements(src, where+".contents", emit); err != nil {
				return err
			}
			page = true
			continue
		}
		var raw json.RawMessage
		if err := src.Decode(&raw); err != nil {
			return notJSON(err)
		}
		if key == "services" && !organization && json.Unmarshal(raw, &services) == nil && services != nil {
			organization = true
			continue
		}
		name, _ := json.Marshal(key) // text always can
		if whole.Len() > 0 {
			whole.WriteByte(',')
		}
		fmt.Fprintf(&whole, "%s:%s", name, raw)
	}
	if _, err := src.Token(); err != nil {
		return notJSON(err)
	}
	self := "{" + whole.String() + "}"
	switch {
	case page:
		return nil
	case organization:
		return emitServices([]byte(self), services, where, emit)
	case !emit(parsed([]byte(self), where)):
		return errStop
	}
	return nil
}

// emitServices gives each service of an organization the organization.
func emitServices(organization []byte, services []json.RawMessage, where string, emit func(Row) bool) error {
	for i, raw := range services {
		row := parsed(raw, fmt.Sprintf("%s.services[%d]", where, i))
		if row.Document != nil && row.Document["organization"] == nil {
			o, err := listing.ParseJSON(organization) // anew: documents share nothing
			if err != nil {
				row.Faults = append(row.Faults, malformed("organization", err))
			} else {
				row.Document["organization"] = map[string]any(o)
			}
		}
		if !emit(row) {
			return errStop
		}
	}
	return nil
}

func parsed(raw []byte, where string) Row {
	d, err := listing.ParseJSON(raw)
	if err != nil {
		return Row{Where: where, Faults: listing.Faults{malformed("", err)}}
	}
	return Row{Where: where, Document: d}
}

func malformed(path string, err error) listing.Fault {
	return listing.Fault{Path: path, Code: listing.CodeMalformed,
		Message: "This cannot be read: " + err.Error() + ". Correct it."}
}

func badRow(where, message string) Row {
	return Row{Where: where, Faults: listing.Faults{{Code: listing.CodeMalformed, Message: message}}}
}
