package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// visit asks for an address as a browser does, but follows nothing, and leaves the
// headers of the answer in the file head, one on a line in their order by name, and
// what it unpacked in the file body. It fails at another status, and where an answer
// has more than so many bytes on the wire.
func visit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || len(args) > 5 {
		ts.Fatalf("usage: visit STATUS BYTES METHOD ADDRESS [FORM]")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	r, err := http.NewRequest(args[2], args[3], strings.NewReader(strings.Join(args[4:], "")))
	ts.Check(err)
	if len(args) == 5 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultTransport.RoundTrip(r)
	ts.Check(err)
	defer answer.Body.Close()
	wire, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if answer.StatusCode != status || len(wire) > most {
		ts.Fatalf("%s %s: status %d, %d bytes; want %d, at most %d", args[2], args[3], answer.StatusCode, len(wire), status, most)
	}
	var head []string
	for name, values := range answer.Header {
		for _, v := range values {
			head = append(head, fmt.Sprintf("%s: %s\n", name, v))
		}
	}
	slices.Sort(head)
	ts.Check(os.WriteFile(ts.MkAbs("head"), []byte(strings.Join(head, "")), 0o600))
	body := wire
	if answer.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(strings.NewReader(string(wire)))
		ts.Check(err)
		body, err = io.ReadAll(z)
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
}
