package countersign_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheArchitecturePageNamesWhatExists checks the paths in backquotes on the page that newcomers follow.
func TestTheArchitecturePageNamesWhatExists(t *testing.T) {
	const page = "docs/architecture.md"
	text := textOf(t, page)
	if lines := strings.Count(text, "\n"); lines > 120 {
		t.Errorf("%s has %d lines, more than 120", page, lines)
	}
	// A path has a slash, or is a file of the root. Other words in backquotes are reasons, keys or names in the code.
	paths := regexp.MustCompile("`([a-z][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)+|[a-z_]+\\.go|policy|nri|plugin)`").
		FindAllStringSubmatch(text, -1)
	if len(paths) < 50 {
		t.Fatalf("%s names only %d paths", page, len(paths))
	}
	for _, path := range paths {
		if _, err := os.Stat(path[1]); err != nil {
			t.Errorf("%s names %s, which does not exist", page, path[1])
		}
	}
}

// TestTheDocumentationNamesTestsThatExist: a decision names the test that would fail if the decision were reversed.
func TestTheDocumentationNamesTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (?:\(.*\) )?((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, path := range filesBelow(t, ".", "_test.go") {
		for _, name := range declared.FindAllStringSubmatch(textOf(t, path), -1) {
			tests[name[1]] = true
		}
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	for _, page := range filesBelow(t, ".", ".md") {
		for _, name := range named.FindAllString(textOf(t, page), -1) {
			if !tests[name] {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
}

// filesBelow returns the files of the repository in a folder whose names end in that way.
func filesBelow(t *testing.T, folder, suffix string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != ".":
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(path, suffix):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
