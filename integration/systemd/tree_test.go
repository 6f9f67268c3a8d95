package systemd_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/integration/rig"
)

// elsewhere are the paths whose changes are not countersign's: other file systems, and what containerd, the registry,
// systemd, dpkg and the tests write.
func elsewhere() []string {
	return []string{
		"/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/opt/tools", "/var/lib/containerd", "/var/lib/registry",
		"/var/lib/dpkg", "/var/lib/systemd", "/var/log", "/var/tmp", "/etc/cni", "/opt/cni",
	}
}

// tree returns every path of a machine with its owner, its mode and what it contains.
func (l *lab) tree(t *testing.T) map[string]string {
	t.Helper()
	root := l.Path("/") + "/"
	found := map[string]string{}
	rig.OK(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := "/" + strings.TrimPrefix(path, root)
		if err != nil {
			return err
		}
		if slices.Contains(elsewhere(), name) {
			return fs.SkipDir
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		system := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%s %d:%d", info.Mode(), system.Uid, system.Gid)
		switch {
		case info.Mode().IsRegular() && strings.HasPrefix(name, "/usr/") && !strings.HasPrefix(name, "/usr/local/"):
			text += fmt.Sprintf(" %d bytes of %s", info.Size(), info.ModTime()) // There are many of them.
		case info.Mode().IsRegular():
			contents, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(contents))
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + target
		}
		found[name] = text
		return nil
	}))
	return found
}

// unchanged requires that a machine has the files that it had before.
func (l *lab) unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	after := l.tree(t)
	if len(before) < 1000 {
		t.Fatalf("a machine has only %d files", len(before))
	}
	if maps.Equal(before, after) {
		return
	}
	t.Errorf("the machine differs (-before +after):\n%s", cmp.Diff(before, after))
}
