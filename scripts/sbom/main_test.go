package main

import (
	"bytes"
	"encoding/json"
	"os"
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
