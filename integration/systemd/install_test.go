package systemd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// TestFromTheFirstInstallationToTheRemoval takes one machine through the life of an installation.
func TestFromTheFirstInstallationToTheRemoval(t *testing.T) {
	t.Parallel()
	l := newLab(t, node.Containerd24)
	key := l.push(t)
	l.starts(t, "prod", unsigned)
	before := l.tree(t)

	started := time.Now()
	l.run(t, "/root/1/countersign", "install")
	// The promise is ten seconds, which a loaded machine may exceed.
	t.Logf("install took %s", time.Since(started).Round(time.Millisecond))
	l.write(t, "/etc/countersign/keys/key.pub", key)
	l.write(t, "/etc/countersign/policies/prod.json", signedOnly)
	l.starts(t, "prod", unsigned)
	l.journal(t, "countersign", `"msg":"decision"`, `"would_deny":true`, unsigned, `"namespace":"prod"`)

	// containerd does not require the plugin on a node that only audits.
	l.run(t, "countersign", "status", "--wait")
	l.healthy(t)
	l.run(t, "countersign", "install", "--mode", "enforce")
	l.run(t, "countersign", "status", "--wait")
	l.healthy(t)
	l.refused(t, unsigned, "(unsigned)")
	l.starts(t, "prod", signed)
	l.journal(t, "countersign", `"msg":"decision"`, `"outcome":"deny"`, unsigned)

	l.run(t, "/root/2/countersign", "install")
	if program := l.run(t, "cat", "/usr/local/bin/countersign"); !strings.HasSuffix(program, "2") {
		t.Error("the upgrade has not replaced the program")
	}
	l.refused(t, unsigned, "(unsigned)")
	l.starts(t, "prod", signed)

	l.run(t, "rm", "/etc/countersign/keys/key.pub", "/etc/countersign/policies/prod.json")
	l.run(t, "countersign", "uninstall")
	l.unchanged(t, before)
	l.starts(t, "prod", unsigned)
	if state, err := l.Run(t.Context(), "systemctl", "is-active", "countersign"); err == nil {
		t.Errorf("after the removal, the service is %s", state)
	}
}

// TestOtherReleases installs on the releases of containerd that identify images by their layers.
func TestOtherReleases(t *testing.T) {
	t.Parallel()
	for _, release := range []node.Release{node.Containerd22, node.Containerd23} {
		t.Run(string(release), func(t *testing.T) {
			l := newLab(t, release)
			before := l.tree(t)
			l.run(t, "/root/1/countersign", "install")
			l.save(t, loaded, "/root/image.tar")
			l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
			l.starts(t, "prod", loaded)
			l.run(t, "countersign", "install", "--mode", "enforce")
			l.refused(t, loaded, refusal)
			l.run(t, "countersign", "uninstall")
			l.unchanged(t, before)
			l.starts(t, "prod", loaded)
		})
	}
}

// healthy requires that doctor finds no fault, and proves enforcement. No time service runs on the machine.
func (l *lab) healthy(t *testing.T) {
	t.Helper()
	report := l.run(t, "countersign", "doctor", "--skip", "clock")
	for _, line := range []string{"yes      canary_refused", "yes      canary_admitted", "yes      canary_removed"} {
		if !strings.Contains(report, line) {
			t.Errorf("doctor does not say %q:\n%s", line, report)
		}
	}
}
