package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// documented is a command line in a page.
type documented struct{ page, line string }

// documentedCommands returns the command lines of countersign in the blocks of shell commands of all pages.
func documentedCommands(t *testing.T) (found []documented) {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```(?:sh|bash|console)\n(.*?)```")
	command := regexp.MustCompile(`(?:^|[;&|(]|\bsudo|\$)\s*countersign\s+(?:[^;&|)#'"]|'[^']*'|"[^"]*")*`)
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range block.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(strings.ReplaceAll(match[1], "\\\n", " ")) {
				for _, one := range command.FindAllString(strings.TrimSpace(line), -1) {
					_, arguments, _ := strings.Cut(one, "countersign")
					found = append(found, documented{filepath.Base(page), strings.TrimSpace(arguments)})
				}
			}
		}
	}
	return found
}

// words splits a command line as a shell does, without expansions.
func words(line string) (list []string) {
	for _, word := range regexp.MustCompile(`(?:[^\s'"]|'[^']*'|"[^"]*")+`).FindAllString(line, -1) {
		if strings.HasPrefix(word, ">") || strings.HasPrefix(word, "<") || strings.HasPrefix(word, "2>") {
			break
		}
		list = append(list, strings.NewReplacer("'", "", `"`, "").Replace(word))
	}
	return list
}

// TestEveryDocumentedCommandIsValid: commands in pages have names, flags and numbers of arguments that exist. What they
// do is tested by the scripts of this package, and on nodes.
func TestEveryDocumentedCommandIsValid(t *testing.T) {
	list := documentedCommands(t)
	if len(list) < 20 {
		t.Errorf("only %d commands were found in the pages", len(list))
	}
	for _, one := range list {
		if err := validCommand(words(one.line)); err != nil {
			t.Errorf("%s: countersign %s: %v", one.page, one.line, err)
		}
	}
}

// validCommand returns why a command line would be refused before anything is done.
func validCommand(arguments []string) error {
	command, rest, err := newCommand(io.Discard, io.Discard).Find(arguments)
	if err != nil {
		return err
	}
	if err := command.ParseFlags(rest); err != nil {
		return err
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		return err
	}
	return requiredFlags(command)
}

func requiredFlags(command *cobra.Command) error {
	if err := command.ValidateRequiredFlags(); err != nil {
		return err
	}
	return command.ValidateFlagGroups()
}

func TestWrongCommandLinesAreFound(t *testing.T) {
	for _, line := range []string{
		"check --no-such-flag registry.example/app:v1", "explain", "no-such-command", "inventory registry.example/app:v1",
		"audit --since soon",
	} {
		if validCommand(words(line)) == nil {
			t.Errorf("countersign %s is taken for valid", line)
		}
	}
	got := words(`audit -o json 'a b' "c d" e'f' > file`)
	if strings.Join(got, "|") != "audit|-o|json|a b|c d|ef" {
		t.Errorf("the words are %q", got)
	}
}
