package countersign_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheArchitecturePageNamesWhatExists checks the paths in backquotes on the page that newcomers follow.
func TestTheArchitecturePageNamesWhatExists(t *testing.T) {
	const page = "docs/architecture.md"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(raw), "\n"); lines > 120 {
		t.Errorf("%s has %d lines, more than 120", page, lines)
	}
	// A path has a slash, or is a file of the root. Other words in backquotes are reasons, keys or names in the code.
	paths := regexp.MustCompile("`([a-z][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)+|[a-z_]+\\.go|policy|nri|plugin)`").
		FindAllStringSubmatch(string(raw), -1)
	if len(paths) < 50 {
		t.Fatalf("%s names only %d paths", page, len(paths))
	}
	for _, path := range paths {
		if _, err := os.Stat(path[1]); err != nil {
			t.Errorf("%s names %s, which does not exist", page, path[1])
		}
	}
}
