package registry

import (
	"fmt"
	"strings"
)

// maxFaults is how many faults one refusal names.
const maxFaults = 40

// faults gathers what is wrong, so that a refusal names all of it at once.
type faults struct {
	list []string
	more int
}

func (f *faults) add(format string, a ...any) {
	if len(f.list) == maxFaults {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Sprintf(format, a...))
}

// text notes what is wrong with a text.
func (f *faults) text(what, s string, most int) {
	if fault := textFault(s, most); fault != "" {
		f.add("%s %s", what, fault)
	}
}

// within notes a number that is out of its bounds.
func (f *faults) within(what string, n, least, most int64) {
	if n < least || n > most {
		f.add("%s is %d, %d to %d are allowed", what, n, least, most)
	}
}

// err is the refusal, or nil.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	list := f.list
	if f.more > 0 {
		list = append(list, fmt.Sprintf("and %d more", f.more))
	}
	return &Faults{list}
}

// Faults is a refusal that names all that is wrong. It wraps [ErrMalformed].
type Faults struct {
	List []string // a clause each, in a deterministic order; at most 41
}

// Error implements error.
func (f *Faults) Error() string { return ErrMalformed.Error() + ": " + strings.Join(f.List, "; ") }

// Unwrap is [ErrMalformed].
func (f *Faults) Unwrap() error { return ErrMalformed }
