package kubeletcreds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/distribution/reference"
	helperclient "github.com/docker/docker-credential-helpers/client"
	helpers "github.com/docker/docker-credential-helpers/credentials"
)

// Config contains the files and programs with the node's credentials. Each path may be empty, and its file may be
// absent.
type Config struct {
	// AuthFile is a docker config.json.
	AuthFile string
	// ProviderConfig is the kubelet's CredentialProviderConfig, and ProviderDirectory the directory of its programs. They
	// are used if AuthFile has no credentials.
	ProviderConfig, ProviderDirectory string
}

// Store has the credentials of the node. It caches the answers of credential providers.
type Store struct {
	file string
	// providers is nil if none are configured.
	providers *providers
}

// NewStore returns the credentials of a configuration.
func NewStore(config Config) *Store {
	return &Store{file: config.AuthFile, providers: newProviders(config.ProviderConfig, config.ProviderDirectory)}
}

// Keyring finds the credentials for the hosts that serve one repository.
type Keyring struct {
	*Store
	ctx        context.Context
	repository reference.Named

	mu sync.Mutex
	// found contains, by host, where credentials were found, lacking why the providers had none, and notes what is wrong
	// with entries of the file.
	found, lacking, notes map[string]string
}

// Error reports that the credentials could not be read.
type Error struct {
	File string
	Err  error
}

// Error implements error, in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("reading credentials in %s: %v", e.File, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Keyring returns the credentials for a repository. Its programs are killed when ctx ends.
func (s *Store) Keyring(ctx context.Context, repository reference.Named) *Keyring {
	return &Keyring{
		Store: s, ctx: ctx, repository: repository,
		found: map[string]string{}, lacking: map[string]string{}, notes: map[string]string{},
	}
}

// Lookup returns the credentials for a host: those for the repository there, or for a part of its path, or for the
// host. A host never gets those of another. A secret without a username is a token. An error is an [*Error].
func (k *Keyring) Lookup(host string) (username, secret string, err error) {
	host = canonicalHost(host)
	found, note, err := k.lookupFile(host)
	if err != nil {
		return "", "", &Error{File: k.file, Err: err}
	}
	lacking := ""
	if found.password == "" {
		var by string
		var provided providerLogin
		provided, by, lacking = k.providers.lookup(k.ctx, host+"/"+reference.Path(k.repository))
		found = login{provided.Username, provided.Password, "the credential provider " + by}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lacking[host], k.notes[host] = lacking, note
	if found.password != "" {
		k.found[host] = found.by
	}
	return found.username, found.password, nil
}

// login is a username and a secret, and where they were found.
type login struct{ username, password, by string }

// lookupFile looks up credentials in the file. The note describes entries for the host that cannot be used.
func (k *Keyring) lookupFile(host string) (found login, note string, err error) {
	if k.file == "" {
		return login{}, "", nil
	}
	file, err := readAuthFile(k.file)
	if err != nil {
		return login{}, "", err
	}
	if helper := file.helpers[host]; helper != "" {
		found, err = k.runHelper(helper, host)
		return found, "", err
	}
	entry, note, err := usable(file.matching(host + "/" + reference.Path(k.repository)))
	if err != nil || entry == nil {
		return login{}, note, err
	}
	by := fmt.Sprintf("the entry %q of %s", entry.location, k.file)
	if entry.identityToken != "" {
		return login{password: entry.identityToken, by: by}, "", nil
	}
	return login{entry.username, entry.password, by}, "", nil
}

// canonicalHost returns the host's name in files of credentials.
func canonicalHost(host string) string {
	if host == "registry-1.docker.io" {
		// This host serves docker.io.
		return "docker.io"
	}
	return host
}

// runHelper runs a credential helper, which is killed when the context of the keyring ends.
func (k *Keyring) runHelper(helper, host string) (login, error) {
	program := func(args ...string) helperclient.Program {
		return &helperProgram{command: groupCommand(k.ctx, "docker-credential-"+helper, args...)}
	}
	found, err := helperclient.Get(program, host)
	if helpers.IsErrCredentialsNotFound(err) {
		return login{}, nil
	}
	if err != nil {
		// The error of the client quotes the output of the helper, which may be the secret.
		return login{}, fmt.Errorf("docker-credential-%s failed", helper)
	}
	by := "docker-credential-" + helper
	if found.Username == "<token>" {
		return login{password: found.Secret, by: by}, nil
	}
	return login{found.Username, found.Secret, by}, nil
}

// Advise describes which credentials a host has rejected, or where to add some.
func (k *Keyring) Advise(host string) string {
	host = canonicalHost(host)
	k.mu.Lock()
	found, lacking, note := k.found[host], k.lacking[host], k.notes[host]
	k.mu.Unlock()
	var advice string
	switch {
	case found != "":
		return fmt.Sprintf("%s does not accept the credentials of %s", host, found)
	case k.file == "" && k.providers != nil:
		advice = fmt.Sprintf("no file with credentials for %s is configured (auth_file)", host)
	case k.file == "":
		advice = "no file with credentials is configured (auth_file), and no credential provider"
	case !exists(k.file):
		advice = fmt.Sprintf("add credentials for %s to %s, which does not exist", host, k.file)
	case note != "":
		advice = fmt.Sprintf("add credentials for %s to %s: %s", host, k.file, note)
	default:
		advice = fmt.Sprintf("add credentials for %s to %s, which has none", host, k.file)
	}
	if lacking != "" {
		advice += "; " + lacking
	}
	return advice + "; a pod's imagePullSecrets are not used"
}

// exists reports whether a file exists, or might exist because it cannot be determined.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
