package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs are the programs that documented command lines run on a node or on the machine of its operator.
const programs = `countersign|cosign|cp|ctr|curl|dpkg|helm|install|journalctl|jq|kill|kubectl|make|openssl|rm|` +
	`sha256sum|systemctl`

// Page is a page of the documentation.
type Page struct {
	// Name is the name of the file, such as policy.md.
	Name string

	text string
}

// Pages reads README.md and the pages in docs of a repository.
func Pages(repository string) ([]Page, error) {
	paths, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		return nil, fmt.Errorf("finding the pages of %s: %w", repository, err)
	}
	pages := []Page{}
	for _, path := range append(paths, filepath.Join(repository, "README.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading a page: %w", err)
		}
		pages = append(pages, Page{filepath.Base(path), string(text)})
	}
	return pages, nil
}

// Lines returns the shell command lines that run countersign, or a program such as cosign, ctr, kubectl or systemctl:
// those in fenced blocks of sh, bash or console, and those in indented blocks that begin with one of these programs.
// Continued lines are joined, and comments are removed.
func (p Page) Lines() (lines []string) {
	runs := regexp.MustCompile(`(?:^|[;&|(]\s*|\bsudo\s+)(?:` + programs + `)\s`)
	begins := regexp.MustCompile(`^(?:sudo\s+)?(?:` + programs + `)\s`)
	for _, one := range p.blocks() {
		text := regexp.MustCompile(`\s*\\\n\s*`).ReplaceAllString(one.text, " ")
		text = regexp.MustCompile(`\|\n\s*`).ReplaceAllString(text, "| ")
		for line := range strings.Lines(text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			if line = uncommented(line); runs.MatchString(line) && (one.fenced || begins.MatchString(line)) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// Spans returns the inline code that is an invocation of countersign. Its name may be omitted before a subcommand that
// is followed by a subcommand or a flag, as in `evidence fetch`: a single word such as `policy` may mean anything.
func (p Page) Spans(subcommands []string) (spans []string) {
	fence := regexp.MustCompile("(?s)```.*?\n *```")
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
		span := strings.Join(strings.Fields(match[1]), " ")
		first, rest, more := strings.Cut(span, " ")
		second, _, _ := strings.Cut(rest, " ")
		switch {
		case !more:
		case first == "countersign":
			spans = append(spans, span)
		case slices.Contains(subcommands, first) && strings.HasPrefix(second, "-"),
			slices.Contains(subcommands, first+" "+second):
			spans = append(spans, "countersign "+span)
		}
	}
	return spans
}

// block is a block of code.
type block struct {
	text   string
	fenced bool
}

// blocks returns the fenced blocks of shell commands and the indented blocks of a page, in their order. All lines with
// an indentation of four columns or more that are not in a fence are taken for indented blocks, so that those of lists
// are among them.
func (p Page) blocks() (found []block) {
	shell := regexp.MustCompile("^\\s*```(sh|bash|console)\\s*$")
	fenced, text := false, strings.Builder{}
	inShell := false
	flush := func() {
		if text.Len() > 0 {
			found = append(found, block{text.String(), fenced})
		}
		text.Reset()
	}
	for line := range strings.Lines(p.text) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			flush()
			fenced, inShell = !fenced, !fenced && shell.MatchString(line)
		case inShell, !fenced && strings.HasPrefix(line, "    "):
			text.WriteString(line)
		case !fenced:
			flush()
		}
	}
	flush()
	return found
}

// uncommented removes the comment at the end of a command line.
func uncommented(line string) string {
	match := regexp.MustCompile(`^((?:'[^']*'|"[^"]*"|[^'"#]|\b#)*?)(?:(?:^|\s)#.*)?$`).FindStringSubmatch(line)
	if match == nil {
		return line
	}
	return strings.TrimSpace(match[1])
}
