package files

import (
	"os"
	"path/filepath"
	"strings"
)

// watchList contains the directories to watch, by their real paths, and the relevant names in each. If a path leads
// through symlinks, a change in any of the directories on the way can change what it refers to.
type watchList struct {
	names map[string]map[string]bool
	// documents is the directory of documents, in which every name that could be a document's is relevant, or empty.
	documents string
	known     map[string]step
}

// step is the result of lstat.
type step struct {
	link      string
	directory bool
}

// watchList returns the directories to watch for changes of the known files.
func (s *state) watchList() *watchList {
	p := &watchList{names: make(map[string]map[string]bool), known: make(map[string]step)}
	p.trace(s.config.System)
	if s.config.Cluster != "" {
		p.trace(s.config.Cluster)
	}
	for path := range s.keys {
		p.trace(path)
	}
	if s.config.Directory == "" {
		return p
	}
	real := p.trace(s.config.Directory)
	if real == "" || !p.lstat(real).directory {
		return p
	}
	p.documents = real
	p.add(real, "")
	for namespace, record := range s.namespaces {
		if record.symlink {
			p.trace(filepath.Join(real, namespace+suffix))
		}
	}
	return p
}

// trace adds every directory that a lookup of the path reads, and returns the path without symlinks, or "" if the
// lookup fails. A missing name on the way is added too.
func (p *watchList) trace(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	const maxLinks = 40 // The kernel's limit: path_resolution(7).
	current, rest := "/", strings.Split(absolute, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			current = filepath.Dir(current)
			continue
		}
		if !p.lstat(current).directory {
			return ""
		}
		p.add(current, name)
		next := filepath.Join(current, name)
		link := p.lstat(next).link
		if link == "" {
			current = next
			continue
		}
		if links++; links > maxLinks {
			return ""
		}
		if filepath.IsAbs(link) {
			current = "/"
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	return current
}

func (p *watchList) lstat(path string) step {
	if found, ok := p.known[path]; ok {
		return found
	}
	var found step
	if info, err := os.Lstat(path); err == nil {
		found.directory = info.IsDir()
		if info.Mode()&os.ModeSymlink != 0 {
			found.link, _ = os.Readlink(path) // An error means that it changed, which causes an event.
		}
	}
	p.known[path] = found
	return found
}

// add adds a relevant name in a directory.
func (p *watchList) add(directory, name string) {
	names := p.names[directory]
	if names == nil {
		names = make(map[string]bool)
		p.names[directory] = names
	}
	names[name] = true
}

// affects reports whether a change at a path may change a document.
func (p *watchList) affects(path string) bool {
	path = filepath.Clean(path)
	if p.names[path] != nil {
		return true // A watched directory itself, which was moved or removed.
	}
	directory, name := filepath.Dir(path), filepath.Base(path)
	if p.names[directory][name] {
		return true
	}
	_, is := documentName(name)
	return (is || misnamed(name)) && directory == p.documents
}
