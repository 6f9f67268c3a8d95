package policy

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that became the failure of what panicked, and of nothing else.
type PanicError struct {
	// Part is the part of the product that panicked, in a word or two: the same for all panics of one place.
	Part  string
	Value any
	// Stack is that of the goroutine, of several lines.
	Stack string
}

// Error implements error, in one line.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.Part, e.Value) }

// PanicFunc is told of a panic that was survived, by the goroutine that panicked. It may be nil.
type PanicFunc func(*PanicError)

// Guard runs f and returns its error, or a [*PanicError] where it panics. Each owner of a goroutine that handles bytes
// from outside runs it under a Guard: a panic that is not recovered ends the process, and with it every container's
// start on the node.
func Guard(part string, told PanicFunc, f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = told.report(part, cause)
		}
	}()
	return f()
}

// report tells of a panic. It is called while that unwinds.
func (told PanicFunc) report(part string, cause any) *PanicError {
	failure := &PanicError{Part: part, Value: cause, Stack: string(debug.Stack())}
	if told != nil {
		told(failure)
	}
	return failure
}

// Recovered tells of a panic that a deferred function has recovered, and returns it as an error. It is for those who
// cannot afford a [Guard]'s closure.
func Recovered(part string, told PanicFunc, cause any) *PanicError { return told.report(part, cause) }
