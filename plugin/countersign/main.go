// Countersign refuses to create a container whose image does not satisfy the signature policy of the pod's namespace.
//
// It is one program: the daemon that containerd calls (run), and commands for operators (audit, check, config,
// evidence, policy, version). Packages policy and nri document how a decision is made; package daemon connects the
// parts.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/log" //nolint:depguard // Only to discard its output.
)

func main() {
	// Libraries of containerd and containers/image write logs of their own; the same information reaches us as errors.
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
	return exitUnknown
}

// Exit statuses of check. Any command that fails exits with exitUnknown, except that run exits with exitConfig if its
// configuration is invalid. exitConfig is EX_CONFIG of sysexits.h; the systemd unit does not restart the service after
// it.
const (
	exitAdmitted = 0
	exitDenied   = 1
	exitUnknown  = 2
	exitConfig   = 78
)

// configError is an error that an operator can fix only by editing the daemon's configuration or command line.
type configError struct{ error }

// Unwrap returns the cause.
func (e *configError) Unwrap() error { return e.error }

// exitError ends the program with a status. All output has been printed before.
type exitError struct{ code int }

// Error implements error.
func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }
