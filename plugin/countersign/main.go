// Countersign refuses to create a container whose image does not satisfy the signature policy of the pod's namespace.
//
// It is one program: the daemon that containerd asks (run), and commands for those who operate it (check, evidence,
// version). Package documentation of policy and nri says how a decision is made; function run joins the daemon's parts.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/log" //nolint:depguard // Only to silence it.
)

func main() {
	// Libraries of containerd and containers/image log on their own; what they have to say reaches us as errors.
	log.L.Logger.SetOutput(io.Discard)
	os.Exit(execute(os.Args, os.Stdout, os.Stderr))
}

// execute runs one command and returns the program's exit status.
func execute(args []string, stdout, stderr io.Writer) int {
	command := newCommand(stdout, stderr)
	command.SetArgs(arguments(args))
	err := command.Execute()
	if err == nil {
		return exitAdmitted
	}
	if status := (*exitError)(nil); errors.As(err, &status) {
		return status.code
	}
	fmt.Fprintf(stderr, "countersign: %v\n", err)
	if config := (*configError)(nil); errors.As(err, &config) {
		return exitConfig
	}
	return exitCannotSay
}

// Exit statuses of check. Any command that fails exits with exitCannotSay, but for run with a configuration that is
// not valid: exitConfig is EX_CONFIG of sysexits.h, of which systemd is told that a restart does not help.
const (
	exitAdmitted  = 0
	exitDenied    = 1
	exitCannotSay = 2
	exitConfig    = 78
)

// configError is what only somebody who edits the configuration, or the command line, of the daemon can repair.
type configError struct{ error }

// Unwrap returns the cause.
func (e *configError) Unwrap() error { return e.error }

// exitError ends the program with a status, everything having been said.
type exitError struct{ code int }

// Error implements error.
func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }
