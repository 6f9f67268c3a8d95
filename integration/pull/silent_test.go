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
	"github.com/countersign/countersign/integration/rig"
)

// silent are pulls for which the daemon does not answer, or not in time.
func (w *workshop) silent(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), settings{"pull": {"timeout": "2s"}})
	t.Run("because it is not there", l.daemonAway)
	t.Run("because it hangs", l.daemonHangs)
	t.Run("because the registry hangs", l.registryHangs)
	t.Run("because many wait", l.crowd)
	t.Run("because the verifier cannot be executed", l.verifierBroken)
	t.Run("because the verifier is killed", l.verifierKilled)
}

func (l *lab) daemonAway(t *testing.T) {
	image := l.signed(t, "shop/absent:v1", bundle)
	t.Run("and pulls are denied without it", func(t *testing.T) {
		l.refusesPull(t, image, "unavailable")
	})
	t.Run("and pulls are allowed without it", func(t *testing.T) {
		lenient := l.newDaemon(t, settings{"pull": {"on_daemon_unavailable": "allow"}})
		rig.OK(t, l.InstallVerifier(l.verifier, lenient))
		l.Pull(t, image)
		rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
	})
	t.Run("and comes back", func(t *testing.T) {
		l.Start(t)
		again := l.signed(t, "shop/back:v1", bundle)
		l.Pull(t, again)
		l.BecomesRunnable(t, prod, again)
	})
}

// daemonHangs stops the daemon's process with SIGSTOP, so the daemon is unreachable.
func (l *lab) daemonHangs(t *testing.T) {
	image := l.signed(t, "shop/stopped:v1", bundle)
	rig.OK(t, l.Daemon.Process().Signal(syscall.SIGSTOP))
	err := l.tryPull(t, image)
	rig.OK(t, l.Daemon.Process().Signal(syscall.SIGCONT))
	if !rig.IsRefused(err, "unavailable") {
		t.Errorf("while the daemon hangs, the pull says: %v", err)
	}
	l.BecomesRunnable(t, prod, image)
}

func (l *lab) registryHangs(t *testing.T) {
	image := l.signed(t, "shop/hanging:v1", bundle)
	repair := l.faults.answer(t, hang, evidenceOf("shop/hanging")...)
	l.Pull(t, image)
	rig.Logged(t, l.Daemon, "", image.Reference, "pending")
	repair()
	l.BecomesRunnable(t, prod, image)
}

// verifierKilled kills the verifier's process while it waits. For containerd this is a failed pull.
func (l *lab) verifierKilled(t *testing.T) {
	slow := l.newDaemon(t, nil)
	rig.OK(t, l.Daemon.Terminate(t.Context()))
	rig.OK(t, slow.Start())
	rig.OK(t, slow.Ready(t.Context()))
	rig.OK(t, l.InstallVerifier(l.verifier, slow))
	image := l.signed(t, "shop/killed:v1", bundle)
	answer, arrived, release := hold(t)
	repair := l.faults.answer(t, answer, evidenceOf("shop/killed")...)
	outcome := make(chan error, 1)
	go func() { outcome <- l.tryPull(t, image) }()
	awaits(t, arrived)
	process := rig.Must(verifying(slow))(t)
	rig.OK(t, process.Kill())
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), "failed to call verifier "+node.Verifier) {
		t.Errorf("without its verifier the pull says: %v", err)
	}
	repair()
	release()
	rig.Eventually(t, "another pull", func() error { return l.tryPull(t, image) })
}

// verifying finds the process of a verifier that waits for a daemon.
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

// crowd pulls more images from a hanging registry than the daemon fetches concurrently: each pull is allowed, and pulls
// from another registry are not delayed.
func (l *lab) crowd(t *testing.T) {
	other := node.NewRegistry(t, l.Distribution())
	policy := l.signatures()
	policy.Scopes[other.Host] = node.Cosign(l.Key.Public)
	l.Write(t, "", policy)
	rig.Logged(t, l.Daemon, "policies loaded", "namespaces:[]")
	l.Write(t, prod, policy)
	rig.Logged(t, l.Daemon, "policies loaded", "namespaces:[prod]")
	l.faults.answer(t, hang, evidenceOf("shop/crowd")...)
	outcomes := make(chan error)
	const count = 12
	for i := range count {
		image := rig.Must(l.Registry.Push(t.Context(), fmt.Sprintf("shop/crowd:v%d", i), l.Image(t, fmt.Sprint(i))))(t)
		go func() { outcomes <- l.tryPull(t, image) }()
	}
	unsigned := rig.Must(other.Push(t.Context(), "shop/prompt:v1", l.Image(t, "prompt")))(t)
	l.refusesPull(t, unsigned, "unsigned")
	for range count {
		if err := <-outcomes; err != nil {
			t.Errorf("the pull should be allowed: %v", err)
		}
	}
}
