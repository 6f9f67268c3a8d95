package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// expected describes the names of documents.
const expected = "NAMESPACE.json, directly in the directory; a namespace is lower-case letters, digits and dashes, " +
	"such as prod.json"

// misnamed reports whether a name that is not a document's was probably meant to be one: another ending, or .json
// before one. Files of editors, package managers and copying tools are not.
func misnamed(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") {
		return false
	}
	leftOver := slices.ContainsFunc([]string{
		"~", ".bak", ".orig", ".old", ".save", ".rej", ".new", ".tmp", ".temp", ".swp", ".swo", ".swx", ".part", ".lock",
		".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp", ".ucf-old", ".ucf-dist",
		".pacnew", ".pacsave", ".disabled", ".off",
	}, func(suffix string) bool { return strings.HasSuffix(lower, suffix) })
	if leftOver {
		return false
	}
	return strings.HasSuffix(lower, ".yaml") || strings.HasSuffix(lower, ".yml") || strings.Contains(lower, suffix)
}

// holdsDocuments reports whether an entry is a directory that seems to contain documents.
func holdsDocuments(path string, entry fs.DirEntry) bool {
	const few = 100
	if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
		return false
	}
	directory, err := os.Open(filepath.Join(path, entry.Name()))
	if err != nil {
		return false // An unreadable directory needs no warning.
	}
	defer directory.Close()
	names, _ := directory.Readdirnames(few) // As above.
	return slices.ContainsFunc(names, func(name string) bool {
		_, is := documentName(name)
		return is
	})
}

// whyIgnored describes what is wrong with a name.
func whyIgnored(name string) string {
	switch _, is := documentName(name); {
	case strings.HasSuffix(name, "/"):
		return "not a policy: documents in a sub-directory are not read"
	case is:
		return "not a policy: its name is not a namespace"
	default:
		return "not a policy: its name does not end in .json"
	}
}
