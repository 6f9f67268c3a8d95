package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Verifier is the name of countersign's image verifier in containerd's directory of them, by which containerd calls it
// when it refuses.
const Verifier = "countersign-verifier"

// InstallVerifier has containerd ask a daemon about each image before it pulls it: by a program built of
// "./plugin/verifier/countersign-verifier", through a script that names the daemon's configuration. containerd looks
// for verifiers at each pull.
func (n *Node) InstallVerifier(program string, daemon *Daemon) error {
	return n.WriteVerifier(Verifier, fmt.Sprintf("exec '%s' -config '%s' \"$@\"", program, daemon.ConfigFile()))
}

// WriteVerifier puts a shell script into containerd's directory of image verifiers. It is called with -name, -digest
// and -stdin-media-type and gets the image's descriptor on standard input; its exit status decides.
func (n *Node) WriteVerifier(name, script string) error {
	// containerd runs whatever it finds in that directory: what is not finished must not be there.
	temporary := n.Path("." + name)
	contents := "#!/bin/sh\n" + strings.TrimSpace(script) + "\n"
	if err := os.WriteFile(temporary, []byte(contents), 0o700); err != nil { //nolint:gosec // It is a program.
		return fmt.Errorf("writing a verifier: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(n.VerifierDirectory(), name)); err != nil {
		return fmt.Errorf("writing a verifier: %w", err)
	}
	return nil
}

// RemoveVerifier removes a verifier.
func (n *Node) RemoveVerifier(name string) error {
	if err := os.Remove(filepath.Join(n.VerifierDirectory(), name)); err != nil {
		return fmt.Errorf("removing a verifier: %w", err)
	}
	return nil
}
