package install_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/countersign/countersign/plugin/install"
	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/internal/containerd"
)

// newRoot returns the root of a host with files, given as a txtar archive.
func newRoot(t *testing.T, archive string) string {
	t.Helper()
	root := t.TempDir()
	for _, directory := range []string{"var/lib", "usr/local/bin", "etc/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range txtar.Parse([]byte(archive)).Files {
		writeFile(t, filepath.Join(root, file.Name), string(file.Data))
	}
	return root
}

func writeFile(t *testing.T, path, contents string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tree returns every path below a root with its mode, its contents and, for files that existed before, its time.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			contents, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(contents)
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + target
		}
		found[strings.TrimPrefix(path, root)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// do carries out operations on a root.
func do(t *testing.T, root string, operations ...string) {
	t.Helper()
	for _, operation := range operations {
		if err := run(t.Context(), operation, &journal.Host{Root: root}); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// effective returns containerd's configuration in a root.
func effective(t *testing.T, root string) *containerd.Config {
	t.Helper()
	host := &journal.Host{Root: root}
	config, err := containerd.LoadConfigFrom(t.Context(), containerd.Source{
		Read: host.ReadFile,
		Glob: func(pattern string) ([]string, error) {
			matches, err := filepath.Glob(filepath.Join(root, pattern))
			for i := range matches {
				matches[i] = strings.TrimPrefix(matches[i], root)
			}
			return matches, err
		},
	}, "/etc/containerd/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// planOf returns the plan of an operation.
func planOf(t *testing.T, root, operation string) (*install.Plan, error) {
	t.Helper()
	installer, err := install.Open(&journal.Host{Root: root}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer installer.Close()
	return installer.Plan(t.Context(), optionsOf(operation))
}

const standard = `
-- etc/containerd/config.toml --
version = 3
root = "/var/lib/containerd"

# The runtime.
[plugins."io.containerd.cri.v1.runtime"]
  enable_selinux = false
`

func TestAnInstallationIsUndoneByteForByte(t *testing.T) {
	for name, operations := range map[string][]string{
		"audit":                  {"audit"},
		"audit twice":            {"audit", "audit"},
		"audit, then enforce":    {"audit", "enforce"},
		"enforce, then audit":    {"audit", "enforce", "audit"},
		"after an upgrade":       {"audit", "audit 2", "enforce 3", "enforce 4"},
		"after two removals":     {"audit", "uninstall", "audit"},
		"with a mode that stays": {"audit", "enforce", "same"},
		"a plugin":               {"audit plugin", "enforce", "same 2"},
		"a service, then a plugin, then a service": {"audit", "same plugin", "enforce", "same service"},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t, standard)
			before := tree(t, root)
			do(t, root, append(operations, "uninstall")...)
			same(t, "after the removal", tree(t, root), before)
		})
	}
}

func TestASecondInstallationChangesNothing(t *testing.T) {
	for _, mode := range []string{"audit", "enforce"} {
		root := newRoot(t, standard)
		do(t, root, "audit", mode)
		before := tree(t, root)
		plan, err := planOf(t, root, mode)
		if err != nil {
			t.Fatal(err)
		}
		if changes := plan.Changes(); len(changes) > 0 {
			t.Errorf("%s: it would change %v", mode, changes)
		}
		do(t, root, mode)
		same(t, mode, tree(t, root), before)
	}
}

func TestAuditRequiresNothingAndEnforceRequiresThePlugin(t *testing.T) {
	root := newRoot(t, standard)
	do(t, root, "audit")
	config := effective(t, root)
	if required := config.RequiredPlugins(); len(required) > 0 || config.NRIDisabled() {
		t.Errorf("in audit mode containerd requires %v", required)
	}
	verifier := filepath.Join(root, "opt/containerd/image-verifier/bin/countersign-verifier")
	script, err := os.ReadFile(verifier)
	if err != nil || !strings.HasPrefix(string(script), "#!/bin/sh\n") || !strings.Contains(string(script), "|| exit 0") {
		t.Errorf("the verifier of audit mode is %q, %v", script, err)
	}
	do(t, root, "enforce")
	if err := effective(t, root).Required("10", "countersign"); err != nil {
		t.Error(err)
	}
	if target, err := os.Readlink(verifier); err != nil || target != "/usr/local/bin/countersign-verifier" {
		t.Errorf("the verifier of enforce mode is a link to %q, %v", target, err)
	}
	text, err := os.ReadFile(filepath.Join(root, "etc/countersign/config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`mode = "enforce"`, `on_daemon_unavailable = "deny"`, `system = "/etc/countersign/system.json"`,
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the configuration has no line %s", line)
		}
	}
}

// TestTheInstalledProgramsStayWhenTheyInstall: after the first installation, an operator runs the installed program.
func TestTheInstalledProgramsStayWhenTheyInstall(t *testing.T) {
	root := newRoot(t, standard)
	original := tree(t, root)
	do(t, root, "audit")
	do(t, root, "enforce installed")
	for _, program := range []string{"countersign", "countersign-verifier"} {
		if _, err := os.Stat(filepath.Join(root, "usr/local/bin", program)); err != nil {
			t.Error(err)
		}
	}
	do(t, root, "uninstall")
	same(t, "after the removal", tree(t, root), original)
}

// TestTheDropInHasTheVersionOfTheMainFile: containerd 2.2 ignores settings of version 2 if a drop-in has version 3.
func TestTheDropInHasTheVersionOfTheMainFile(t *testing.T) {
	for text, want := range map[string]string{
		"version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'\n": "version = 2",
		"version = 3\n": "version = 3",
		"version = 4\n": "version = 3",
	} {
		root := newRoot(t, "-- etc/containerd/config.toml --\n"+text)
		for _, mode := range []string{"audit", "enforce"} {
			do(t, root, mode)
			dropIn := tree(t, root)["/etc/containerd/conf.d/99-countersign.toml"]
			if !strings.Contains(dropIn, "\n"+want+"\n") {
				t.Errorf("%s, to a file of %q: the drop-in has no line %s:\n%s", mode, text, want, dropIn)
			}
		}
	}
}
