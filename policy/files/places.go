package files

import (
	"os"
	"path/filepath"
	"strings"
)

// places are the directories to watch, by their real paths, and the names that matter in each. When a path leads
// through symlinks, what it leads to changes in any of the directories on the way.
type places struct {
	names map[string]map[string]bool
	// documents are the directories in which any name that could be a document's matters. There is one at most.
	documents string
	known     map[string]step
}

// step is what was found at a path without following it.
type step struct {
	link      string
	directory bool
}

// places returns where to watch for changes of what the state knows.
func (s *state) places() *places {
	p := &places{names: make(map[string]map[string]bool), known: make(map[string]step)}
	p.trace(s.config.System)
	for path := range s.keys {
		p.trace(path)
	}
	if s.config.Directory == "" {
		return p
	}
	real := p.trace(s.config.Directory)
	if real == "" || !p.look(real).directory {
		return p
	}
	p.documents = real
	p.note(real, "")
	for namespace, record := range s.namespaces {
		if record.symlink {
			p.trace(filepath.Join(real, namespace+suffix))
		}
	}
	return p
}

// trace notes every directory in which looking up the path looks for a name, and returns the path without symlinks,
// or "" if there is none. A name that is missing on the way is noted like any other.
func (p *places) trace(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	const maxLinks = 40 // As the kernel has it: path_resolution(7).
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
		if !p.look(current).directory {
			return ""
		}
		p.note(current, name)
		next := filepath.Join(current, name)
		link := p.look(next).link
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

func (p *places) look(path string) step {
	if found, ok := p.known[path]; ok {
		return found
	}
	var found step
	if info, err := os.Lstat(path); err == nil {
		found.directory = info.IsDir()
		if info.Mode()&os.ModeSymlink != 0 {
			found.link, _ = os.Readlink(path) // An error means it is none any more, and that gives a hint.
		}
	}
	p.known[path] = found
	return found
}

// note notes that a name matters in a directory.
func (p *places) note(directory, name string) {
	names := p.names[directory]
	if names == nil {
		names = make(map[string]bool)
		p.names[directory] = names
	}
	names[name] = true
}

// matters reports whether a change of what is at a path may change a document.
func (p *places) matters(path string) bool {
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
