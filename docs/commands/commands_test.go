package commands_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/countersign/countersign/docs/commands"
)

// page returns README.md with a text.
func page(t *testing.T, text string) commands.Page {
	t.Helper()
	repository := t.TempDir()
	if err := os.WriteFile(filepath.Join(repository, "README.md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	pages, err := commands.Pages(repository)
	if err != nil || len(pages) != 1 {
		t.Fatal(pages, err)
	}
	return pages[0]
}

func TestCommandLinesAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"in a fenced block":     {"```sh\ncountersign status\n```\n", []string{"countersign status"}},
		"in an indented block":  {"Run\n\n    sudo countersign install\n", []string{"sudo countersign install"}},
		"in a list":             {"1. Run\n\n       curl -s x\n", []string{"curl -s x"}},
		"without their comment": {"```sh\nctr x '#' # comment\n```\n", []string{"ctr x '#'"}},
		"over several lines": {
			"```sh\ncountersign \\\n  status\njq a |\n  wc\n```\n", []string{"countersign status", "jq a | wc"},
		},
		"behind a pipe":                     {"```sh\ncat x | jq .\n```\n", []string{"cat x | jq ."}},
		"but no output of commands":         {"```text\ncountersign status\n```\n", nil},
		"but no comment":                    {"```sh\n# countersign status\n```\n", nil},
		"but no line that only mentions it": {"    see countersign status\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := page(t, test.text).Lines(); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestInvocationsInTheTextAreFound(t *testing.T) {
	page := page(t, "`countersign check\n--all`, `evidence fetch`, `install --now`, `policy`, `version = 2`, "+
		"`countersign`\n```text\n`countersign no`\n```\n")
	want := []string{"countersign check --all", "countersign evidence fetch", "countersign install --now"}
	if got := page.Spans([]string{"evidence", "evidence fetch", "install", "version"}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
