package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/2ps-project/waymark/config"
	"github.com/2ps-project/waymark/federation/identity"
	"github.com/2ps-project/waymark/node/control"
	"github.com/2ps-project/waymark/node/hsds/check"
)

// The exit codes of every command.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitDegraded = 3
	exitRefused  = 4
)

// usageError is a command that was written wrongly.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

// exitCode ends a command that has already said everything.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// outcomes is the table of the kinds of errors that the command line itself
// makes; [control.Explain] has those of the node.
var outcomes = []struct {
	is   func(error) bool
	code int
	next string
}{
	{kind[usageError], exitUsage, ""},
	{kind[*config.Faults], exitError, "Correct the file, then look again with: waymark config check"},
	{sentinel(identity.ErrKeyFile), exitError, "Put the key back from a backup; a node cannot speak for its country without it."},
	{sentinel(control.ErrNotRunning), exitError, ""},
	{sentinel(check.ErrAddress), exitUsage, ""},
	{sentinel(check.ErrUnreachable), exitError, "Look whether the address is right and the API is running."},
}

// classCodes are the exit codes of the node's errors.
var classCodes = map[control.Class]int{
	control.Failed: exitError, control.Usage: exitUsage, control.Degraded: exitDegraded, control.Refused: exitRefused,
}

func kind[T error](err error) bool { _, ok := errors.AsType[T](err); return ok }

func sentinel(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// exit says what went wrong and returns the exit code.
func (m *Main) exit(err error) int {
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	code, message, next, detail := exitError, err.Error(), "", ""
	if e := control.Explain(err); e != nil {
		code, message, next, detail = classCodes[cmp.Or(e.Class, control.Failed)], e.Message, e.Next, e.Detail
	}
	for _, o := range outcomes {
		if o.is(err) {
			code, message, next, detail = o.code, err.Error(), o.next, ""
			break
		}
	}
	fmt.Fprintln(m.Stderr, "waymark: "+strings.TrimRight(message, "\n"))
	if detail != "" {
		fmt.Fprintln(m.Stderr, "("+plain(detail)+")")
	}
	if next != "" {
		fmt.Fprintln(m.Stderr, next)
	}
	return code
}
