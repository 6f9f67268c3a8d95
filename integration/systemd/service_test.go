package systemd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// installed boots a machine on which countersign is installed in a mode.
func installed(t *testing.T, release node.Release, mode string) *lab {
	t.Helper()
	l := newLab(t, release)
	l.save(t, loaded, "/root/image.tar")
	l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
	l.run(t, "/root/1/countersign", "install")
	l.write(t, "/etc/countersign/policies/open.json", `{"default": [{"type": "insecureAcceptAnything"}]}`)
	if mode == "enforce" {
		l.run(t, "countersign", "install", "--mode", "enforce")
	}
	return l
}

// loaded is an image that is imported, and that the system policy rejects.
const loaded = "example.test/app:1"

// refusal is why the system policy rejects it.
const refusal = "SignatureValidationFailed: " + loaded + ": the policy of namespace"

// property returns a property of the service.
func (l *lab) property(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(l.run(t, "systemctl", "show", "--property", name, "--value", "countersign"))
}

// TestTheServiceOfAnEnforcingNode takes one machine through what happens to a service.
func TestTheServiceOfAnEnforcingNode(t *testing.T) {
	t.Parallel()
	l := installed(t, node.Containerd24, "enforce")
	l.refused(t, loaded, refusal)
	t.Run("systemd accepts the unit", func(t *testing.T) {
		output := l.run(t, "systemd-analyze", "verify", "/etc/systemd/system/countersign.service")
		if strings.Contains(output, "countersign.service:") {
			t.Error(output)
		}
	})
	t.Run("the sandboxing is in force", func(t *testing.T) { l.sandboxed(t) })
	t.Run("the limits are in force", func(t *testing.T) { l.limited(t, 1<<30) })
	t.Run("what the garbage collector aims at follows MemoryMax", func(t *testing.T) {
		l.write(t, "/etc/systemd/system/countersign.service.d/memory.conf", "[Service]\nMemoryMax=512M\n")
		l.run(t, "systemctl", "daemon-reload")
		l.run(t, "systemctl", "restart", "countersign")
		l.limited(t, 512<<20)
		l.refused(t, loaded, refusal)
	})
	t.Run("a killed daemon is back, and enforces", func(t *testing.T) {
		before := l.property(t, "MainPID")
		l.run(t, "systemctl", "kill", "--signal", "KILL", "countersign")
		l.another(t, before)
		l.refused(t, loaded, refusal)
		l.starts(t, "open", loaded)
	})
	t.Run("explain and audit know the decisions before a restart", func(t *testing.T) {
		l.remembers(t, func() {
			before := l.property(t, "MainPID")
			l.run(t, "systemctl", "restart", "countersign")
			l.another(t, before)
			l.run(t, "countersign", "status", "--wait")
		})
	})
	t.Run("a reload applies a changed mode", func(t *testing.T) {
		before := l.property(t, "MainPID")
		l.run(t, "sed", "-i", `s/^mode = "enforce"/mode = "audit"/`, "/etc/countersign/config.toml")
		l.run(t, "systemctl", "reload", "countersign")
		l.journal(t, "countersign", "configuration reloaded", "enforce.mode")
		l.starts(t, "prod", loaded)
		if after := l.property(t, "MainPID"); after != before {
			t.Errorf("the reload has replaced process %s with %s", before, after)
		}
		l.run(t, "sed", "-i", `s/^mode = "audit"/mode = "enforce"/`, "/etc/countersign/config.toml")
		l.run(t, "systemctl", "reload", "countersign")
		l.refused(t, loaded, refusal)
	})
	t.Run("a restart of containerd ends in a registered plugin", func(t *testing.T) {
		l.run(t, "systemctl", "restart", "containerd")
		l.refused(t, loaded, refusal)
		l.starts(t, "open", loaded)
	})
	t.Run("after a reboot, the daemon is registered before the kubelet starts", func(t *testing.T) {
		l.Halt()
		rig.OK(t, l.Boot(t.Context()))
		rig.Eventually(t, "the kubelet", func() error {
			_, err := l.Run(t.Context(), "systemctl", "is-active", "kubelet")
			return err
		})
		if state := strings.TrimSpace(l.run(t, "cat", "/run/when-the-kubelet-started")); state != "active" {
			t.Errorf("when the kubelet started, the service was %q", state)
		}
		l.refused(t, loaded, refusal)
		l.starts(t, "open", loaded)
	})
	t.Run("uninstall --now switches off with an unusable configuration, and install on again", func(t *testing.T) {
		l.write(t, "/etc/countersign/config.toml", "mode =")
		l.run(t, "countersign", "uninstall", "--now")
		l.starts(t, "prod", loaded)
		if _, err := l.Run(t.Context(), "systemctl", "is-active", "countersign"); err == nil {
			t.Error("the service runs")
		}
		l.run(t, "rm", "/etc/countersign/config.toml")
		l.run(t, "countersign", "install")
		l.refused(t, loaded, refusal)
	})
}

// another waits until the service runs in another process.
func (l *lab) another(t *testing.T, before string) {
	t.Helper()
	rig.Eventually(t, "another process", func() error {
		if now := l.property(t, "MainPID"); now == before || now == "0" {
			return fmt.Errorf("it is %s", now)
		}
		if state := l.property(t, "ActiveState"); state != "active" {
			return errors.New("the service is " + state)
		}
		return nil
	})
}

// sandboxed checks with the kernel what the unit says.
func (l *lab) sandboxed(t *testing.T) {
	t.Helper()
	pid := l.property(t, "MainPID")
	status := l.run(t, "cat", "/proc/"+pid+"/status")
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000004"} {
		if !strings.Contains(status, line+"\n") {
			t.Errorf("the process has no line %q in its status:\n%s", line, status)
		}
	}
	mounts := l.run(t, "cat", "/proc/"+pid+"/mountinfo")
	for _, mount := range []string{" / / ro,", " /var/lib/countersign rw,", " /run/countersign rw,"} {
		if !strings.Contains(mounts, mount) {
			t.Errorf("the process has no mount %q:\n%s", mount, mounts)
		}
	}
}
