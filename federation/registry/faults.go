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
	text := strings.Join(f.list, "; ")
	if f.more > 0 {
		text += fmt.Sprintf("; and %d more", f.more)
	}
	return fmt.Errorf("%w: %s", ErrMalformed, text)
}
