package files_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/files"
)

func TestEntriesThatAreNotReadHaveACause(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"prod.json", ".prod.json.swp", "Prod.json", "dev.yaml", "notes", "more/a.json"} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ignored, err := files.Ignored(directory)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, entry := range ignored {
		got[entry.Path] = entry.Cause
		if entry.Expected == "" {
			t.Errorf("%s: it does not say what is expected", entry.Path)
		}
	}
	want := map[string]string{
		filepath.Join(directory, "Prod.json"): "not a policy: its name is not a namespace",
		filepath.Join(directory, "dev.yaml"):  "not a policy: its name does not end in .json",
		filepath.Join(directory, "more"):      "not a policy: documents in a sub-directory are not read",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := files.Ignored(filepath.Join(directory, "absent")); err == nil {
		t.Error("an absent directory is no error")
	}
}
