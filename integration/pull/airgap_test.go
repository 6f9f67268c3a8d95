package pull_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestAirGappedNode runs the commands of the walk-through in the documentation unchanged: the first block on a machine
// that reaches the registry, the second one on a node after the registry was stopped.
func TestAirGappedNode(t *testing.T) {
	w := newWorkshop(t)
	l := w.newLab(t, w.Distribution(), nil)
	l.Start(t)
	image := l.Push(t, "shop/carried:v1")
	commands := walkThrough(t, "../../docs/operations.md", "## An air-gapped node")
	if len(commands) != 2 {
		t.Fatalf("the walk-through has %d parts, not two: %q", len(commands), commands)
	}

	connected := machine{lab: l, node: node.Start(t, node.Config{Tools: l.Tools}), directory: t.TempDir()}
	rig.OK(t, connected.node.WritePolicy("", l.signatures().JSON()))
	connected.daemon = rig.Must(connected.node.NewDaemon(t.Context(), node.DaemonConfig{Program: w.Program}))(t)
	rig.OK(t, os.Symlink(w.Key.Private, filepath.Join(connected.directory, "cosign.key")))
	connected.run(t, commands[0], image)

	rig.OK(t, l.Registry.Stop())
	cutOff := machine{lab: l, node: l.Node, daemon: l.Daemon, directory: t.TempDir()}
	for _, name := range rig.Must(filepath.Glob(filepath.Join(connected.directory, "*.tar")))(t) {
		rig.OK(t, os.Rename(name, filepath.Join(cutOff.directory, filepath.Base(name))))
	}
	cutOff.run(t, commands[1], image)
	l.runsAtOnce(t, prod, image)
}

// walkThrough returns the shell commands in a section, one string for each block.
func walkThrough(t *testing.T, path, heading string) (blocks []string) {
	t.Helper()
	_, section, found := strings.Cut(string(rig.Must(os.ReadFile(path))(t)), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", path, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for {
		var block string
		_, section, found = strings.Cut(section, "\n```sh\n")
		if !found {
			return blocks
		}
		block, section, _ = strings.Cut(section, "\n```")
		blocks = append(blocks, block)
	}
}

// machine is a machine on which an operator runs commands.
type machine struct {
	*lab
	node      *node.Node
	daemon    *node.Daemon
	directory string
}

// run runs commands in a shell that stops at the first failure, with an image's names in its environment. Scripts with
// the names of the real programs call them with the settings that this node needs.
func (m machine) run(t *testing.T, commands string, image node.Pushed) {
	t.Helper()
	programs := t.TempDir()
	for name, script := range map[string]string{
		"countersign": fmt.Sprintf(`exec '%s' "$@" --config '%s'`, m.Program, m.daemon.ConfigFile()),
		"ctr":         fmt.Sprintf(`exec '%s' --address '%s' "$@"`, m.Tools.Path("ctr"), m.node.ContainerdSocket()),
		"cosign": fmt.Sprintf(`verb=$1; shift; exec '%s' "$verb" --tlog-upload=false --use-signing-config=false `+
			`--allow-insecure-registry --allow-http-registry -y "$@"`, m.Tools.Path("cosign")),
	} {
		path := filepath.Join(programs, name)
		rig.OK(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700)) //nolint:gosec // It is a program.
	}
	shell := exec.CommandContext(t.Context(), "sh", "-eux", "-c", commands)
	shell.Dir = m.directory
	_, tag, _ := strings.Cut(m.Marker(image), ":")
	shell.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "HOME="+m.directory, "COSIGN_PASSWORD=",
		"REPOSITORY="+image.Repository, "TAG="+tag, "DIGEST="+image.Digest.String())
	var said bytes.Buffer
	shell.Stdout, shell.Stderr = &said, &said
	if err := shell.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, said.String())
	}
	t.Logf("it went so:\n%s", said.String())
}
