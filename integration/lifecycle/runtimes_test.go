package lifecycle_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (w *workshop) runtimes(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/notify"
	l := w.newLab(t, node.DaemonConfig{Environment: []string{"NOTIFY_SOCKET=" + path}})
	manager := newManager(t, path)
	t.Run("the daemon is there before NRI's socket", func(t *testing.T) { l.socketAppears(t, manager) })
	b := l.newBases(t)
	t.Run("containerd is killed", b.containerdKilled)
	t.Run("the content of an image was deleted", b.contentGone)
	t.Run("containerd does not require the daemon any more", b.notRequired)
	t.Run("NRI is switched off", b.disabledNRI)
	t.Run("containerd restores containers from checkpoints", b.restores)
	t.Run("a runtime has a remote snapshotter", b.remoteSnapshotter)
	t.Run("a pod wants to run without the daemon", b.optsOut)
	t.Run("the daemon is received to stop", func(t *testing.T) { l.stopped(t, manager) })
}

// manager plays the part of systemd: it listens on NOTIFY_SOCKET.
type manager struct{ received chan string }

func newManager(t *testing.T, path string) *manager {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	rig.OK(t, err)
	m := &manager{received: make(chan string, 16)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		datagram := make([]byte, 1024)
		for {
			n, err := socket.Read(datagram)
			if err != nil {
				return
			}
			m.received <- string(datagram[:n])
		}
	}()
	t.Cleanup(func() {
		if err := socket.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return m
}

// expect waits for the next notification of the service.
func (m *manager) expect(t *testing.T, want string) {
	t.Helper()
	rig.Eventually(t, want, func() error {
		select {
		case got := <-m.received:
			if got != want {
				t.Errorf("the service says %q; want %q", got, want)
			}
			return nil
		default:
			return errors.New("the service says nothing")
		}
	})
}

// isGauge waits until a gauge has a value.
func (l *lab) isGauge(t *testing.T, name string, want float64) {
	t.Helper()
	rig.Eventually(t, name, func() error {
		got, err := l.Daemon.Metric(t.Context(), name)
		if err == nil && got != want {
			err = fmt.Errorf("it is %v; want %v", got, want)
		}
		return err
	})
}

const (
	registered    = "registered with containerd"
	notRegistered = "not registered with containerd, retrying"
	required      = "containerd requires countersign"
	isRequired    = `countersign_health_check{check="required",status="yes"}`
)

// more waits until the daemon's log has more of these records than before, and checks that each of them is one line.
func (l *lab) more(t *testing.T, message string, words ...string) (wait func()) {
	t.Helper()
	count := func() int {
		found := 0
		for _, record := range rig.Must(l.Daemon.Log(message))(t) {
			if rig.Says(record, words...) {
				found++
			}
		}
		return found
	}
	before := count()
	return func() {
		t.Helper()
		rig.Eventually(t, fmt.Sprintf("%q with %q in the log", message, words), func() error {
			if count() == before {
				return fmt.Errorf("there are %d as before", before)
			}
			return nil
		})
	}
}

// socketAppears also checks that the daemon notifies systemd only after it is registered.
func (l *lab) socketAppears(t *testing.T, manager *manager) {
	t.Helper()
	rig.OK(t, l.StopContainerd(t.Context()))
	rig.OK(t, l.Daemon.Start())
	rig.Logged(t, l.Daemon, notRegistered, l.NRISocket(), "containerd's version is unknown too")
	l.isGauge(t, "countersign_nri_registered", 0)
	if len(manager.received) > 0 {
		t.Errorf("the service sends %q before it is registered", <-manager.received)
	}
	rig.OK(t, l.StartContainerd(t.Context()))
	rig.OK(t, l.Daemon.Ready(t.Context()))
	manager.expect(t, "READY=1")
	rig.Logged(t, l.Daemon, required)
	l.isGauge(t, isRequired, 1)
	if tries := rig.Must(l.Daemon.Log(notRegistered))(t); len(tries) > 2 {
		t.Errorf("it is said %d times that the socket is missing: %v", len(tries), tries)
	}
}

func (b *bases) containerdKilled(t *testing.T) {
	again, following := b.more(t, registered), b.more(t, "receiving containerd's events")
	b.KillContainerd()
	rig.OK(t, b.StartContainerd(t.Context()))
	again()
	following() // Until then, decisions are refused as unavailable.
	b.others(t)
	// Containers that ran before are in the audit log, and new ones are evaluated.
	b.runs(t, strict, b.signed)
	b.Refused(t, strict, b.unsigned, "unsigned")
}

// contentGone: containerd itself cannot create a container of an image whose manifest is lost. Other images are not
// affected.
func (b *bases) contentGone(t *testing.T) {
	gone := b.lab.signed(t, "shop/gone:v1")
	b.runs(t, strict, gone)
	for name, lost := range map[string]digest.Digest{"its manifest": gone.Digest, "its config": gone.Config} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Ctr(t.Context(), "content", "rm", lost.String())
			rig.OK(t, err)
			if err := b.Another(t.Context(), b.pods[strict], gone); err == nil {
				t.Error("a container is created from an image whose content was deleted")
			}
			unread := b.more(t, "image not read", gone.Digest.String())
			b.restart(t)
			if lost == gone.Digest {
				unread() // The rest of an image is read only when a decision needs it.
			}
			if err := b.Another(t.Context(), b.pods[strict], gone); err == nil {
				t.Error("a container is created from an image whose content was deleted")
			}
			b.others(t)
			b.Pull(t, gone)
			b.becomes(t, b.pods[strict], gone, "")
		})
	}
}

// dropIn adds a drop-in to containerd's configuration until the test ends.
func (l *lab) dropIn(t *testing.T, name, contents string) (remove func()) {
	t.Helper()
	rig.OK(t, l.DropIn(name, "version = 3\n"+contents))
	rig.OK(t, l.RestartContainerd(t.Context()))
	return func() {
		t.Helper()
		rig.OK(t, os.Remove(l.Path("conf.d", name)))
		rig.OK(t, l.RestartContainerd(t.Context()))
	}
}

func (l *lab) stopped(t *testing.T, manager *manager) {
	t.Helper()
	for len(manager.received) > 0 {
		<-manager.received
	}
	running := l.Daemon.Process()
	rig.OK(t, running.Signal(syscall.SIGTERM))
	code, err := l.Daemon.Wait(t.Context())
	if err != nil || code != 0 {
		t.Errorf("after the signal it exits with %d, %v", code, err)
	}
	manager.expect(t, "STOPPING=1")
	rig.Logged(t, l.Daemon, "stopping")
}
