package pull_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestEmergencySwitchOff runs the commands of docs/install.md in their order on a node that enforces: afterwards every
// image can be pulled and run, and the containers that ran before still run. The node has no systemd, so the test plays
// the part of systemctl, and uses the node's directories instead of the host's.
func TestEmergencySwitchOff(t *testing.T) {
	w := newWorkshop(t)
	l := w.newLab(t, w.Distribution(), nil)
	l.requireByDropIn(t)
	l.Start(t)
	signed, unsigned := l.signed(t, "shop/signed:v1", bundle), l.Push(t, "shop/unsigned:v1")
	l.Pull(t, signed)
	pod := l.runsAtOnce(t, prod, signed)
	l.refusesPull(t, unsigned, "unsigned")

	for _, command := range commandsOf(t, "../../docs/install.md", "### Switch it off by hand") {
		l.perform(t, strings.Fields(command))
	}
	rig.WantMarker(t, pod, l.Marker(signed))
	l.Pull(t, unsigned)
	l.Begin(t, prod, unsigned)
	if l.Daemon.Process() != nil {
		t.Error("the daemon still runs")
	}
}

// requireByDropIn makes only the drop-in that operators install require the plugin.
func (l *lab) requireByDropIn(t *testing.T) {
	t.Helper()
	rig.OK(t, l.DropIn("00-main.toml", `version = 3
[plugins."io.containerd.nri.v1.nri".default_validator]
  required_plugins = []
`))
	contents := string(rig.Must(fs.ReadFile(conf.Files(), "containerd.toml"))(t))
	rig.OK(t, l.DropIn("99-countersign.toml", strings.ReplaceAll(contents, verifierDirectory, l.VerifierDirectory())))
	rig.OK(t, l.RestartContainerd(t.Context()))
	// The plugin is not registered yet, so the drop-in must make containerd refuse this.
	early := l.Pod(prod, node.Pushed{Reference: "countersign.test/pause:1"})
	early.Pull = node.Never
	_, err := l.RunPod(t.Context(), early)
	if err == nil || !strings.Contains(err.Error(), `required plugin "countersign" not present`) {
		t.Fatalf("the drop-in does not make containerd require the plugin: %v", err)
	}
}

const verifierDirectory = "/opt/containerd/image-verifier/bin"

// perform does on the node what a command of the page does on a host.
func (l *lab) perform(t *testing.T, command []string) {
	t.Helper()
	switch strings.Join(command[:2], " ") {
	case "rm -f":
		for _, path := range command[2:] {
			path = strings.Replace(path, "/etc/containerd/conf.d", l.Path("conf.d"), 1)
			path = strings.Replace(path, verifierDirectory, l.VerifierDirectory(), 1)
			if !strings.HasPrefix(path, l.Path()+string(filepath.Separator)) {
				t.Fatalf("the page removes %s, which this test does not know", path)
			}
			rig.OK(t, os.Remove(path))
		}
	case "systemctl restart":
		rig.OK(t, l.RestartContainerd(t.Context()))
	case "systemctl disable":
		rig.OK(t, l.Daemon.Terminate(t.Context()))
	default:
		t.Fatalf("the page has a command that this test does not know: %v", command)
	}
}

// commandsOf returns the lines in a section's indented blocks, without comments.
func commandsOf(t *testing.T, path, heading string) (commands []string) {
	t.Helper()
	_, section, found := strings.Cut(string(rig.Must(os.ReadFile(path))(t)), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", path, heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	for line := range strings.Lines(section) {
		if command, indented := strings.CutPrefix(line, "    "); indented {
			command, _, _ = strings.Cut(command, "#")
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) < 3 {
		t.Fatalf("%s has too few commands under %q: %q", path, heading, commands)
	}
	return commands
}
