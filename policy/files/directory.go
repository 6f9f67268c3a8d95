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

// suffix ends the name of every document.
const suffix = ".json"

// listing is what was found of the directory.
type listing struct {
	place place
	// namespaces are those that have an entry, and whether it is a symlink.
	namespaces map[string]bool
	// ignored are names that were probably meant for a document's and are none. Those of directories end in a slash.
	ignored []string
	err     error
}

// list reads the directory.
func list(path string) listing {
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
	l.place = identityOf(info).place()
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

// documentName takes the suffix from a name that could be a document's. Hidden names never are: editors, rsync and
// the kubelet keep their own there.
func documentName(name string) (stem string, ok bool) {
	stem, ok = strings.CutSuffix(name, suffix)
	return stem, ok && !strings.HasPrefix(name, ".")
}

// directory is what is known of the directory of documents.
type directory struct {
	// known says that this process has read it.
	known bool
	// place is where it was when it was read last.
	place place
	// err is why it cannot be used as it is now.
	err error
}

var (
	errNothingThere = errors.New("it is empty, but held documents before; a mount may be missing")
	errOtherPlace   = errors.New("it is empty and not the directory that held the documents; a mount may be missing")
)

// next returns what is known after a listing, of which a nil err says that it is to be used. held is how many documents
// are known from it, remembered whether some were when a process saw it last. An empty directory is believed if
// nothing was there before, or if it is the very one that this process saw full: then they were removed.
func (d directory) next(l listing, held int, remembered func() bool) directory {
	switch {
	case l.err != nil:
		d.err = l.err
	case len(l.namespaces) > 0:
		return directory{known: true, place: l.place}
	case d.known && held > 0 && d.place != l.place:
		d.err = errOtherPlace
	case !d.known && remembered():
		d.err = errNothingThere
	default:
		return directory{known: true, place: l.place}
	}
	return d
}

// describe makes a line of what is wrong with the directory.
func (d directory) describe(c *Config) error {
	switch {
	case d.err == nil:
		return nil
	case errors.Is(d.err, errNothingThere):
		return fmt.Errorf("reading policy directory %s: %w, or if it is meant to be empty remove %s",
			c.Directory, d.err, c.StateFile)
	case errors.Is(d.err, errOtherPlace):
		return fmt.Errorf("reading policy directory %s: %w, or if it is meant to be empty remove %s and restart",
			c.Directory, d.err, c.StateFile)
	default:
		return fmt.Errorf("reading policy directory %s: %w", c.Directory, d.err)
	}
}
