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
// (Kubernetes v1.36, pkg/credentialprovider: config.go and keyring.go). Of what the kubelet passes over, credHelpers
// and identitytoken are read as well, as docker has them. The kubelet passes over a whole file with one entry that it
// cannot decode; here the other entries count.
type authFile struct {
	helpers map[string]string
	// entries are in the order in which they count: the more specific ones first.
	entries []authEntry
}

// authEntry is one entry: what it is for, and the credentials or why they cannot be used.
type authEntry struct {
	location, pattern                 string
	username, password, identityToken string
	problem                           string
	// empty says that it has no credentials, as docker writes it where they are in a store of the desktop's.
	empty bool
}

// readAuthFile reads a file of credentials; one that does not exist has none. No error quotes its content.
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
		// .dockercfg has the entries at the top.
		entries = top
	}
	for _, location := range slices.Sorted(maps.Keys(entries)) {
		file.entries = append(file.entries, parseAuthEntry(location, entries[location]))
	}
	slices.SortStableFunc(file.entries, func(a, b authEntry) int { return strings.Compare(b.pattern, a.pattern) })
	return file, nil
}

// dockerConfig reports whether a file without auths is a config.json all the same, by a key that no registry has.
func dockerConfig(top map[string]json.RawMessage) bool {
	for _, key := range []string{"credHelpers", "credsStore", "HttpHeaders", "currentContext", "proxies"} {
		if _, ok := top[key]; ok {
			return true
		}
	}
	return false
}

// fileProblem says what is wrong with JSON, without a word of it.
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
		// What cannot be matched with anything is named by its text, so that its owner may hear of it.
		pattern, e.problem = hostOf(location), "its name is not that of a registry"
	}
	e.pattern = pattern
	var fields struct {
		Username      string `json:"username"`
		Password      string `json:"password"`
		Auth          string `json:"auth"`
		IdentityToken string `json:"identitytoken"`
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		e.problem = "it is not an object with texts"
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

// decode reads what auth has, which counts before username and password: with padding or without.
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
	// docker ends a password with a zero byte at times, which go.podman.io/image and docker cut off.
	e.username, e.password = username, strings.Trim(password, "\x00")
}

// matching returns the entries for an image, without tag and digest, in the order in which they count.
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

// usable returns the first of some entries that can be used, and what is to be said of the others. It is an error where
// none can be used and one was meant to.
func usable(entries []authEntry) (found *authEntry, note string, err error) {
	var all []string
	meant := false
	for i := range entries {
		if entries[i].problem == "" {
			return &entries[i], "", nil
		}
		meant = meant || !entries[i].empty
		all = append(all, fmt.Sprintf("the entry %.200q cannot be used: %s", entries[i].location, entries[i].problem))
	}
	note = strings.Join(all, "; ")
	if meant {
		return nil, note, errors.New(note)
	}
	return nil, note, nil
}
