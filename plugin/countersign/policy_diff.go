package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/policy"
)

func newPolicyDiffCommand(stdout io.Writer) *cobra.Command {
	var root, output string
	command := &cobra.Command{
		Use:   "diff [flags] OLD NEW",
		Short: "Show the differences between policy documents, by scope and requirement",
		Long: `diff compares two documents, or the documents in two directories, by what they require: the order of
scopes and requirements, white space, and the paths of key files do not matter, but their contents do.

Exit status: 0 there is no difference; 1 there is one; 2 unknown, such as for a document that does not load.`,
		Example: `  countersign policy diff /etc/countersign/policies ./policies
  git show main:prod.json > old.json; countersign policy diff old.json prod.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("policy diff takes two files or two directories, not %d: countersign policy diff [flags] OLD NEW",
					len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := errors.Join(checkOutput(output), checkRoot(root)); err != nil {
				return err
			}
			return policyDiff(newPolicyLoader(root), args, policyOutput{stdout, output})
		},
	}
	set := command.Flags()
	set.StringVar(&root, "root", "", "`directory` below which key files are looked up")
	set.StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

// The changes of a document or a scope.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// documentChange is a document that differs. Its JSON is a public interface, to which fields are only added.
type documentChange struct {
	Document string        `json:"document"`
	Change   string        `json:"change"`
	Scopes   []scopeChange `json:"scopes"`
}

// scopeChange is a scope that differs. A requirement that changes is one that is removed and another that is added.
type scopeChange struct {
	Scope     string             `json:"scope"`
	IsDefault bool               `json:"default"`
	Change    string             `json:"change"`
	Removed   []shownRequirement `json:"removed"`
	Added     []shownRequirement `json:"added"`
}

func policyDiff(loader policyLoader, paths []string, output policyOutput) error {
	var sides [2]map[string]*policy.Document
	var isDirectory [2]bool
	for i, path := range paths {
		var err error
		if sides[i], isDirectory[i], err = loader.documents(path); err != nil {
			return err
		}
	}
	switch {
	case isDirectory[0] != isDirectory[1]:
		return fmt.Errorf("%s and %s are a file and a directory; compare two of one kind", paths[0], paths[1])
	case !isDirectory[0]: // Their names may differ.
		name := filepath.Base(paths[1])
		for i, side := range sides {
			sides[i] = map[string]*policy.Document{name: side[filepath.Base(paths[i])]}
		}
	}
	changes := diffDocuments(loader.kinds, sides[0], sides[1])
	if err := output.write(changes, func() string { return textOfChanges(changes) }); err != nil {
		return err
	}
	if len(changes) > 0 {
		return &exitError{exitDenied}
	}
	return nil
}

// documents loads a document, or all in a directory, by the names of their files. One that does not load is an error.
func (l policyLoader) documents(path string) (found map[string]*policy.Document, isDirectory bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, fmt.Errorf("reading policy: %w", err)
	}
	sources := map[string]policy.Source{}
	if info.IsDir() {
		if sources, err = l.directory(path); err != nil {
			return nil, true, err
		}
	} else {
		sources[""] = l.file(path)
	}
	found = make(map[string]*policy.Document, len(sources))
	for _, namespace := range slices.Sorted(maps.Keys(sources)) {
		source := sources[namespace]
		if source.Err != nil {
			return nil, info.IsDir(), source.Err
		}
		found[filepath.Base(source.Name)] = source.Document
	}
	return found, info.IsDir(), nil
}

func diffDocuments(kinds policy.Kinds, before, after map[string]*policy.Document) []documentChange {
	changes := []documentChange{}
	for _, name := range sortedKeys(before, after) {
		change := documentChange{Document: name, Change: changeOf(before[name] != nil, after[name] != nil)}
		if change.Scopes = diffScopes(kinds, before[name], after[name]); len(change.Scopes) > 0 {
			changes = append(changes, change)
		}
	}
	return changes
}

// diffScopes compares two documents, of which one may be nil.
func diffScopes(kinds policy.Kinds, before, after *policy.Document) (changes []scopeChange) {
	if before == nil {
		before = &policy.Document{}
	}
	if after == nil {
		after = &policy.Document{}
	}
	add := func(change scopeChange, before, after []*policy.Requirement) {
		change.Change = changeOf(len(before) > 0, len(after) > 0) // No list of a document is empty.
		change.Removed, change.Added = without(kinds, before, after), without(kinds, after, before)
		if len(change.Removed)+len(change.Added) > 0 {
			changes = append(changes, change)
		}
	}
	add(scopeChange{IsDefault: true}, before.Default, after.Default)
	for _, scope := range sortedKeys(before.Scopes, after.Scopes) {
		add(scopeChange{Scope: scope}, before.Written(scope), after.Written(scope))
	}
	return changes
}

func changeOf(wasThere, isThere bool) string {
	switch {
	case !wasThere:
		return added
	case !isThere:
		return removed
	default:
		return changed
	}
}

// without returns the requirements of a list that are not in the other one.
func without(kinds policy.Kinds, list, other []*policy.Requirement) []shownRequirement {
	shown := []shownRequirement{}
	for _, requirement := range list {
		if !slices.ContainsFunc(other, func(r *policy.Requirement) bool { return r.ID == requirement.ID }) {
			shown = append(shown, showRequirement(kinds, requirement))
		}
	}
	return shown
}

// sortedKeys returns the keys of two maps, each once.
func sortedKeys[V any](one, other map[string]V) []string {
	all := maps.Clone(one)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, other)
	return slices.Sorted(maps.Keys(all))
}

func textOfChanges(changes []documentChange) string {
	var b strings.Builder
	for _, document := range changes {
		fmt.Fprintf(&b, "%s: %s\n", document.Document, document.Change)
		for _, scope := range document.Scopes {
			fmt.Fprintf(&b, "  %s: %s\n", scopeName(scope.Scope, scope.IsDefault), scope.Change)
			for _, requirement := range scope.Removed {
				fmt.Fprintf(&b, "    - %s\n", requirement)
			}
			for _, requirement := range scope.Added {
				fmt.Fprintf(&b, "    + %s\n", requirement)
			}
		}
	}
	return b.String()
}
