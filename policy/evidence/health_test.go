package evidence_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

func TestADiskThatCannotBeWrittenIsAProblemUntilItCan(t *testing.T) {
	r := newRegistry(t)
	directory := small(t)
	var log strings.Builder
	keeper := open(t, evidence.Config{Directory: directory, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	named := r.named(t, "app")
	fetch := func(image string) {
		t.Helper()
		r.sign(t, "app", manifestOf(image), signed(1))
		if got := fetched(t, keeper, named, manifestOf(image)); got.State != policy.Found {
			t.Fatalf("%s: %+v", image, got)
		}
	}
	fetch("first")
	if err := keeper.StoreProblem(); err != nil {
		t.Errorf("at first: %v", err)
	}
	if keeper.StoredBytes() == 0 {
		t.Error("nothing is stored")
	}

	filler := filepath.Join(directory, "filler")
	fill(t, filler)
	fetch("second")
	fetch("third")
	if err := keeper.StoreProblem(); err == nil || !strings.Contains(err.Error(), "no space left on device") ||
		!strings.HasPrefix(err.Error(), "since ") {
		t.Errorf("on a full disk: %v", err)
	}
	if _, err := keeper.Import(brought(t, 1, 1, 1)); err == nil {
		t.Error("a full disk took an import")
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	fetch("fourth")
	if err := keeper.StoreProblem(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines were logged, not one for each change:\n%s", lines, log.String())
	}
}

func TestADirectoryThatCannotBeOpenedIsAProblem(t *testing.T) {
	keeper := open(t, evidence.Config{Directory: nowhere(t)})
	if err := keeper.StoreProblem(); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("it says %v", err)
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
