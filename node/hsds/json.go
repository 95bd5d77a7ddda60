package hsds

import (
	"bufio"
	"bytes"
	"encoding/json"
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
	dec := json.NewDecoder(in)
	dec.UseNumber()
	if err := readValue(dec, "$", emit); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the end of the JSON document", ErrFormat)
	}
	return nil
}

// readLines reads a value from every line that is not blank. A bad line does
// not end it.
func readLines(in *bufio.Reader, emit func(Row) bool) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 0, 64<<10), MaxTable)
	for n := 1; scan.Scan(); n++ {
		line := bytes.TrimSpace(scan.Bytes())
		if len(line) == 0 {
			continue
		}
		where := fmt.Sprintf("line %d", n)
		if !json.Valid(line) {
			if !emit(badRow(where, "This line is no JSON. Correct it; each line must hold one whole object.")) {
				return errStop
			}
			continue
		}
		if err := readValue(json.NewDecoder(bytes.NewReader(line)), where, emit); err != nil {
			return err
		}
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return nil
}

// readValue reads a service, an organization with services, a page, or a list
// of those.
func readValue(dec *json.Decoder, where string, emit func(Row) bool) error {
	tok, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	switch tok {
	case json.Delim('['):
		return readElements(dec, where, emit)
	case json.Delim('{'):
		return readObject(dec, where, emit)
	}
	return fmt.Errorf("%w: want a JSON object or list", ErrFormat)
}

func notJSON(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: it is empty or ends too early", ErrFormat)
	}
	return fmt.Errorf("%w: it is no JSON: %v", ErrFormat, err)
}

// readElements reads the rest of a list, one element in memory at a time.
func readElements(dec *json.Decoder, where string, emit func(Row) bool) error {
	for i := 0; dec.More(); i++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return notJSON(err)
		}
		at := fmt.Sprintf("%s[%d]", where, i)
		if len(raw) == 0 || raw[0] != '{' {
			if !emit(badRow(at, "This is no object. Put a service here or leave it out.")) {
				return errStop
			}
			continue
		}
		if err := readValue(json.NewDecoder(bytes.NewReader(raw)), at, emit); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	if err != nil {
		return notJSON(err)
	}
	return nil
}

// readObject reads the rest of an object. The contents of a page are read as
// they come; anything else is put together again, so that
// [listing.ParseJSON] sees the bytes of one service and judges them.
func readObject(dec *json.Decoder, where string, emit func(Row) bool) error {
	var whole bytes.Buffer
	var services []json.RawMessage
	page, organization := false, false
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return notJSON(err)
		}
		key := tok.(string) // the decoder has made sure of it
		if key == "contents" && !page {
			if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
				return fmt.Errorf("%w: the contents of a page must be a list", ErrFormat)
			}
			if err := readElements(dec, where+".contents", emit); err != nil {
				return err
			}
			page = true
			continue
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
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
	if _, err := dec.Token(); err != nil {
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
