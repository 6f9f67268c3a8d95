package pull_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// verifierBroken checks that containerd refuses every pull if a verifier cannot be executed, as the daemon reports.
func (l *lab) verifierBroken(t *testing.T) {
	path := filepath.Join(l.VerifierDirectory(), node.Verifier)
	for name, damage := range map[string]func() error{
		"mode 0644":            func() error { return os.WriteFile(path, []byte("#!/bin/sh\n"), 0o644) },
		"an empty file":        func() error { return os.WriteFile(path, nil, 0o755) },
		"a directory":          func() error { return os.Mkdir(path, 0o755) },
		"a dangling symlink":   func() error { return os.Symlink("/absent", path) },
		"a script without sh":  func() error { return os.WriteFile(path, []byte("#!/absent/sh\n"), 0o755) },
		"a link to /etc/hosts": func() error { return os.Symlink("/etc/hosts", path) },
	} {
		t.Run(name, func(t *testing.T) {
			image := l.signed(t, "shop/broken:v"+strings.NewReplacer(" ", "-", "/", "-").Replace(name), bundle)
			rig.OK(t, os.RemoveAll(path))
			rig.OK(t, damage())
			err := l.tryPull(t, image)
			if err == nil || !strings.Contains(err.Error(), "failed to call verifier "+node.Verifier) {
				t.Errorf("the pull says: %v", err)
			}
			rig.OK(t, os.RemoveAll(path))
			rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
		})
	}
	t.Run("and the daemon reports it", func(t *testing.T) {
		rig.OK(t, os.Chmod(path, 0o600))
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		l.Start(t)
		rig.Logged(t, l.Daemon, "containerd refuses every pull", "cannot be executed: its mode is 0600")
		rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
	})
}
