package files

import (
	"fmt"
	"path/filepath"
	"slices"
)

// IgnoredEntry is an entry of a policy directory that was probably meant to be a document, and is not read.
type IgnoredEntry struct {
	Path string
	// Cause is why it is not read, and Expected what would be.
	Cause, Expected string
}

// Ignored returns the entries of a policy directory that were probably meant to be documents, and are not read.
func Ignored(directory string) ([]IgnoredEntry, error) {
	listed := readDirectory(directory)
	if listed.err != nil {
		return nil, fmt.Errorf("reading policy directory %s: %w", directory, listed.err)
	}
	slices.Sort(listed.ignored)
	entries := make([]IgnoredEntry, 0, len(listed.ignored))
	for _, name := range listed.ignored {
		entries = append(entries, IgnoredEntry{filepath.Join(directory, name), whyIgnored(name), expected})
	}
	return entries, nil
}
