package main

import (
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/docs/commands"
)

// documented is a command line in a page.
type documented struct{ page, line string }

// invocation matches countersign and its arguments in a command line.
var invocation = regexp.MustCompile(`(?:^|[;&|(]|\bsudo)\s*countersign\s+((?:[^;&|)#'"]|'[^']*'|"[^"]*")*)`)

// documentedCommands returns the command lines of countersign in all pages, and in the examples of the help.
func documentedCommands(t *testing.T) (found []documented) {
	t.Helper()
	for _, page := range pages(t) {
		found = append(found, invocations(page.Name, page.Lines()...)...)
	}
	for name, command := range subcommands() {
		found = append(found, invocations("the help of "+name, strings.Split(command.Example, "\n")...)...)
	}
	return found
}

func pages(t *testing.T) []commands.Page {
	t.Helper()
	pages, err := commands.Pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func invocations(page string, lines ...string) (found []documented) {
	for _, line := range lines {
		for _, match := range invocation.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
			found = append(found, documented{page, strings.TrimSpace(match[1])})
		}
	}
	return found
}

// subcommands returns all commands by their names, such as "evidence fetch".
func subcommands() map[string]*cobra.Command {
	found := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(command *cobra.Command) {
		for _, one := range command.Commands() {
			found[strings.TrimPrefix(one.CommandPath(), "countersign ")] = one
			walk(one)
		}
	}
	walk(newCommand(io.Discard, io.Discard))
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

// TestEveryCommandInTheTextExists: inline code may name a command without its arguments, or one with them.
func TestEveryCommandInTheTextExists(t *testing.T) {
	names, found := slices.Sorted(maps.Keys(subcommands())), 0
	for _, page := range pages(t) {
		for _, one := range invocations(page.Name, page.Spans(names)...) {
			found++
			if subcommands()[one.line] != nil {
				continue
			}
			if err := validCommand(words(one.line)); err != nil {
				t.Errorf("%s: countersign %s: %v", one.page, one.line, err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands were found in the text", found)
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
		"audit --since soon", "evidence no-such-command",
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
