package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestTheDocumentNamesEachModuleOfAProgram describes this test's own program.
func TestTheDocumentNamesEachModuleOfAProgram(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := write(&text, "1.2.3", time.Unix(0, 0), []string{program}); err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, p := range d.Packages {
		if found[p.Name] != "" || p.ID == "" {
			t.Errorf("%s is there twice, or has no ID", p.Name)
		}
		found[p.Name] = p.Version
	}
	if found[ours] != "1.2.3" || found["stdlib"] == "" {
		t.Errorf("the packages are %v", found)
	}
	if len(d.Relationships) != len(d.Packages) {
		t.Errorf("%d packages have %d relationships", len(d.Packages), len(d.Relationships))
	}
	if d.Creation.Created != "1970-01-01T00:00:00Z" {
		t.Errorf("it was created at %s", d.Creation.Created)
	}
	if err := write(&text, "1", time.Now(), nil); err == nil {
		t.Error("a document about no program was written")
	}
}

// TestADirectoryIsNoDependency describes a program that is built with a module of the same repository, as the agent is.
func TestADirectoryIsNoDependency(t *testing.T) {
	directory := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module " + ours + "\n",
		"ours.go":      "package ours\n",
		"agent/go.mod": "module " + ours + "/agent\nrequire " + ours + " v0.0.0\nreplace " + ours + " => ..\n",
		"agent/a.go":   "package main\nimport _ \"" + ours + "\"\nfunc main() {}\n",
	} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "build", "-o", "a", ".")
	command.Dir = filepath.Join(directory, "agent")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	modules, err := linked([]string{filepath.Join(command.Dir, "a")})
	if err != nil || len(modules) != 1 || modules["stdlib"] == "" {
		t.Errorf("the modules are %v, %v; want only the standard library", modules, err)
	}
}
