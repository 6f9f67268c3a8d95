package pull_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// silent are pulls about which the daemon does not answer, or not in time.
func (w *workshop) silent(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), settings{"pull": {"timeout": "2s"}})
	t.Run("because it is not there", l.daemonAway)
	t.Run("because it hangs", l.daemonHangs)
	t.Run("because the registry hangs", l.registryHangs)
	t.Run("because many wait", l.crowd)
	t.Run("because the verifier is killed", l.verifierKilled)
}

func (l *lab) daemonAway(t *testing.T) {
	image := l.signed(t, "shop/away:v1", bundle)
	t.Run("and pulls are denied without it", func(t *testing.T) {
		l.refusesPull(t, image, "unavailable")
	})
	t.Run("and pulls are allowed without it", func(t *testing.T) {
		lenient := l.newDaemon(t, settings{"pull": {"without_daemon": "allow"}})
		no(t, l.InstallVerifier(l.verifier, lenient))
		l.pulls(t, image)
		no(t, l.InstallVerifier(l.verifier, l.daemon))
	})
	t.Run("and comes back", func(t *testing.T) {
		l.start(t)
		again := l.signed(t, "shop/back:v1", bundle)
		l.pulls(t, again)
		l.runs(t, again)
	})
}

// daemonHangs stops the daemon's process for a moment, which is as if it were not there.
func (l *lab) daemonHangs(t *testing.T) {
	image := l.signed(t, "shop/stopped:v1", bundle)
	no(t, l.daemon.Process().Signal(syscall.SIGSTOP))
	err := l.pull(t, image)
	no(t, l.daemon.Process().Signal(syscall.SIGCONT))
	if !isRefused(err, "unavailable") {
		t.Errorf("while the daemon hangs, the pull says: %v", err)
	}
	l.runs(t, image)
}

func (l *lab) registryHangs(t *testing.T) {
	image := l.signed(t, "shop/hanging:v1", bundle)
	repair := l.faults.answer(t, hang, evidenceOf("shop/hanging")...)
	l.pulls(t, image)
	logged(t, l.daemon, image.Reference, "pending")
	repair()
	l.runs(t, image)
}

// verifierKilled kills the verifier's process while it waits. What containerd makes of that is a failed pull.
func (l *lab) verifierKilled(t *testing.T) {
	slow := l.newDaemon(t, nil)
	no(t, l.daemon.Terminate(t.Context()))
	no(t, slow.Start())
	no(t, slow.Ready(t.Context()))
	no(t, l.InstallVerifier(l.verifier, slow))
	image := l.signed(t, "shop/killed:v1", bundle)
	answer, arrived, release := hold(t)
	repair := l.faults.answer(t, answer, evidenceOf("shop/killed")...)
	outcome := make(chan error, 1)
	go func() { outcome <- l.pull(t, image) }()
	awaits(t, arrived)
	process := must(verifying(slow))(t)
	no(t, process.Kill())
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), "failed to call verifier "+node.Verifier) {
		t.Errorf("without its verifier the pull says: %v", err)
	}
	repair()
	release()
	eventually(t, "another pull", func() error { return l.pull(t, image) })
}

// verifying finds the verifier's process that asks a daemon.
func verifying(daemon *node.Daemon) (*os.Process, error) {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, path := range found {
		contents, err := os.ReadFile(path)
		arguments := strings.Split(string(contents), "\x00")
		if err != nil || len(arguments) < 3 || arguments[1] != "-config" || arguments[2] != daemon.ConfigFile() {
			continue
		}
		var process int
		if _, err := fmt.Sscanf(path, "/proc/%d/cmdline", &process); err != nil {
			return nil, err
		}
		return os.FindProcess(process)
	}
	return nil, errors.New("no verifier asks this daemon")
}

// crowd pulls more images at once from a registry that hangs than are fetched for at once: each is let in by itself,
// and another registry's images do not wait for it.
func (l *lab) crowd(t *testing.T) {
	other := node.NewRegistry(t, l.distribution())
	policy := l.signatures()
	policy.Scopes[other.Host] = node.Cosign(l.key.Public)
	l.write(t, "", policy)
	logged(t, l.daemon, "policies loaded", "namespaces:[]")
	l.write(t, prod, policy)
	logged(t, l.daemon, "policies loaded", "namespaces:[prod]")
	l.faults.answer(t, hang, evidenceOf("shop/crowd")...)
	outcomes := make(chan error)
	const count = 12
	for i := range count {
		image := must(l.registry.Push(t.Context(), fmt.Sprintf("shop/crowd:v%d", i), l.image(t, fmt.Sprint(i))))(t)
		go func() { outcomes <- l.pull(t, image) }()
	}
	unsigned := must(other.Push(t.Context(), "shop/prompt:v1", l.image(t, "prompt")))(t)
	l.refusesPull(t, unsigned, "unsigned")
	for range count {
		if err := <-outcomes; err != nil {
			t.Errorf("it should be let in: %v", err)
		}
	}
}
