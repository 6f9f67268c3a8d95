package store

import (
	"crypto/sha256"
	// The algorithms that digests of images have; package digest itself links none.
	_ "crypto/sha512"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Key identifies evidence: the manifest or index that it is about, and the repository in which it was found.
type Key struct {
	Manifest   digest.Digest
	Repository string
}

// Host returns the registry of the key's repository, with its port.
func (k Key) Host() string {
	host, _, _ := strings.Cut(k.Repository, "/")
	return host
}

// path returns the directory of a key, relative to a version's directory. Names of repositories are hashed, because
// they contain slashes and may be longer than a file name.
func (k Key) path() string {
	sum := sha256.Sum256([]byte(k.Repository))
	return filepath.Join(k.Manifest.Algorithm().String(), k.Manifest.Encoded(), hex.EncodeToString(sum[:]))
}
