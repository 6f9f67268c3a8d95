package install_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestAKilledProcessLeavesNothingHalfDone kills a process with SIGKILL at every step of each operation. At each of
// these moments containerd's configuration is valid and, in audit mode, requires nothing. The same operation completes
// afterwards, and a removal restores the host.
func TestAKilledProcessLeavesNothingHalfDone(t *testing.T) {
	for name, test := range map[string]struct {
		before    []string
		operation string
		// free is set if containers can start without countersign at any time.
		free bool
	}{
		"a first installation":               {nil, "audit", true},
		"an upgrade":                         {[]string{"audit"}, "audit 2", true},
		"the switch to enforce":              {[]string{"audit"}, "enforce", false},
		"the switch back to audit":           {[]string{"audit", "enforce"}, "audit", false},
		"a removal":                          {[]string{"audit"}, "uninstall", true},
		"a first installation as a plugin":   {nil, "audit plugin", true},
		"a plugin: the switch to enforce":    {[]string{"audit plugin"}, "enforce", false},
		"from a service to a plugin":         {[]string{"audit"}, "audit plugin", true},
		"a plugin: a removal while enforced": {[]string{"audit plugin", "enforce"}, "uninstall", false},
		"a removal while enforced":           {[]string{"audit", "enforce"}, "uninstall", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prepared := newRoot(t, standard)
			original := tree(t, prepared)
			do(t, prepared, test.before...)
			complete := clone(t, prepared)
			do(t, complete, test.operation)
			after := tree(t, complete)
			steps := kill(t, clone(t, prepared), test.operation, 0)
			for at := 1; at <= steps; at++ {
				root := clone(t, prepared)
				kill(t, root, test.operation, at)
				check(t, root, at, test.free)
				if at%2 == 0 {
					do(t, root, test.operation)
					same(t, "completed after step "+strconv.Itoa(at), tree(t, root), after)
				}
				if at%2 == 1 || test.operation != "uninstall" {
					do(t, root, "uninstall")
					same(t, "removed after step "+strconv.Itoa(at), tree(t, root), original)
				}
				if t.Failed() {
					t.FailNow()
				}
				_ = os.RemoveAll(root)
			}
			t.Logf("%d steps", steps)
		})
	}
}

// kill carries out an operation in another process, which kills itself at a step; 0: it completes, and the number of
// its steps is returned.
func kill(t *testing.T, root, operation string, at int) int {
	t.Helper()
	command := exec.CommandContext(t.Context(), "/proc/self/exe", root, strconv.Itoa(at))
	command.Env = append(os.Environ(), killed+"="+operation)
	output, err := command.CombinedOutput()
	if at == 0 {
		steps, parse := strconv.Atoi(strings.TrimSpace(string(output)))
		if err := errors.Join(err, parse); err != nil {
			t.Fatalf("%s: %v\n%s", operation, err, output)
		}
		return steps
	}
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s, killed at step %d: %v\n%s", operation, at, err, output)
	}
	return 0
}

// check returns what containers would meet if the node went on as it is after a step.
func check(t *testing.T, root string, at int, free bool) {
	t.Helper()
	config := effective(t, root)
	if free && len(config.RequiredPlugins()) > 0 {
		t.Errorf("after step %d containerd requires %v", at, config.RequiredPlugins())
	}
	verifiers, err := os.ReadDir(filepath.Join(root, config.Verifiers()))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, verifier := range verifiers {
		path := filepath.Join(root, config.Verifiers(), verifier.Name())
		if target, err := os.Readlink(path); err == nil {
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("after step %d the verifier is %v", at, err)
			}
			continue
		}
		contents, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(contents), "|| exit 0\n") {
			t.Errorf("after step %d containerd would run %s: %q, %v", at, verifier.Name(), contents, err)
		}
	}
}

// clone returns a copy of a root.
func clone(t *testing.T, root string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "root")
	if output, err := exec.CommandContext(t.Context(), "cp", "-a", root, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return copied
}
