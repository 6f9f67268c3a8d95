package install

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/countersign/countersign/plugin/install/journal"
)

// WriteDiff writes what a plan changes: for text the unified diff, for other files what they become.
func (p *Plan) WriteDiff(w io.Writer) error {
	for _, change := range p.Changes() {
		before, err := p.host.Read(change.Path)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, describe(change.Path, before, change.File)); err != nil {
			return err
		}
	}
	return nil
}

func describe(path string, before, after *journal.File) string {
	var text strings.Builder
	switch {
	case after == nil:
		fmt.Fprintf(&text, "remove %s\n", path)
	case before == nil:
		fmt.Fprintf(&text, "create %s %s, mode %04o\n", after.Kind, path, after.Mode)
	default:
		fmt.Fprintf(&text, "change %s\n", path)
	}
	switch {
	case after != nil && after.Kind == journal.Symlink:
		fmt.Fprintf(&text, "-> %s\n", after.Contents)
	case isText(before) && isText(after):
		text.Write(diff.Diff(path, contentsOf(before), path, contentsOf(after)))
	case after != nil && after.Kind == journal.Regular:
		fmt.Fprintf(&text, "%d bytes\n", len(after.Contents))
	}
	return text.String()
}

func isText(file *journal.File) bool {
	return file == nil ||
		file.Kind == journal.Regular && utf8.Valid(file.Contents) && !bytes.ContainsRune(file.Contents, 0)
}

func contentsOf(file *journal.File) []byte {
	if file == nil {
		return nil
	}
	return file.Contents
}
