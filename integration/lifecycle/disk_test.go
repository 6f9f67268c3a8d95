package lifecycle_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (b *bases) fullDisk(t *testing.T) {
	disk := rig.NewDisk(t)
	rig.OK(t, b.Daemon.Terminate(t.Context()))
	full := b.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"evidence": {"directory": disk.Path("evidence")},
		"audit":    {"file": disk.Path("audit.log")},
	}})
	rig.OK(t, full.Start())
	rig.OK(t, full.Ready(t.Context()))
	disk.Fill(t)
	b.others(t)
	const line = "evidence cannot be stored on disk: fetched evidence is stored in memory, imports are refused"
	if said := rig.Logged(t, full, line, "no space left on device"); len(said) != 1 {
		t.Errorf("it is said %d times that the disk is full", len(said))
	}
	b.onFullDisk(t, full, disk.Path("evidence"))
	b.auditFileFull(t, full)
	disk.Empty(t)
	fresh := b.lab.signed(t, "shop/fresh:v1")
	b.Pull(t, fresh)
	b.is(t, b.pods[strict], fresh, "")
	rig.Logged(t, full, "evidence is stored on disk again")
	const writable = `countersign_health_check{check="audit_file",status="yes"}`
	if value := rig.Must(full.Metric(t.Context(), writable))(t); value != 1 {
		t.Errorf("%s is %v", writable, value)
	}
	rig.OK(t, full.Terminate(t.Context()))
	b.Start(t)
	b.others(t)
}

// onFullDisk does with a daemon whose disk is full what it says: fetched evidence is in memory only, and an import is
// refused.
func (b *bases) onFullDisk(t *testing.T, daemon *node.Daemon, evidence string) {
	t.Helper()
	image := b.lab.signed(t, "shop/full:v1")
	b.Pull(t, image)
	b.is(t, b.pods[strict], image, "")
	on := *b.Rig
	on.Daemon = daemon
	pattern := filepath.Join(evidence, "v*", "sha256", image.Digest.Encoded(), "*", "record.json")
	if written := rig.Must(filepath.Glob(pattern))(t); len(written) > 0 {
		t.Errorf("the disk is full, and %v was written", written)
	}
	directory := t.TempDir()
	rig.OK(t, b.Tools.Save(t.Context(), image, directory, nil))
	other := b.Registry.Host + "/shop/carried:v1"
	if _, err := on.Evidence(t, "import", "--as", other, directory); err == nil ||
		!strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("an import says: %v", err)
	}
}

// auditFileFull makes decisions until the audit log file has no room for another record. All of them are as on any
// other disk, and the log has each record.
func (b *bases) auditFileFull(t *testing.T, daemon *node.Daemon) {
	t.Helper()
	const full = `countersign_health_check{check="audit_file",status="no"}`
	for rig.Must(daemon.Metric(t.Context(), full))(t) != 1 {
		b.others(t)
	}
	const line = "cannot write the audit log file: its records are missing there, and decisions continue"
	if said := rig.Logged(t, daemon, line, "no space left on device"); len(said) != 1 {
		t.Errorf("it is said %d times that the disk is full", len(said))
	}
	health := rig.Must(daemon.Health(t.Context()))(t)
	if !strings.Contains(health, `"healthy":true`) || !strings.Contains(health, "no space left on device") {
		t.Errorf("/healthz is %s", health)
	}
}
