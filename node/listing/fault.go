package listing

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a listing.
type Fault struct {
	Path    string `json:"path"`    // where: "channels[0].cost"; empty for the whole
	Code    string `json:"code"`    // what kind of fault, one of the codes below; stable
	Message string `json:"message"` // what is wrong and what to do, one English sentence
}

// The codes of faults.
const (
	CodeMissing   = "missing"    // must be there and is not
	CodeBadCode   = "bad_code"   // not a code of its vocabulary
	CodeBadValue  = "bad_value"  // of the right type, but no such date, address, number …
	CodeWrongType = "wrong_type" // text where a number belongs, and the like
	CodeStale     = "stale"      // checked too long ago
	CodeTooLarge  = "too_large"  // over a limit
	CodeMalformed = "malformed"  // cannot be read at all
	CodeDangling  = "dangling"   // points at something that is not there
	CodeTwice     = "twice"      // the same id twice
)

// Faults are all faults of one listing, in the order of its fields.
type Faults []Fault

// Error names every fault.
func (f Faults) Error() string {
	parts := make([]string, len(f))
	for i, x := range f {
		parts[i] = x.String()
	}
	return strings.Join(parts, "; ")
}

// Err returns f as an error, nil when there is no fault.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// String returns the fault with its place, as for a person.
func (x Fault) String() string {
	if x.Path == "" {
		return x.Message
	}
	return x.Path + ": " + x.Message
}

func (f *Faults) add(path, code, format string, args ...any) {
	*f = append(*f, Fault{Path: path, Code: code, Message: fmt.Sprintf(format, args...)})
}
