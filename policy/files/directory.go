package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/countersign/countersign/policy"
)

// suffix is the end of every document's name.
const suffix = ".json"

// listing is the result of reading the directory.
type listing struct {
	id directoryID
	// namespaces are the namespaces with an entry, and whether it is a symlink.
	namespaces map[string]bool
	// ignored are names that were probably meant to be documents but are not. Names of directories end in a slash.
	ignored []string
	err     error
}

// readDirectory reads the directory.
func readDirectory(path string) listing {
	l := listing{namespaces: make(map[string]bool)}
	// Without O_DIRECTORY, opening a FIFO would wait for a writer.
	directory, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		l.err = withoutPath(err)
		return l
	}
	defer directory.Close()
	info, err := directory.Stat()
	if err != nil {
		l.err = withoutPath(err)
		return l
	}
	l.id = identityOf(info).directoryID()
	entries, err := directory.ReadDir(-1)
	if err != nil {
		l.err = withoutPath(err)
		return l
	}
	for _, entry := range entries {
		l.add(path, entry)
	}
	return l
}

func (l *listing) add(path string, entry fs.DirEntry) {
	namespace, is := documentName(entry.Name())
	switch {
	case !is && misnamed(entry.Name()):
		l.ignored = append(l.ignored, entry.Name())
	case !is && holdsDocuments(path, entry):
		l.ignored = append(l.ignored, entry.Name()+"/")
	case !is:
	case policy.ValidNamespace(namespace):
		l.namespaces[namespace] = entry.Type()&fs.ModeSymlink != 0
	default:
		l.ignored = append(l.ignored, entry.Name())
	}
}

// documentName removes the suffix from a name that could be a document's. Hidden files are never documents: editors,
// rsync and the kubelet create them.
func documentName(name string) (stem string, ok bool) {
	stem, ok = strings.CutSuffix(name, suffix)
	return stem, ok && !strings.HasPrefix(name, ".")
}

// directory is the state of the directory of documents.
type directory struct {
	// known reports whether this process has read it.
	known bool
	// id identifies the directory that was last read.
	id directoryID
	// err is why it cannot be used now.
	err error
}

var (
	errEmptied  = errors.New("it is empty, but held documents before; a mount may be missing")
	errReplaced = errors.New("it is empty and not the directory that held the documents; a mount may be missing")
)

// next returns the state after a listing; if its err is nil, the directory can be used. held is the number of known
// documents; remembered reports whether an earlier process recorded some. An empty directory is accepted if it never
// contained documents, or if it is the same directory that did: then they were removed.
func (d directory) next(l listing, held int, remembered func() bool) directory {
	switch {
	case l.err != nil:
		d.err = l.err
	case len(l.namespaces) > 0:
		return directory{known: true, id: l.id}
	case d.known && held > 0 && d.id != l.id:
		d.err = errReplaced
	case !d.known && remembered():
		d.err = errEmptied
	default:
		return directory{known: true, id: l.id}
	}
	return d
}

// describe returns what is wrong with the directory, in one line.
func (d directory) describe(c *Config) error {
	switch {
	case d.err == nil:
		return nil
	case errors.Is(d.err, errEmptied):
		return fmt.Errorf("reading policy directory %s: %w, or if it is meant to be empty remove %s",
			c.Directory, d.err, c.StateFile)
	case errors.Is(d.err, errReplaced):
		return fmt.Errorf("reading policy directory %s: %w, or if it is meant to be empty remove %s and restart",
			c.Directory, d.err, c.StateFile)
	default:
		return fmt.Errorf("reading policy directory %s: %w", c.Directory, d.err)
	}
}
