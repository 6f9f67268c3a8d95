package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/evidence/store"
)

func TestADiskThatCannotBeWrittenIsAProblemUntilItCan(t *testing.T) {
	directory := smallDisk(t)
	s, log := openLogging(t, directory)
	content := store.Content{Files: generation(1)}
	put(t, s, keyOf("first"), content)
	if err := s.Problem(); err != nil {
		t.Errorf("at first: %v", err)
	}
	if s.Size() == 0 {
		t.Error("nothing is stored")
	}

	filler := filepath.Join(directory, "filler")
	fill(t, filler)
	put(t, s, keyOf("second"), content)
	put(t, s, keyOf("third"), content)
	if err := s.Problem(); err == nil || !strings.Contains(err.Error(), "no space left on device") ||
		!strings.HasPrefix(err.Error(), "since ") {
		t.Errorf("on a full disk: %v", err)
	}
	if _, _, err := s.Import(keyOf("fourth"), content); err == nil {
		t.Error("an import was stored on a full disk")
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	put(t, s, keyOf("fifth"), content)
	if err := s.Problem(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines were logged, not one for each change:\n%s", lines, log)
	}
}

func TestADirectoryThatCannotBeOpenedIsAProblem(t *testing.T) {
	s, _ := openLogging(t, unusableDirectory(t))
	if err := s.Problem(); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("it is %v", err)
	}
}

// fill writes to a file until its disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
