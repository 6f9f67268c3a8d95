package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAPluginIsInstalledInsteadOfAService: containerd starts a link to the program.
func TestAPluginIsInstalledInsteadOfAService(t *testing.T) {
	root := newRoot(t, standard)
	do(t, root, "audit")
	do(t, root, "same plugin")
	target, err := os.Readlink(filepath.Join(root, "opt/nri/plugins/10-countersign"))
	if err != nil || target != "/usr/local/bin/countersign" {
		t.Errorf("the plugin is a link to %q, %v", target, err)
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/systemd/system/countersign.service")); !os.IsNotExist(err) {
		t.Errorf("the unit: %v, want that it does not exist", err)
	}
	settings := filepath.Join(root, "etc/nri/conf.d/10-countersign.conf")
	if text, err := os.ReadFile(settings); err != nil || !strings.Contains(string(text), "\nGOMEMLIMIT=384MiB\n") {
		t.Errorf("the settings are %q, %v", text, err)
	}

	// An upgrade keeps the operator's settings.
	writeFile(t, settings, "HTTPS_PROXY=http://proxy.example:3128\n")
	do(t, root, "same 2")
	if text, err := os.ReadFile(settings); err != nil || !strings.HasPrefix(string(text), "HTTPS_PROXY") {
		t.Errorf("after an upgrade, the settings are %q, %v", text, err)
	}
	do(t, root, "same service")
	if _, err := os.Lstat(filepath.Join(root, "opt/nri")); !os.IsNotExist(err) {
		t.Errorf("/opt/nri: %v, want that it does not exist", err)
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/systemd/system/countersign.service")); err != nil {
		t.Errorf("the unit: %v", err)
	}
}

// TestThePluginIsWhereContainerdLooksForIt: plugin_path is a setting of containerd.
func TestThePluginIsWhereContainerdLooksForIt(t *testing.T) {
	root := newRoot(t, standard+`[plugins."io.containerd.nri.v1.nri"]
  plugin_path = "/var/nri"
`)
	original := tree(t, root)
	do(t, root, "audit plugin")
	if _, err := os.Readlink(filepath.Join(root, "var/nri/10-countersign")); err != nil {
		t.Error(err)
	}
	do(t, root, "uninstall")
	same(t, "after the removal", tree(t, root), original)
}
