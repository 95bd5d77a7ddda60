package control

import (
	"errors"
	"fmt"
	"net/http"
)

// Class is the kind of an error; it decides the exit code of a command.
type Class string

// The classes of errors.
const (
	Failed   Class = "error"    // it did not work
	Usage    Class = "usage"    // it was asked in a wrong way
	Degraded Class = "degraded" // it works only in part now
	Refused  Class = "refused"  // the policy of the federation or of this node forbids it
)

// Error is an error as a person reads it. It keeps its three parts and its class
// on the way through the socket.
type Error struct {
	Class   Class  `json:"class"`   // empty means Failed
	Code    string `json:"code"`    // for programs: "invitation_expired"
	Message string `json:"message"` // what happened and why, a sentence
	Next    string `json:"next"`    // what to do, a sentence; may be empty
	Detail  string `json:"detail"`  // the error as the program has it; may be empty
}

// Error is the message and the next step.
func (e *Error) Error() string {
	if e.Next == "" {
		return e.Message
	}
	return e.Message + " " + e.Next
}

// Is makes errors with the same code the same error, so that a sentinel is found
// again on the other side of the socket.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code != "" && t.Code == e.Code
}

// Errors of reaching a node.
var (
	ErrNotRunning = errors.New("the node is not running")
	ErrRunning    = errors.New("the node is already running")
)

type notRunning struct{ dir string }

func (e notRunning) Error() string {
	return fmt.Sprintf("The node in %s is not running. Start it with: waymark serve --dir %s", e.dir, e.dir)
}

func (e notRunning) Is(target error) bool { return target == ErrNotRunning }

// asError is err as it travels.
func asError(err error) *Error {
	if e := Explain(err); e != nil {
		return e
	}
	return &Error{Class: Failed, Code: "internal", Message: "The node could not do this: " + err.Error()}
}

func (c Class) httpStatus() int {
	switch c {
	case Usage:
		return http.StatusBadRequest
	case Degraded:
		return http.StatusServiceUnavailable
	case Refused:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}
