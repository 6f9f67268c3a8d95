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

// packager installs and removes packages of releases, by their versions.
type packager struct {
	extension                       string
	install, upgrade, remove, purge func(t *testing.T, l *lab)
	// version prints the version that is installed.
	version []string
}

const (
	oldRelease = "1.0.0"
	newRelease = "1.1.0"
)

// packagers are those of Debian, and of distributions with RPM packages. The machine's own packages are dpkg's, so the
// database of rpm does not know the shell that the scripts require; and rpm has no purge.
func packagers() map[string]packager {
	run := func(program string, arguments ...string) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) { t.Helper(); l.run(t, program, arguments...) }
	}
	rpm := func(arguments ...string) func(*testing.T, *lab) {
		return run("rpm", append([]string{"--dbpath", "/root/rpm"}, arguments...)...)
	}
	return map[string]packager{
		"Debian": {
			".deb", run("dpkg", "--install", "/root/1.0.0.deb"), run("dpkg", "--install", "/root/1.1.0.deb"),
			run("dpkg", "--remove", "countersign"), run("dpkg", "--purge", "countersign"),
			[]string{"dpkg-query", "--show", "--showformat", "${Version}", "countersign"},
		},
		"RPM": {
			".rpm", rpm("--install", "--nodeps", "/root/1.0.0.rpm"), rpm("--upgrade", "--nodeps", "/root/1.1.0.rpm"),
			rpm("--erase", "countersign"), run("rm", "-rf", "/etc/countersign", "/var/lib/countersign"),
			[]string{"rpm", "--dbpath", "/root/rpm", "--query", "--queryformat", "%{VERSION}", "countersign"},
		},
	}
}

// TestThePackages installs, upgrades and removes the packages of a release on an enforcing node.
func TestThePackages(t *testing.T) {
	t.Parallel()
	l := newLab(t, node.Containerd24)
	l.save(t, loaded, "/root/image.tar")
	l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/image.tar")
	l.starts(t, "prod", loaded)
	before := l.tree(t)
	for _, version := range []string{oldRelease, newRelease} {
		release := l.release(t, version)
		for _, p := range packagers() {
			l.copy(t, release+p.extension, "/root/"+version+p.extension)
		}
	}
	for name, p := range packagers() {
		t.Run(name, func(t *testing.T) { l.packaged(t, p); l.unchanged(t, before) })
	}
}

func (l *lab) packaged(t *testing.T, p packager) {
	t.Helper()
	p.install(t, l)
	l.starts(t, "prod", loaded)
	l.run(t, "countersign", "install")
	l.run(t, "countersign", "install", "--mode", "enforce")
	l.refused(t, loaded, refusal)
	first := l.property(t, "MainPID")

	p.upgrade(t, l)
	if version := l.run(t, p.version[0], p.version[1:]...); version != newRelease {
		t.Errorf("version %s is installed", version)
	}
	l.another(t, first)
	l.refused(t, loaded, refusal)

	p.remove(t, l)
	l.starts(t, "prod", loaded)
	p.purge(t, l)
}

// release makes a signed release for this machine's architecture, checks it, and returns the path of its packages
// without their extensions.
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
	platform := version + "-linux-" + runtime.GOARCH
	name, agent := "countersign-"+platform, "countersign-agent-"+platform
	sums := string(rig.Must(os.ReadFile(filepath.Join(directory, "SHA256SUMS")))(t))
	for _, file := range []string{
		name + ".tar.gz", name + ".deb", name + ".rpm", name + ".spdx.json", agent + ".tar.gz", agent + ".spdx.json",
	} {
		if !strings.Contains(sums, "  "+file+"\n") {
			t.Errorf("the checksums do not have %s:\n%s", file, sums)
		}
	}
	runsAgent(t, directory, agent)
	rig.Must(l.tools.Cosign(t.Context(), nil, "verify-blob", "--key", key.Public, "--insecure-ignore-tlog",
		"--bundle", filepath.Join(directory, "SHA256SUMS.sigstore.json"), filepath.Join(directory, "SHA256SUMS")))(t)
	return filepath.Join(directory, name)
}

// runsAgent runs the agent of a release's archive, and looks for its libraries in the SBOM.
func runsAgent(t *testing.T, directory, name string) {
	t.Helper()
	unpacked := t.TempDir()
	archive := filepath.Join(directory, name)
	for _, arguments := range [][]string{
		{"tar", "-C", unpacked, "-xzf", archive + ".tar.gz"},
		{filepath.Join(unpacked, name, "countersign-agent"), "-help"},
	} {
		if output, err := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", arguments, err, output)
		}
	}
	sbom := string(rig.Must(os.ReadFile(archive + ".spdx.json"))(t))
	if !strings.Contains(sbom, `"name": "sigs.k8s.io/controller-runtime"`) || strings.Contains(sbom, `"name": "..`) {
		t.Errorf("the SBOM of %s is\n%s", name, sbom)
	}
}
