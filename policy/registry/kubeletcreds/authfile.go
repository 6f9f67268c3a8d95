package kubeletcreds

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// authFile is a file of credentials: docker's config.json or its older .dockercfg, read as the kubelet reads both
// (Kubernetes v1.36, pkg/credentialprovider: config.go and keyring.go). credHelpers and identitytoken, which the
// kubelet ignores, are read as docker does. The kubelet ignores a whole file with one entry that it cannot decode; here
// the other entries are used.
type authFile struct {
	helpers map[string]string
	// entries are in the order of precedence: the more specific ones first.
	entries []authEntry
}

// authEntry is one entry: its pattern, and the credentials or why they cannot be used.
type authEntry struct {
	location, pattern                 string
	username, password, identityToken string
	problem                           string
	// empty reports whether the entry has no credentials. docker writes such an entry if a credential store has them.
	empty bool
}

// readAuthFile reads a file of credentials; a file that does not exist has none. No error quotes its content.
func readAuthFile(path string) (*authFile, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return &authFile{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseAuthFile(raw)
}

func parseAuthFile(raw []byte) (*authFile, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, fileProblem(err)
	}
	file := &authFile{}
	if text, ok := top["credHelpers"]; ok {
		if err := json.Unmarshal(text, &file.helpers); err != nil {
			return nil, errors.New("credHelpers is not an object of names")
		}
	}
	entries := map[string]json.RawMessage{}
	text, modern := top["auths"]
	switch {
	case modern:
		if err := json.Unmarshal(text, &entries); err != nil {
			return nil, errors.New("auths is not an object")
		}
	case !dockerConfig(top):
		// .dockercfg has the entries at the top level.
		entries = top
	}
	for _, location := range slices.Sorted(maps.Keys(entries)) {
		file.entries = append(file.entries, parseAuthEntry(location, entries[location]))
	}
	slices.SortStableFunc(file.entries, func(a, b authEntry) int { return strings.Compare(b.pattern, a.pattern) })
	return file, nil
}

// dockerConfig reports whether a file without auths is a config.json nevertheless, by a key that is not a registry.
func dockerConfig(top map[string]json.RawMessage) bool {
	for _, key := range []string{"credHelpers", "credsStore", "HttpHeaders", "currentContext", "proxies"} {
		if _, ok := top[key]; ok {
			return true
		}
	}
	return false
}

// fileProblem describes invalid JSON without quoting it.
func fileProblem(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is not JSON: byte %d: %s", syntax.Offset, strings.SplitN(syntax.Error(), "'", 2)[0])
	}
	return errors.New("it is not a JSON object")
}

func parseAuthEntry(location string, raw json.RawMessage) authEntry {
	e := authEntry{location: location}
	pattern, ok := patternOf(location)
	if !ok {
		// An entry that matches nothing is found by its text, so that its problem is reported.
		pattern, e.problem = hostOf(location), "its key is not the name of a registry"
	}
	e.pattern = pattern
	var fields struct {
		Username      string `json:"username"`
		Password      string `json:"password"`
		Auth          string `json:"auth"`
		IdentityToken string `json:"identitytoken"`
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		e.problem = "it is not an object of strings"
		return e
	}
	e.username, e.password, e.identityToken = fields.Username, fields.Password, fields.IdentityToken
	if fields.Auth != "" {
		e.decode(fields.Auth)
	}
	if e.problem == "" && e.password == "" && e.identityToken == "" {
		e.problem, e.empty = "it has no password", true
	}
	return e
}

// decode decodes auth, which takes precedence over username and password, with or without padding.
func (e *authEntry) decode(auth string) {
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(strings.TrimSpace(auth), "=") {
		encoding = base64.StdEncoding
	}
	decoded, err := encoding.DecodeString(auth)
	if err != nil {
		e.problem = "its auth is not base64"
		return
	}
	username, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		e.problem = "its auth is not username:password in base64"
		return
	}
	// docker sometimes ends a password with a zero byte, which go.podman.io/image and docker remove.
	e.username, e.password = username, strings.Trim(password, "\x00")
}

// matching returns the entries for an image, without tag and digest, in the order of precedence.
func (f *authFile) matching(image string) []authEntry {
	var all, docker []authEntry
	for _, entry := range f.entries {
		if matched, err := matchesImage(entry.pattern, image); matched && err == nil {
			all = append(all, entry)
		}
		if entry.pattern == "index.docker.io" {
			docker = append(docker, entry)
		}
	}
	if len(all) == 0 && hostOf(image) == "docker.io" {
		return docker
	}
	return all
}

// usable returns those of some entries that can be used, and describes the others. It is an error if none can be used
// and one was meant to.
func usable(entries []authEntry) (found []authEntry, note string, err error) {
	var all []string
	meant := false
	for _, entry := range entries {
		if entry.problem == "" {
			found = append(found, entry)
			continue
		}
		meant = meant || !entry.empty
		all = append(all, fmt.Sprintf("the entry %.200q cannot be used: %s", entry.location, entry.problem))
	}
	note = strings.Join(all, "; ")
	if meant && len(found) == 0 {
		return nil, note, errors.New(note)
	}
	return found, note, nil
}

// login returns the credentials of an entry of a file.
func (e *authEntry) login(file string) login {
	by := fmt.Sprintf("the entry %q of %s", e.location, file)
	if e.identityToken != "" {
		return login{password: e.identityToken, by: by}
	}
	return login{e.username, e.password, by}
}
