package policy

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// PanicError is a recovered panic, which fails only the item that was being processed.
type PanicError struct {
	// Part is the part of the product that panicked, in a word or two: the same for all panics of one place.
	Part  string
	Value any
	// Stack is the stack of the goroutine, in several lines.
	Stack string
}

// Error implements error, in one line.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.Part, e.Value) }

// PanicFunc is called for each recovered panic, by the goroutine that panicked. It may be nil.
type PanicFunc func(*PanicError)

// Guard runs f and returns its error, or a [*PanicError] if it panics. Each owner of a goroutine that handles untrusted
// bytes runs it under a Guard: a panic that is not recovered would end the process, and then no container starts on the
// node.
func Guard(part string, panicked PanicFunc, f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked.report(part, cause)
		}
	}()
	return f()
}

// report calls the function with a panic. It is called while the panic unwinds.
func (panicked PanicFunc) report(part string, cause any) *PanicError {
	failure := &PanicError{Part: part, Value: cause, Stack: string(debug.Stack())}
	if panicked != nil {
		panicked(failure)
	}
	return failure
}

// Recovered reports a panic that a deferred function has recovered, and returns it as an error. It is for callers that
// cannot afford the closure of a [Guard].
func Recovered(part string, panicked PanicFunc, cause any) *PanicError {
	return panicked.report(part, cause)
}

// maxPanicDetail limits the detail of a finding about a panic, in bytes: the value may quote evidence.
const maxPanicDetail = 4096

// RecoverFinding makes a panic of a judge the finding that is [Internal]. A judge, which passes untrusted bytes to a
// library, defers it.
func RecoverFinding(part string, panicked PanicFunc, finding *Finding) {
	if cause := recover(); cause != nil {
		// The stack is for the log: a detail is one line that the operator reads.
		detail := panicked.report(part, cause).Error()
		detail = strings.ToValidUTF8(detail[:min(len(detail), maxPanicDetail)], "")
		*finding = Finding{Reason: Internal, Detail: detail}
	}
}
