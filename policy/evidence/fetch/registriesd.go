package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/bounded"
)

const (
	// defaultLookaside is where containers/image looks as root for a repository of which registries.d says nothing.
	defaultLookaside = "file:///var/lib/containers/sigstore"
	// maxRegistriesFile limits a file of registries.d, in bytes.
	maxRegistriesFile = 1 << 20
)

// lookasides is what the files of a registries.d say of lookasides. Whatever is wrong with one scope concerns that
// scope alone: a fault in a file about one registry says nothing of another.
type lookasides struct {
	// scopes are the entries by their scope; the empty one is default-docker.
	scopes map[string]lookasideEntry
	// problems are all problems, in the order of the files.
	problems []error
	// unknown is why the scopes of a file could not be determined. Then scopes that no other file mentions are unknown.
	unknown error
}

// lookasideEntry is where the signatures of a scope lie, by which file, or why that is not known.
type lookasideEntry struct {
	base, file string
	err        error
}

// lookasideScope is an entry of a file.
type lookasideScope struct {
	Lookaside string `yaml:"lookaside"`
	Sigstore  string `yaml:"sigstore"`
}

// base returns where its signatures lie; empty: it does not say.
func (s lookasideScope) base() string {
	if s.Lookaside != "" {
		return s.Lookaside
	}
	return s.Sigstore
}

// readLookasides reads the files of a directory that end with .yaml.
func readLookasides(directory string) (*lookasides, error) {
	all := newLookasides()
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading where signatures lie: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() || !strings.HasSuffix(entry.Name(), ".yaml") {
			continue
		}
		path := filepath.Join(directory, entry.Name())
		raw, err := bounded.ReadFile(path, maxRegistriesFile)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			all.unknown = fmt.Errorf("reading where signatures lie, in %s: %w", path, err)
			all.problems = append(all.problems, all.unknown)
		default:
			all.add(path, raw)
		}
	}
	return all, nil
}

func newLookasides() *lookasides { return &lookasides{scopes: map[string]lookasideEntry{}} }

// add adds a file.
func (l *lookasides) add(path string, raw []byte) {
	var file struct {
		Default yaml.Node            `yaml:"default-docker"`
		Docker  map[string]yaml.Node `yaml:"docker"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		err = fmt.Errorf("reading where signatures lie, in %s: %s", path, strings.Join(strings.Fields(err.Error()), " "))
		l.problems = append(l.problems, err)
		// Its content is unknown, but the scopes that it mentions may be known.
		scopes := mentioned(raw)
		for _, scope := range scopes {
			l.spoil(scope, err)
		}
		if len(scopes) == 0 {
			l.unknown = err
		}
		return
	}
	if !file.Default.IsZero() {
		l.enter("", path, &file.Default)
	}
	for _, name := range slices.Sorted(maps.Keys(file.Docker)) {
		node := file.Docker[name]
		l.enter(name, path, &node)
	}
}

// enter enters what a file says of a scope. Only those that name a lookaside can contradict each other: most files of
// registries.d are about attached signatures.
func (l *lookasides) enter(scope, path string, node *yaml.Node) {
	said := scope
	if scope == "" {
		said = "default-docker"
	}
	var entry lookasideScope
	if err := node.Decode(&entry); err != nil {
		err = fmt.Errorf("reading where signatures lie, in %s: %.200s is not as registries.d wants it", path, said)
		l.problems = append(l.problems, err)
		l.spoil(scope, err)
		return
	}
	if entry.base() == "" {
		return
	}
	if other, ok := l.scopes[scope]; ok {
		err := fmt.Errorf("%s and %s both say where the signatures of %.200s lie: remove one", other.file, path, said)
		l.problems = append(l.problems, err)
		l.spoil(scope, err)
		return
	}
	l.scopes[scope] = lookasideEntry{base: entry.base(), file: path}
}

// spoil has it be unknown where the signatures of a scope lie.
func (l *lookasides) spoil(scope string, err error) {
	entry := l.scopes[scope]
	entry.err = err
	l.scopes[scope] = entry
}

// mentioned returns the scopes that a file which does not parse seems to be about.
func mentioned(raw []byte) (scopes []string) {
	for line := range strings.Lines(string(raw)) {
		name := strings.Trim(strings.TrimSuffix(strings.TrimSpace(line), ":"), `"'`)
		switch {
		case !strings.HasSuffix(strings.TrimSpace(line), ":") || name == "docker" || strings.ContainsAny(name, " #"):
		case name == "default-docker":
			scopes = append(scopes, "")
		default:
			scopes = append(scopes, name)
		}
	}
	return scopes
}

// base returns the URL of a repository's signatures, from the most specific scope that has one. byDefault reports that
// no scope has one, and the URL is the default of containers/image. Scopes with a tag or a digest, which
// containers/image also reads, are ignored, because evidence belongs to a repository.
func (l *lookasides) base(repository reference.Named) (at *url.URL, byDefault bool, err error) {
	base := ""
	for _, scope := range append(policy.RepositoryScopes(repository), "") {
		entry := l.scopes[scope]
		if entry.err != nil {
			return nil, false, entry.err
		}
		if base = entry.base; base != "" {
			break
		}
	}
	switch {
	case base != "":
	case l.unknown != nil:
		return nil, false, l.unknown
	default:
		base, byDefault = defaultLookaside, true
	}
	parsed, err := url.Parse(base)
	if err != nil {
		return nil, false, errors.New("a lookaside in registries.d is not a URL")
	}
	switch parsed.Scheme {
	case "file", "http", "https":
	default:
		return nil, false, fmt.Errorf("a lookaside in registries.d is neither file nor http nor https, but %.20q",
			parsed.Scheme)
	}
	parsed.Path += "/" + reference.Path(repository)
	return parsed, byDefault, nil
}
