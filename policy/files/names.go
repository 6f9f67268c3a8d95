package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// expected says what a document's name is like.
const expected = "NAMESPACE.json, directly in the directory; a namespace is lower-case letters, digits and dashes, " +
	"such as prod.json"

// misnamed reports whether a name that is no document's was probably meant for one: another ending, or .json before
// one. What editors, package managers and copying tools leave is not.
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

// holdsDocuments reports whether there is what looks like a document in a directory below that of the documents.
func holdsDocuments(path string, entry fs.DirEntry) bool {
	const few = 100
	if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
		return false
	}
	directory, err := os.Open(filepath.Join(path, entry.Name()))
	if err != nil {
		return false // A directory that is not read does no harm.
	}
	defer directory.Close()
	names, _ := directory.Readdirnames(few) // As above.
	return slices.ContainsFunc(names, func(name string) bool {
		_, is := documentName(name)
		return is
	})
}

// whyIgnored says what is wrong with a name.
func whyIgnored(name string) string {
	switch _, is := documentName(name); {
	case strings.HasSuffix(name, "/"):
		return "not a policy: documents in a sub-directory are not read"
	case is:
		return "not a policy: its name is no namespace's"
	default:
		return "not a policy: its name does not end in .json"
	}
}
