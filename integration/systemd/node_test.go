package systemd_test

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// absent is why containerd creates no container while the daemon is not connected.
const absent = `required plugin "countersign" not present`

// TestTheInstallerOfANode runs on an enforcing node what the pod of the chart's DaemonSet runs there: with mounts of
// its own, and in a cgroup that is killed as a whole. There is no API server, so the pod does not become ready.
func TestTheInstallerOfANode(t *testing.T) {
	t.Parallel()
	l := installed(t, node.Containerd24, "enforce")
	server := httptest.NewTLSServer(nil)
	server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	const credentials = "/run/secrets/kubernetes.io/serviceaccount/"
	l.write(t, credentials+"ca.crt", string(authority))
	l.write(t, credentials+"token", "secret")

	t.Run("the same version changes nothing", func(t *testing.T) {
		l.restarts(t, 0, func() { l.installsFromAPod(t, "same", "1", "nothing to change") })
	})
	t.Run("a newer version restarts the daemon once", func(t *testing.T) {
		l.restarts(t, 1, func() { l.installsFromAPod(t, "newer", "2", "countersign is installed in enforce mode") })
	})
	t.Run("so does the older version again", func(t *testing.T) {
		l.restarts(t, 1, func() { l.installsFromAPod(t, "older", "1", "countersign is installed in enforce mode") })
	})
	t.Run("the next pod completes what a killed one has begun", func(t *testing.T) {
		l.write(t, "/etc/systemd/system/countersign.service.d/wait.conf", "[Service]\nTimeoutStartSec=infinity\n"+
			"ExecStartPre=/bin/sh -c 'while [ -e /run/countersign-waits ]; do sleep 0.1; done'\n")
		l.write(t, "/run/countersign-waits", "")
		l.startPod(t, "killed", "2")
		rig.Eventually(t, "the restart of the daemon", func() error {
			_, err := l.Run(t.Context(), "sh", "-c", "systemctl is-active countersign | grep -qx activating")
			return err
		})
		l.run(t, "systemctl", "kill", "--signal", "KILL", "installer-killed")
		l.refused(t, loaded, absent)
		l.run(t, "rm", "/run/countersign-waits")
		l.installsFromAPod(t, "next", "2", "an installation was interrupted: its changes were undone")
		if program := l.run(t, "cat", "/usr/local/bin/countersign"); !strings.HasSuffix(program, "2") {
			t.Error("the newer version is not installed")
		}
		l.enforces(t)
	})
}

// startPod runs the installer of a version.
func (l *lab) startPod(t *testing.T, pod, version string) {
	t.Helper()
	l.run(t, "systemd-run", "--unit", "installer-"+pod, "--setenv", "KUBERNETES_SERVICE_HOST=127.0.0.1",
		"--setenv", "KUBERNETES_SERVICE_PORT=1", "unshare", "--mount", "/root/"+version+"/countersign", "node", "install",
		"--node-name", "worker", "--mode", "enforce", "--doctor-skip", "clock", "--health-probe-bind-address", "")
}

// installsFromAPod runs the installer of a version until doctor finds no fault, and requires that it says something.
func (l *lab) installsFromAPod(t *testing.T, pod, version, says string) {
	t.Helper()
	l.startPod(t, pod, version)
	l.journal(t, "installer-"+pod, says)
	l.journal(t, "installer-"+pod, "removing the taint")
	l.run(t, "systemctl", "stop", "installer-"+pod)
	l.enforces(t)
}

// restarts requires that a change starts the daemon so many times.
func (l *lab) restarts(t *testing.T, want int, change func()) {
	t.Helper()
	starts := func() int {
		const started = "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf" // SD_MESSAGE_UNIT_STARTED of sd-messages.h.
		return strings.Count(l.run(t, "journalctl", "--quiet", "--output", "cat", started, "UNIT=countersign.service"), "\n")
	}
	before := starts()
	change()
	if got := starts() - before; got != want {
		t.Errorf("the daemon was started %d times, want %d", got, want)
	}
}
