package systemd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/integration/systemd"
)

// The images on a machine's registry.
const (
	signed   = "localhost:5000/app:signed"
	unsigned = "localhost:5000/app:unsigned"
)

// signedOnly requires a signature for the images of the registry, and accepts the sandbox image.
const signedOnly = `{
  "default": [{"type": "reject"}],
  "transports": {"docker": {
    "registry.k8s.io": [{"type": "insecureAcceptAnything"}],
    "localhost:5000": [{"type": "sigstoreSigned", "keyPath": "/etc/countersign/keys/key.pub",
      "signedIdentity": {"type": "matchRepository"}}]
  }}
}
`

// kubelet is in place of the kubelet's unit. It writes down whether the daemon ran when it was started.
const kubelet = `[Unit]
After=containerd.service
[Service]
ExecStartPre=/bin/sh -c 'systemctl is-active countersign >/run/when-the-kubelet-started || true'
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
`

const registry = `[Service]
ExecStart=/opt/tools/registry serve /etc/registry.yml
[Install]
WantedBy=multi-user.target
`

const registryConfig = `version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: "localhost:5000"}
`

// lab is a machine with containerd, a registry, and the programs of countersign in /root/1 and /root/2.
type lab struct {
	*systemd.Machine
	tools *node.Tools
}

// newLab boots a machine with a release of containerd that has its default configuration.
func newLab(t *testing.T, release node.Release) *lab {
	t.Helper()
	l := newMachine(t, release)
	l.write(t, "/etc/systemd/system/kubelet.service", kubelet)
	l.write(t, "/etc/systemd/system/registry.service", registry)
	l.write(t, "/etc/registry.yml", registryConfig)
	unit := moduleFile(t, "integration/tools", "github.com/containerd/containerd/v2", "containerd.service")
	l.write(t, "/etc/systemd/system/containerd.service", unit)
	rig.OK(t, l.Boot(t.Context()))
	defaults := l.run(t, "containerd", "config", "default")
	// Without CAP_SYS_RESOURCE, no pod starts otherwise.
	l.write(t, "/etc/containerd/config.toml",
		strings.Replace(defaults, "restrict_oom_score_adj = false", "restrict_oom_score_adj = true", 1))
	l.run(t, "systemctl", "daemon-reload")
	l.run(t, "systemctl", "enable", "--now", "containerd", "registry", "kubelet")
	l.importPause(t, regexp.MustCompile(`registry\.k8s\.io/pause:[0-9.]+`).FindString(defaults))
	return l
}

// newMachine makes a machine with the programs in place.
func newMachine(t *testing.T, release node.Release, init ...string) *lab {
	t.Helper()
	tools := node.NewTools(t)
	root := rig.Must(systemd.Root(t.Context(), os.Stderr))(t)
	machine := rig.Must(systemd.New(systemd.Config{Root: root, Programs: tools.Directory, Init: init}))(t)
	l := &lab{machine, tools}
	t.Cleanup(func() {
		if t.Failed() && machine.Booted() {
			l.printLogs(t)
		}
		rig.OK(t, machine.Close())
	})
	l.write(t, "/etc/hosts", "127.0.0.1 localhost\n")
	l.write(t, "/etc/resolv.conf", "")
	directory := rig.Must(tools.ContainerdPrograms(t.Context(), release))(t)
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		l.copy(t, filepath.Join(directory, program), "/usr/local/bin/"+program)
	}
	l.copy(t, tools.Path("runc"), "/usr/local/bin/runc")
	built := t.TempDir()
	for _, source := range []string{"./plugin/countersign", "./plugin/verifier/countersign-verifier"} {
		path := rig.Must(tools.BuildProgram(t.Context(), source, built, false))(t)
		program := filepath.Base(path)
		l.copy(t, path, "/root/1/"+program)
		// The next version is the same program and one more byte. The kernel does not load what follows a program's segments.
		contents := rig.Must(os.ReadFile(path))(t)
		rig.OK(t, l.Write("/root/2/"+program, string(contents)+"2", 0o755))
	}
	return l
}

func (l *lab) copy(t *testing.T, from, to string) {
	t.Helper()
	rig.OK(t, l.Write(to, string(rig.Must(os.ReadFile(from))(t)), 0o755))
}

func (l *lab) write(t *testing.T, path, contents string) {
	t.Helper()
	rig.OK(t, l.Write(path, contents, 0o644))
}

// run runs a program on the machine.
func (l *lab) run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	return rig.Must(l.Run(t.Context(), program, arguments...))(t)
}

// importPause gives containerd the image of its sandboxes.
func (l *lab) importPause(t *testing.T, reference string) {
	t.Helper()
	l.save(t, reference, "/root/pause.tar")
	l.run(t, "ctr", "--namespace", "k8s.io", "images", "import", "/root/pause.tar")
}

// save writes an image as an archive on the machine.
func (l *lab) save(t *testing.T, reference, path string) {
	t.Helper()
	image := rig.Must(l.tools.Image(reference))(t)
	tag := rig.Must(name.NewTag(reference))(t)
	rig.OK(t, tarball.WriteToFile(l.Path(path), tag, image))
}

// push pushes both images to the machine's registry, and signs the one. It returns the public key.
func (l *lab) push(t *testing.T) (key string) {
	t.Helper()
	cosign := func(arguments ...string) {
		l.run(t, "env", append([]string{"HOME=/root", "COSIGN_PASSWORD=", "/opt/tools/cosign"}, arguments...)...)
	}
	for _, reference := range []string{signed, unsigned} {
		l.save(t, reference, "/root/image.tar")
		rig.Eventually(t, "the push of "+reference, func() error {
			_, err := l.Run(t.Context(), "/opt/tools/crane", "push", "--insecure", "/root/image.tar", reference)
			return err
		})
	}
	digest := strings.TrimSpace(l.run(t, "/opt/tools/crane", "digest", "--insecure", signed))
	cosign("generate-key-pair", "--output-key-prefix", "/root/key")
	cosign("sign", "--key", "/root/key.key", "--tlog-upload=false", "--use-signing-config=false",
		"--new-bundle-format=false", "--allow-insecure-registry", "--allow-http-registry", "-y",
		"localhost:5000/app@"+digest)
	return l.run(t, "cat", "/root/key.pub")
}

// client connects to containerd's CRI.
func (l *lab) client(t *testing.T) *node.CRI {
	t.Helper()
	client := rig.Must(node.ConnectCRI(l.Path("/run/containerd/containerd.sock")))(t)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// starts requires that a pod starts, within the time that a restart of a service takes.
func (l *lab) starts(t *testing.T, namespace, image string) {
	t.Helper()
	client := l.client(t)
	rig.Eventually(t, "a pod in "+namespace+" with "+image, func() error {
		return systemd.StartPod(t.Context(), client, namespace, image)
	})
}

// refused requires that a pod in the namespace prod does not start, and why.
func (l *lab) refused(t *testing.T, image, why string) {
	t.Helper()
	const namespace = "prod"
	client := l.client(t)
	rig.Eventually(t, fmt.Sprintf("the refusal of %s in %s with %q", image, namespace, why), func() error {
		err := systemd.StartPod(t.Context(), client, namespace, image)
		if err == nil {
			t.Fatalf("%s has started in %s", image, namespace)
		}
		if !strings.Contains(err.Error(), why) {
			return err
		}
		return nil
	})
}

// journal waits until a unit has logged a line with these words.
func (l *lab) journal(t *testing.T, unit string, words ...string) {
	t.Helper()
	rig.Eventually(t, fmt.Sprintf("%q in the journal of %s", words, unit), func() error {
		text, err := l.Run(t.Context(), "journalctl", "--unit", unit, "--output", "cat")
		for line := range strings.Lines(text) {
			if says(line, words...) {
				return nil
			}
		}
		return fmt.Errorf("there is none: %w\n%s", err, text[max(0, len(text)-4096):])
	})
}

func says(text string, words ...string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func (l *lab) printLogs(t *testing.T) {
	t.Helper()
	// The context of the test is already cancelled.
	text, err := l.Run(context.Background(), "journalctl", "--output", "short-monotonic", "--grep",
		"level=(warning|error)|countersign|registry|systemd")
	t.Logf("the journal: %v\n%s", err, text[max(0, len(text)-16<<10):])
}

// moduleFile returns a file of a module that one of this repository's modules requires.
func moduleFile(t *testing.T, from, module, file string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	command.Dir = filepath.Join(rig.Must(node.Repository())(t), from)
	var downloaded struct{ Dir string }
	rig.OK(t, json.Unmarshal(rig.Must(command.Output())(t), &downloaded))
	return string(rig.Must(os.ReadFile(filepath.Join(downloaded.Dir, file)))(t))
}
