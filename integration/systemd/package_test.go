package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestTheDebianPackage installs, upgrades and removes the package of a release on an enforcing node.
func TestTheDebianPackage(t *testing.T) {
	t.Parallel()
	l := newLab(t, node.Containerd24)
	l.save(t, loaded, "/root/image.tar")
	l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
	l.starts(t, "prod", loaded)
	before := l.tree(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		l.copy(t, l.release(t, version), "/root/"+version+".deb")
	}

	l.run(t, "dpkg", "--install", "/root/1.0.0.deb")
	l.starts(t, "prod", loaded)
	l.run(t, "countersign", "install")
	l.run(t, "countersign", "install", "--mode", "enforce")
	l.refused(t, loaded, refusal)
	first := l.property(t, "MainPID")

	l.run(t, "dpkg", "--install", "/root/1.1.0.deb")
	if version := l.run(t, "dpkg-query", "--show", "--showformat", "${Version}", "countersign"); version != "1.1.0" {
		t.Errorf("version %s is installed", version)
	}
	l.another(t, first)
	l.refused(t, loaded, refusal)

	l.run(t, "dpkg", "--remove", "countersign")
	l.starts(t, "prod", loaded)
	l.run(t, "dpkg", "--purge", "countersign")
	l.unchanged(t, before)
}

// release makes a signed release for this machine's architecture, checks it, and returns its Debian package.
func (l *lab) release(t *testing.T, version string) string {
	t.Helper()
	repository := rig.Must(node.Repository())(t)
	directory := t.TempDir()
	key := rig.Must(l.tools.GenerateKey(t.Context(), t.TempDir(), "release"))(t)
	command := exec.CommandContext(t.Context(), filepath.Join(repository, "scripts/dist.sh"))
	command.Env = append(os.Environ(), "VERSION="+version, "DIST="+directory, "ARCHITECTURES="+runtime.GOARCH,
		"COSIGN_KEY="+key.Private, "COSIGN_PASSWORD=", "COSIGN="+l.tools.Path("cosign"),
		"BUILD_FLAGS=", "CGO_ENABLED=0", "GOFLAGS=-tags=containers_image_openpgp -buildvcs=false")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	name := "countersign-" + version + "-linux-" + runtime.GOARCH
	sums := string(rig.Must(os.ReadFile(filepath.Join(directory, "SHA256SUMS")))(t))
	for _, extension := range []string{".tar.gz", ".deb", ".rpm", ".spdx.json"} {
		if !strings.Contains(sums, "  "+name+extension+"\n") {
			t.Errorf("the checksums do not have %s:\n%s", name+extension, sums)
		}
	}
	rig.Must(l.tools.Cosign(t.Context(), nil, "verify-blob", "--key", key.Public, "--insecure-ignore-tlog",
		"--bundle", filepath.Join(directory, "SHA256SUMS.sigstore.json"), filepath.Join(directory, "SHA256SUMS")))(t)
	return filepath.Join(directory, name+".deb")
}
