package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

// unserved adds a drop-in with which containerd cannot be served, until the test ends.
func (b *bases) unserved(t *testing.T, name, contents string, words ...string) {
	t.Helper()
	said := b.more(t, notRegistered, append(words, "refusing to serve: unsupported runtime")...)
	remove := b.dropIn(t, name, contents)
	said()
	for _, record := range rig.Must(b.Daemon.Log(notRegistered))(t) {
		if rig.Says(record, words...) && record["level"] != "ERROR" {
			t.Errorf("it is logged at level %v", record["level"])
		}
	}
	b.isGauge(t, "countersign_nri_registered", 0)
	if _, err := b.Daemon.Readiness(t.Context()); err == nil || !strings.Contains(err.Error(), words[0]) {
		t.Errorf("/readyz does not have the cause: %v", err)
	}
	if err := b.Another(t.Context(), b.pods[loose], b.signed); err == nil {
		t.Error("a container is created")
	}
	again := b.more(t, registered)
	remove()
	again()
	b.others(t)
}

func (b *bases) restores(t *testing.T) {
	b.unserved(t, "98-restore.toml", `[plugins."io.containerd.cri.v1.runtime"]
  enable_experimental_restore_via_create = true
`, "enable_experimental_restore_via_create")
}

// remoteSnapshotter has no snapshotter behind its socket: it is not needed to see that it would be remote.
func (b *bases) remoteSnapshotter(t *testing.T) {
	b.unserved(t, "98-remote.toml", `[proxy_plugins.lazy]
  type = "snapshot"
  address = "/run/absent.sock"
  [proxy_plugins.lazy.exports]
    enable_remote_snapshot_annotations = "true"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.lazy]
  runtime_type = "io.containerd.runc.v2"
  snapshotter = "lazy"
`, "uses the remote snapshotter lazy", "insecure_remote_snapshotters")
}
