package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/install/journal"
)

const state = "/var/lib/x/install"

func host(t *testing.T) *journal.Host {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "var/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &journal.Host{Root: root}
}

func open(t *testing.T, h *journal.Host) *journal.Journal {
	t.Helper()
	j, err := journal.Open(h, state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func regular(contents string) *journal.File {
	return &journal.File{
		Kind: journal.Regular, Mode: 0o640, UID: os.Getuid(), GID: os.Getgid(), Contents: []byte(contents),
	}
}

func TestOneProcessAtATime(t *testing.T) {
	h := host(t)
	open(t, h)
	if _, err := journal.Open(h, state); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

func TestDamagedContentsAreNotRestored(t *testing.T) {
	h := host(t)
	j := open(t, h)
	if err := h.Set(journal.Change{Path: "/file", File: regular("before")}); err != nil {
		t.Fatal(err)
	}
	transaction, err := j.Begin([]journal.Change{{Path: "/file", File: regular("after")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := transaction.Apply(1); err != nil {
		t.Fatal(err)
	}
	contents, err := filepath.Glob(filepath.Join(h.Root, state, "content/*"))
	if err != nil || len(contents) != 1 {
		t.Fatalf("the contents are %v, %v", contents, err)
	}
	if err := os.WriteFile(contents[0], []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := transaction.RollBack(); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
	if _, _, err := j.Interrupted(); err != nil {
		t.Error(err)
	}
	if text, err := h.ReadFile("/file"); err != nil || string(text) != "after" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestSymlinksAreFollowedBelowTheRoot(t *testing.T) {
	h := host(t)
	for link, target := range map[string]string{
		"/absolute": "/real", "/relative": "../../real", "/loop": "/loop", "/nested": "/absolute/sub",
	} {
		change := journal.Change{Path: link, File: &journal.File{Kind: journal.Symlink, Contents: []byte(target)}}
		if err := h.Set(change); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/absolute/file":          "/real/file",
		"/relative/file":          "/real/file",
		"/nested/../file":         "/file",
		"/nested/file":            "/real/sub/file",
		"/absent/file":            "/absent/file",
		"/../../absolute/../file": "/file",
	} {
		if got, err := h.Resolve(path, true); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", path, got, err, want)
		}
	}
	if got, err := h.Resolve("/absolute", false); err != nil || got != "/absolute" {
		t.Errorf("the symlink itself is %s, %v", got, err)
	}
	if _, err := h.Resolve("/loop/file", true); err == nil {
		t.Error("a loop has an end")
	}
	if _, err := h.Read("relative"); err == nil {
		t.Error("a relative path is read")
	}
}

func TestADirectoryWithFilesOfOthersIsLeft(t *testing.T) {
	h := host(t)
	j := open(t, h)
	directory := journal.Change{Path: "/d", File: &journal.File{
		Kind: journal.Directory, Mode: 0o755, UID: os.Getuid(), GID: os.Getgid(),
	}}
	changes := []journal.Change{directory, {Path: "/d/ours", File: regular("ours")}}
	transaction, err := j.Begin(changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := transaction.Apply(2); err != nil {
		t.Fatal(err)
	}
	if err := h.Set(journal.Change{Path: "/d/theirs", File: regular("theirs")}); err != nil {
		t.Fatal(err)
	}
	if err := transaction.RollBack(); err != nil {
		t.Fatal(err)
	}
	if names, err := h.Names("/d"); err != nil || len(names) != 1 || names[0] != "theirs" {
		t.Errorf("the directory has %v, %v", names, err)
	}
	if file, err := h.Read("/var/lib/x"); err != nil || file != nil {
		t.Errorf("the state is left: %v, %v", file, err)
	}
}

func TestModesAndTimesAreRestored(t *testing.T) {
	h := host(t)
	j := open(t, h)
	path := filepath.Join(h.Root, "file")
	if err := os.WriteFile(path, []byte("before"), 0o4711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o711|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	transaction, err := j.Begin([]journal.Change{{Path: "/file", File: regular("after")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(transaction.Apply(1), transaction.RollBack()); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("got %v %v, %v, want %v %v", after.Mode(), after.ModTime(), err, before.Mode(), before.ModTime())
	}
}
