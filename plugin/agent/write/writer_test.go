package write_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/write"
)

func newWriter(t *testing.T, to write.Target) *write.Writer {
	t.Helper()
	w, err := write.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func apply(t *testing.T, w *write.Writer, namespaces map[string]string, cluster *write.Document) []write.Conflict {
	t.Helper()
	c := write.Change{Namespaces: map[string]write.Document{}, Cluster: cluster}
	for name, text := range namespaces {
		document := write.Document{Origin: []string{"of " + name}}
		if text != "" {
			document.JSON = []byte(text)
		}
		c.Namespaces[name] = document
	}
	conflicts, err := w.Apply(c)
	if err != nil {
		t.Fatal(err)
	}
	return conflicts
}

func put(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

func TestOnlyWhatChangesIsWritten(t *testing.T) {
	to := target(t.TempDir())
	w := newWriter(t, to)
	apply(t, w, map[string]string{"a": "1", "b": "1"}, &write.Document{JSON: []byte("c")})
	var mutex sync.Mutex
	var operations []string
	w, err := write.OpenWatched(to, func(operation string) {
		mutex.Lock()
		defer mutex.Unlock()
		operations = append(operations, operation)
	})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, w, map[string]string{"a": "1", "b": "1", "absent": ""}, &write.Document{JSON: []byte("c")})
	if operations != nil {
		t.Errorf("documents that are on disk already are written: %q", operations)
	}
	apply(t, w, map[string]string{"a": "1", "b": "2"}, &write.Document{JSON: []byte("c")})
	for _, operation := range operations {
		if strings.Contains(operation, "a.json") || strings.Contains(operation, "cluster.json") {
			t.Errorf("one document has changed, and this is done: %q", operation)
		}
	}
	if len(operations) == 0 {
		t.Error("nothing is written")
	}
}

func TestTheFilesOfOthers(t *testing.T) {
	tests := map[string]struct {
		// theirs changes files after a.json and cluster.json were written.
		theirs func(to write.Target) error
		// a is then written to a.json, unless it is "": then it is removed.
		a         string
		conflicts []string
		want      map[string]string
	}{
		"a file that was there first stays": {
			func(to write.Target) error { return put(filepath.Join(to.Directory, "b.json"), "theirs") },
			"2",
			[]string{"b"},
			map[string]string{"a": "2", "b": "theirs", "": "c"},
		},
		"a file that was edited stays": {
			func(to write.Target) error { return put(filepath.Join(to.Directory, "a.json"), "edited") },
			"2",
			[]string{"a"},
			map[string]string{"a": "edited", "b": "b", "": "c"},
		},
		"a file that was edited is not removed": {
			func(to write.Target) error { return put(filepath.Join(to.Directory, "a.json"), "edited") },
			"", nil,
			map[string]string{"a": "edited", "b": "b", "": "c"},
		},
		"a file that was removed is written again": {
			func(to write.Target) error { return os.Remove(filepath.Join(to.Directory, "a.json")) },
			"1", nil,
			map[string]string{"a": "1", "b": "b", "": "c"},
		},
		"a link stays": {
			func(to write.Target) error {
				path := filepath.Join(to.Directory, "a.json")
				return errors.Join(put(filepath.Join(filepath.Dir(to.Cluster), "elsewhere"), "1"), os.Remove(path),
					os.Symlink("../elsewhere", path))
			},
			"2",
			[]string{"a"},
			map[string]string{"a": "1", "b": "b", "": "c"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			to := target(t.TempDir())
			w := newWriter(t, to)
			apply(t, w, map[string]string{"a": "1"}, &write.Document{JSON: []byte("c")})
			if err := test.theirs(to); err != nil {
				t.Fatal(err)
			}
			var conflicts []string
			for _, conflict := range apply(t, newWriter(t, to), map[string]string{"a": test.a, "b": "b"}, nil) {
				conflicts = append(conflicts, conflict.Namespace)
			}
			if diff := cmp.Diff(test.conflicts, conflicts); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, onDisk(t, to)); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasWrittenIsKnownAfterARestart(t *testing.T) {
	to := target(t.TempDir())
	cluster := &write.Document{JSON: []byte("c"), Origin: []string{"x"}}
	apply(t, newWriter(t, to), map[string]string{"a": "1", "b": "2"}, cluster)
	w := newWriter(t, to)
	want := map[string]write.Written{
		"":  {Hash: write.Hash([]byte("c")), Origin: []string{"x"}},
		"a": {Hash: write.Hash([]byte("1")), Origin: []string{"of a"}},
		"b": {Hash: write.Hash([]byte("2")), Origin: []string{"of b"}},
	}
	if diff := cmp.Diff(want, w.Namespaces()); diff != "" {
		t.Errorf("what was written (-want +got):\n%s", diff)
	}
	for namespace, want := range map[string]string{"a": "1", "none": "c"} {
		if raw, err := w.Read(namespace); err != nil || string(raw) != want {
			t.Errorf("namespace %s is governed by %q, %v, want %q", namespace, raw, err, want)
		}
	}
	if err := os.Remove(filepath.Join(to.Directory, "a.json")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, w.Missing()); diff != "" {
		t.Errorf("missing documents (-want +got):\n%s", diff)
	}
}

// TestAListThatCannotBeReadStopsTheAgent: without it, nothing can be told from what others have written.
func TestAListThatCannotBeReadStopsTheAgent(t *testing.T) {
	for name, text := range map[string]string{
		"another version": `{"version":2,"files":{}}`, "half a list": `{"version":1,"fi`, "an empty file": "",
	} {
		t.Run(name, func(t *testing.T) {
			to := target(t.TempDir())
			newWriter(t, to)
			if err := put(filepath.Join(to.State, "files.json"), text); err != nil {
				t.Fatal(err)
			}
			if _, err := write.Open(to); err == nil {
				t.Error("the agent writes")
			}
		})
	}
}

// TestAStepThatFailsEndsTheChange: the cluster's document and documents of namespaces are removed only after everything
// that shall govern these namespaces is there.
func TestAStepThatFailsEndsTheChange(t *testing.T) {
	to := target(t.TempDir())
	w := newWriter(t, to)
	apply(t, w, map[string]string{"old": "1"}, &write.Document{JSON: []byte("c")})
	long := strings.Repeat("x", 300) // No file system has such a name.
	_, err := w.Apply(write.Change{
		Namespaces: map[string]write.Document{long: {JSON: []byte("1")}, "old": {}}, Cluster: &write.Document{},
	})
	if err == nil {
		t.Error("a document that cannot be written is no error")
	}
	if diff := cmp.Diff(map[string]string{"": "c", "old": "1"}, onDisk(t, to)); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}

// TestAFileThatChangesWhileItsDocumentIsWrittenStays: somebody else has written it after it was compared.
func TestAFileThatChangesWhileItsDocumentIsWrittenStays(t *testing.T) {
	for name, path := range map[string]string{"a file that is replaced": "a.json", "a file that is new": "b.json"} {
		t.Run(name, func(t *testing.T) {
			to := target(t.TempDir())
			edited := filepath.Join(to.Directory, path)
			apply(t, newWriter(t, to), map[string]string{"a": "1", "old": "1"}, &write.Document{JSON: []byte("c")})
			w, err := write.OpenWatched(to, editOnce(edited, to.State))
			if err != nil {
				t.Fatal(err)
			}
			w.Stage("a", write.Document{JSON: []byte("2")})
			w.Stage("b", write.Document{JSON: []byte("2")})
			_, err = w.Apply(write.Change{Namespaces: map[string]write.Document{"old": {}}, Cluster: &write.Document{}})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %v, want one about %s", err, path)
			}
			want := map[string]string{"a": "2", "b": "2", "old": "1", "": "c"}
			want[strings.TrimSuffix(path, ".json")] = "edited"
			if diff := cmp.Diff(want, onDisk(t, to)); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
			if left, err := filepath.Glob(filepath.Join(to.Directory, ".*")); err != nil || left != nil {
				t.Errorf("these files are left over: %q, %v", left, err)
			}
		})
	}
}

// editOnce returns a hook that writes a file once, when the list of files is recorded: every document has been compared
// by then.
func editOnce(path, state string) func(string) {
	var once sync.Once
	return func(operation string) {
		if operation == "fsync "+state {
			once.Do(func() { _ = put(path, "edited") })
		}
	}
}
