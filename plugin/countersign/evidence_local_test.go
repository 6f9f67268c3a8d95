package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/plugin/internal/socket"
)

// If a command may not use the daemon's socket, the daemon does have the store: the error must not be mistaken for its
// absence.
func TestACommandOpensTheStoreOnlyIfNoDaemonRuns(t *testing.T) {
	dialing := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", errno)}
	}
	nobody := func(err error) error { return fmt.Errorf("asking: %w: %w", socket.ErrNoDaemon, err) }
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no socket":                   {nobody(dialing(syscall.ENOENT)), ""},
		"connection refused":          {nobody(dialing(syscall.ECONNREFUSED)), ""},
		"not allowed":                 {fmt.Errorf("asking: %w", dialing(syscall.EACCES)), "only root may use its socket"},
		"the daemon returns an error": {errors.New("too many"), "too many"},
	} {
		t.Run(name, func(t *testing.T) {
			err := unlessNoDaemon(test.err)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
