package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Verifier is the file name of countersign's image verifier. containerd's errors contain it if the verifier refuses a
// pull.
const Verifier = "countersign-verifier"

// InstallVerifier installs the image verifier, so that containerd asks a daemon before it pulls an image. The program
// is "./plugin/verifier/countersign-verifier"; a script starts it with the daemon's configuration. containerd reads the
// directory of verifiers at each pull.
func (n *Node) InstallVerifier(program string, daemon *Daemon) error {
	return n.WriteVerifier(Verifier, fmt.Sprintf("exec '%s' -config '%s' \"$@\"", program, daemon.ConfigFile()))
}

// WriteVerifier writes a shell script to containerd's directory of image verifiers. containerd runs it with -name,
// -digest and -stdin-media-type, and passes the image's descriptor on standard input. The exit status is the answer.
func (n *Node) WriteVerifier(name, script string) error {
	// containerd runs every file in the directory, so an incomplete file must not be there.
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
