package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// watched returns a watch for changes of a system policy in a directory of its own.
func watched(t *testing.T) (*watch, *watchList, string) {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "containers")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	p := newState(Config{System: filepath.Join(directory, "policy.json")}).watchList()
	w := newWatch()
	t.Cleanup(w.close)
	if !w.set(p) || w.err != nil {
		t.Fatalf("the first watch is no news, or failed: %v", w.err)
	}
	if w.set(p) {
		t.Fatal("the same watch is news")
	}
	return w, p, directory
}

func TestADroppedWatchIsCreatedAgain(t *testing.T) {
	w, p, directory := watched(t)
	for _, names := range [][2]string{{directory, directory + ".moved"}, {directory + ".moved", directory}} {
		if err := os.Rename(names[0], names[1]); err != nil {
			t.Fatal(err)
		}
	}
	// The directory is in the same place and the same; but the watcher drops watches of moved directories.
	for late := time.After(30 * time.Second); len(w.watcher.WatchList()) == w.count; {
		select {
		case <-w.watcher.Events:
		case <-late:
			t.Skip("the watcher does not let go of directories that are moved")
		}
	}
	if !w.set(p) {
		t.Error("a directory that is not being watched any more is taken for watched")
	}
}

func TestAWatchOfAReplacedDirectoryIsCreatedAgain(t *testing.T) {
	w, p, directory := watched(t)
	if err := os.Rename(directory, directory+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	if !w.set(p) {
		t.Error("a directory that was replaced is taken for watched")
	}
}

func TestAFailedWatchIsCreatedAgain(t *testing.T) {
	w, p, _ := watched(t)
	w.fail(errors.New("reading notifications: input/output error"))
	if events, faults := w.events(); events != nil || faults != nil || w.err == nil {
		t.Errorf("the watch that is lost has %v, %v, and the error %v", events, faults, w.err)
	}
	if !w.set(p) || w.err != nil {
		t.Errorf("it is not made anew: %v", w.err)
	}
}

func TestAffects(t *testing.T) {
	root := t.TempDir()
	for _, directory := range []string{"etc/policies", "keys"} {
		if err := os.MkdirAll(filepath.Join(root, directory), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"policies": "etc/policies", "etc/policies/prod.json": "..data/prod.json", "etc/policies/loop.json": "loop.json",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := newState(Config{System: root + "/etc/policy.json", Directory: root + "/policies"})
	s.keys = keys{root + "/keys/a.pub": {}, root + "/late/b.pub": {}}
	s.namespaces = map[string]*record{"prod": {symlink: true}, "loop": {symlink: true}}
	p := s.watchList()
	for name, want := range map[string]bool{
		"/etc/policy.json": true, "/etc/policies": true, "/policies": true, "/etc": true, "/etc/policies/dev.json": true,
		"/etc/policies/..data": true, "/etc/policies/prod.json": true, "/keys": true, "/keys/a.pub": true, "/late": true,
		"/keys/b.pub": false, "/etc/passwd": false, "/etc/policy.json~": false, "/etc/dev.json": false,
		"/etc/policies/.prod.json.swp": false, "/etc/policies/README": false, "/elsewhere": false,
	} {
		if got := p.affects(root + name); got != want {
			t.Errorf("a change of %s matters: %t, want %t", name, got, want)
		}
	}
}
