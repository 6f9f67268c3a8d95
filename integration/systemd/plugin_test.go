package systemd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestThePluginThatContainerdStarts takes machines through the life of an installation without a service.
func TestThePluginThatContainerdStarts(t *testing.T) {
	t.Parallel()
	for _, release := range node.Releases() {
		t.Run(string(release), func(t *testing.T) {
			l := newLab(t, release)
			l.save(t, loaded, "/root/image.tar")
			l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
			l.starts(t, "prod", loaded)
			before := l.tree(t)
			l.run(t, "/root/1/countersign", "install", "--nri-plugin")
			l.starts(t, "prod", loaded)
			l.run(t, "countersign", "install", "--mode", "enforce")
			l.write(t, "/etc/countersign/policies/open.json", `{"default": [{"type": "insecureAcceptAnything"}]}`)
			l.enforces(t)
			if release == node.Containerd24 {
				l.survives(t)
			}
			l.run(t, "rm", "/etc/countersign/policies/open.json")
			l.run(t, "countersign", "uninstall")
			l.unchanged(t, before)
			l.starts(t, "prod", loaded)
			l.none(t)
		})
	}
}

// enforces requires that an enforcing node refuses and admits as its policies say.
func (l *lab) enforces(t *testing.T) {
	t.Helper()
	l.refused(t, loaded, refusal)
	l.starts(t, "open", loaded)
}

// survives takes an enforcing machine through what happens to processes.
func (l *lab) survives(t *testing.T) {
	t.Helper()
	t.Run("status, doctor and audit know it", func(t *testing.T) {
		if text := l.run(t, "countersign", "status", "--wait"); !strings.Contains(text, "its own supervisor") {
			t.Errorf("status does not say what runs the daemon:\n%s", text)
		}
		l.healthy(t)
		if text := l.run(t, "countersign", "audit", "--denied"); !says(text, "prod", "rejected") {
			t.Errorf("audit does not show the refusal:\n%s", text)
		}
	})
	t.Run("a killed daemon is back, and enforces", func(t *testing.T) {
		l.replaced(t, "daemon", func(pid string) { l.kill(t, "KILL", pid) })
	})
	t.Run("explain and audit know the decisions before a restart", func(t *testing.T) {
		l.remembers(t, func() { l.replaced(t, "daemon", func(pid string) { l.kill(t, "KILL", pid) }) })
	})
	t.Run("a killed supervisor is back, and runs the daemon", func(t *testing.T) {
		l.replaced(t, "supervisor", func(pid string) { l.kill(t, "KILL", pid) })
		l.replaced(t, "daemon", func(pid string) { l.kill(t, "KILL", pid) })
	})
	t.Run("a restart of containerd changes neither process", func(t *testing.T) {
		supervisor, daemon := l.process(t, "supervisor"), l.process(t, "daemon")
		l.run(t, "systemctl", "restart", "containerd")
		l.enforces(t)
		if now := l.process(t, "supervisor"); now != supervisor {
			t.Errorf("the supervisor was process %s, and is %s", supervisor, now)
		}
		if now := l.process(t, "daemon"); now != daemon {
			t.Errorf("the daemon was process %s, and is %s", daemon, now)
		}
	})
	t.Run("an upgrade replaces the program", func(t *testing.T) {
		supervisor := l.process(t, "supervisor")
		l.replaced(t, "daemon", func(string) { l.run(t, "/root/2/countersign", "install") })
		for _, name := range []string{"supervisor", "daemon"} {
			program := l.run(t, "readlink", "/proc/"+l.process(t, name)+"/exe")
			if strings.TrimSpace(program) != "/usr/local/bin/countersign" {
				t.Errorf("the %s runs %s", name, program)
			}
		}
		if now := l.process(t, "supervisor"); now != supervisor {
			t.Errorf("the supervisor was process %s, and is %s", supervisor, now)
		}
	})
	t.Run("both are killed: doctor says so, and install starts them", func(t *testing.T) {
		supervisor := l.process(t, "supervisor")
		daemon := l.process(t, "daemon")
		l.kill(t, "STOP", daemon) // It would start another supervisor.
		l.kill(t, "KILL", supervisor)
		l.kill(t, "KILL", daemon)
		report, err := l.Run(t.Context(), "countersign", "doctor", "--no-canaries", "--skip", "clock")
		if err == nil || !says(report, "no supervisor runs", "countersign install") {
			t.Errorf("doctor does not say what to do: %v\n%s", err, report)
		}
		l.run(t, "countersign", "install")
		l.enforces(t)
	})
	t.Run("uninstall --now switches off, and install on again", func(t *testing.T) {
		l.run(t, "countersign", "uninstall", "--now")
		l.starts(t, "prod", loaded)
		l.none(t)
		l.run(t, "countersign", "install")
		l.enforces(t)
	})
	t.Run("from the plugin to the service, and back", func(t *testing.T) {
		l.run(t, "countersign", "install", "--nri-plugin=false")
		l.enforces(t)
		if state := l.property(t, "ActiveState"); state != "active" {
			t.Errorf("the service is %s", state)
		}
		l.none(t)
		l.run(t, "countersign", "install", "--nri-plugin")
		l.enforces(t)
	})
}

// process returns the ID of the supervisor or the daemon, once it runs.
func (l *lab) process(t *testing.T, name string) (pid string) {
	t.Helper()
	rig.Eventually(t, "the "+name, func() error {
		text, err := l.Run(t.Context(), "cat", "/run/countersign/"+name+".lock")
		if err != nil {
			return err
		}
		pid = strings.TrimSpace(text)
		if _, err := strconv.Atoi(pid); err != nil {
			return err
		}
		_, err = l.Run(t.Context(), "test", "-d", "/proc/"+pid)
		return err
	})
	return pid
}

// replaced requires that another process is in place of the supervisor or the daemon after a change, and enforces.
func (l *lab) replaced(t *testing.T, name string, change func(pid string)) {
	t.Helper()
	before := l.process(t, name)
	change(before)
	rig.Eventually(t, "another "+name, func() error {
		if now := l.process(t, name); now == before {
			return fmt.Errorf("it is process %s still", now)
		}
		return nil
	})
	l.enforces(t)
}

// kill sends a signal. The machine has no program kill.
func (l *lab) kill(t *testing.T, signal, pid string) {
	t.Helper()
	l.run(t, "sh", "-c", "kill -"+signal+" "+pid)
}

// none requires that neither a supervisor nor its daemon runs.
func (l *lab) none(t *testing.T) {
	t.Helper()
	for _, path := range rig.Must(filepath.Glob(l.Path("/proc/[0-9]*/cmdline")))(t) {
		command, _ := os.ReadFile(path) // The process may have ended.
		words := strings.Split(string(command), "\x00")
		if strings.HasSuffix(words[0], "countersign") && slices.ContainsFunc(words, func(word string) bool {
			return word == "supervise" || word == "--supervised"
		}) {
			t.Errorf("%q runs", words)
		}
	}
}
