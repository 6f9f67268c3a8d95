package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"
)

const (
	// defaultLookaside is where containers/image looks as root for a repository of which registries.d says nothing.
	defaultLookaside = "file:///var/lib/containers/sigstore"
	// maxRegistriesFile bounds a file of registries.d, in bytes.
	maxRegistriesFile = 1 << 20
)

// lookasides is what registries.d says, read as containers/image reads it (go.podman.io/image/v5 v5.42.0,
// docker/registries_d.go). Keys that are about writing are not looked at; nor is use-sigstore-attachments, for what is
// attached to an image is always looked for.
type lookasides struct {
	Default *lookasideScope           `yaml:"default-docker"`
	Docker  map[string]lookasideScope `yaml:"docker"`
}

type lookasideScope struct {
	Lookaside string `yaml:"lookaside"`
	// Sigstore is what lookaside was called before.
	Sigstore string `yaml:"sigstore"`
}

func (s lookasideScope) base() string {
	if s.Lookaside != "" {
		return s.Lookaside
	}
	return s.Sigstore
}

// readLookasides reads the files of a directory that end with .yaml. That two of them speak of the same is an error, as
// it is for containers/image.
func readLookasides(directory string) (*lookasides, error) {
	all := &lookasides{Docker: map[string]lookasideScope{}}
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
		raw, err := readRegular(path, maxRegistriesFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = all.add(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("reading where signatures lie, in %s: %w", path, err)
		}
	}
	return all, nil
}

// add adds a file.
func (l *lookasides) add(raw []byte) error {
	var file lookasides
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return err
	}
	if file.Default != nil {
		if l.Default != nil {
			return errors.New("default-docker stands in another file, too")
		}
		l.Default = file.Default
	}
	for name, scope := range file.Docker {
		if _, ok := l.Docker[name]; ok {
			return fmt.Errorf("%.200s stands in another file, too", name)
		}
		l.Docker[name] = scope
	}
	return nil
}

// base returns where the signatures of a repository lie: by the most specific scope that says so. Scopes with a tag or
// a digest, which containers/image has besides, are of no account: evidence is of a repository.
func (l *lookasides) base(repository reference.Named) (*url.URL, error) {
	base := ""
	for _, scope := range repositoryScopes(repository) {
		if base = l.Docker[scope].base(); base != "" {
			break
		}
	}
	if base == "" && l.Default != nil {
		base = l.Default.base()
	}
	if base == "" {
		base = defaultLookaside
	}
	parsed, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("a lookaside in registries.d is not a URL")
	}
	switch parsed.Scheme {
	case "file", "http", "https":
	default:
		return nil, fmt.Errorf("a lookaside in registries.d is neither file nor http nor https, but %.20q", parsed.Scheme)
	}
	parsed.Path += "/" + reference.Path(repository)
	return parsed, nil
}

// repositoryScopes returns the scopes of registries.d that a repository is in, the most specific first: itself, what is
// above it, its host, and that host's domains by a wildcard.
func repositoryScopes(repository reference.Named) []string {
	name := repository.Name()
	scopes := []string{name}
	for {
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			break
		}
		name = name[:slash]
		scopes = append(scopes, name)
	}
	host, _, _ := strings.Cut(name, ":")
	for {
		_, domain, ok := strings.Cut(host, ".")
		if !ok {
			return scopes
		}
		scopes = append(scopes, "*."+domain)
		host = domain
	}
}
