package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/doctor"
)

// host is the files of a node, below a directory.
type host struct {
	t         *testing.T
	directory string
}

// newHost returns a node on which all is well, as far as files show it.
func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t, t.TempDir()}
	for name, contents := range map[string]string{
		"config.toml": `
[policy]
system = "DIR/policy.json"
directory = "DIR/policies"
[evidence]
directory = "DIR/evidence"
[registry]
config_path = "DIR/certs.d"
lookaside = "DIR/registries.d"
auth_file = ""
[containerd]
address = "DIR/containerd.sock"
nri_socket = "DIR/nri.sock"
[listen]
socket = "DIR/countersign.sock"
metrics = ""
`,
		"policy.json":        `{"default": [{"type": "insecureAcceptAnything"}]}`,
		"policies/prod.json": `{"default": [{"type": "reject"}]}`,
		"evidence/.empty":    "", "certs.d/registry.example/empty": "", "registries.d/.empty": "",
		"containerd.toml": `
version = 3
imports = ["DIR/conf.d/*.toml"]
[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "DIR/verifiers"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "DIR/certs.d"
`,
		"conf.d/99-countersign.toml": validator + "required_plugins = [\"countersign\"]\n",
	} {
		h.write(name, contents)
	}
	h.program("verifiers/countersign-verifier")
	return h
}

const validator = "version = 3\n[plugins.\"io.containerd.nri.v1.nri\".default_validator]\nenable = true\n"

func (h *host) path(name string) string { return filepath.Join(h.directory, name) }

// write writes a file, in which DIR is the directory.
func (h *host) write(name, contents string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	contents = strings.ReplaceAll(contents, "DIR", h.directory)
	if err := os.WriteFile(h.path(name), []byte(contents), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// add adds text to a file.
func (h *host) add(name, text string) {
	h.t.Helper()
	contents, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(name, string(contents)+text)
}

// set adds a setting to a plugin of containerd, in a drop-in that is read before ours.
func (h *host) set(plugin, setting string) {
	h.t.Helper()
	h.write("conf.d/50-other.toml", "version = 3\n[plugins.\""+plugin+"\"]\n"+setting+"\n")
}

func (h *host) remove(name string) {
	h.t.Helper()
	if err := os.RemoveAll(h.path(name)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) program(name string) {
	h.t.Helper()
	h.write(name, "#!/bin/sh\n")
	if err := os.Chmod(h.path(name), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// read returns the node, with a containerd and a daemon that run: what a process would answer is not in files.
func (h *host) read() *doctor.Node {
	h.t.Helper()
	options := doctor.Options{Config: h.path("config.toml"), Containerd: h.path("containerd.toml")}
	node := doctor.Read(h.t.Context(), options)
	node.Version = doctor.Known[string]{Value: "2.4.2"}
	node.Started = doctor.Known[time.Time]{Value: time.Now()}
	node.Remote.Err, node.NRI, node.Containers.Err = nil, nil, nil
	node.Canaries = &doctor.Canaries{Refused: refusal("rejected"), Removed: true}
	node.Clock.Synchronised = doctor.Known[bool]{Value: true}
	node.Kubelet = doctor.Known[string]{Value: "Kubernetes v1.36.3"}
	node.Daemon = doctor.Known[daemon.Status]{Value: daemon.Status{
		Version: "countersign 1.0", Mode: "enforce",
		Checks: []daemon.StatusCheck{
			{Check: "registered", Status: "yes"},
			{Check: "sandbox_image", Status: "yes"},
			{Check: "policies", Status: "yes"},
			{Check: "evidence", Status: "yes"},
		},
		Evidence: daemon.StatusEvidence{Directory: h.path("evidence"), MaxBytes: 1 << 30},
	}}
	return node
}

func examine(node *doctor.Node) map[string]doctor.Result {
	results := make(map[string]doctor.Result)
	for _, result := range doctor.Examine(node, doctor.Checks(), nil) {
		results[result.Check] = result
	}
	return results
}
