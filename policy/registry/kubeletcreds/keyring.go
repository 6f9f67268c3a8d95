package kubeletcreds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
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
	// are used if AuthFile has no credentials that the host accepts.
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
	// hosts contains what is known about the credentials for each host.
	hosts map[string]hostState
}

// hostState is what is known about the credentials for a host.
type hostState struct {
	// rejected are the credentials that the host rejected, and found those that it was last given, or none.
	rejected []login
	found    login
	// lacking is why the providers had none, and note describes the entries of the file that cannot be used.
	lacking, note string
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
	return &Keyring{Store: s, ctx: ctx, repository: repository, hosts: map[string]hostState{}}
}

// Lookup returns the credentials for a host: those for the repository there, or for a part of its path, or for the
// host; the first in this order that the host has not rejected. A host never gets those of another. A secret without a
// username is a token. An error is an [*Error].
func (k *Keyring) Lookup(host string) (username, secret string, err error) {
	host = canonicalHost(host)
	k.mu.Lock()
	state := k.hosts[host]
	k.mu.Unlock()
	if state, err = k.find(host, state); err != nil {
		return "", "", &Error{File: k.file, Err: err}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hosts[host] = state
	return state.found.username, state.found.password, nil
}

// Reject records that a host has rejected the credentials that it was last given, and reports whether there are others
// for it. The kubelet also tries all matching credentials, in their order.
func (k *Keyring) Reject(host string) (others bool) {
	host = canonicalHost(host)
	k.mu.Lock()
	state := k.hosts[host]
	k.mu.Unlock()
	if state.found.password == "" {
		return false
	}
	state.rejected, state.found = append(slices.Clip(state.rejected), state.found), login{}
	next, err := k.find(host, state)
	if err != nil {
		next = state
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hosts[host] = next
	return next.found.password != ""
}

// find finds the first credentials for a host that it has not rejected.
func (k *Keyring) find(host string, state hostState) (hostState, error) {
	inFile, note, err := k.lookupFile(host)
	if err != nil {
		return hostState{}, err
	}
	state.found, state.lacking, state.note = login{}, "", note
	for _, next := range inFile {
		if !state.hasRejected(next) {
			state.found = next
			return state, nil
		}
	}
	image := host + "/" + reference.Path(k.repository)
	state.found, state.lacking = k.providers.lookup(k.ctx, image, state.hasRejected)
	return state, nil
}

// hasRejected reports whether the host has rejected credentials. Equal ones in another place are not tried again.
func (s *hostState) hasRejected(l login) bool {
	return slices.ContainsFunc(s.rejected, func(other login) bool {
		return other.username == l.username && other.password == l.password
	})
}

// login is a username and a secret, and where they were found.
type login struct{ username, password, by string }

// lookupFile returns the credentials for a host in the file, in the order of precedence. The note describes entries for
// the host that cannot be used.
func (k *Keyring) lookupFile(host string) (found []login, note string, err error) {
	if k.file == "" {
		return nil, "", nil
	}
	file, err := readAuthFile(k.file)
	if err != nil {
		return nil, "", err
	}
	if helper := file.helpers[host]; helper != "" {
		one, err := k.runHelper(helper, host)
		if err != nil || one.password == "" {
			return nil, "", err
		}
		return []login{one}, "", nil
	}
	entries, note, err := usable(file.matching(host + "/" + reference.Path(k.repository)))
	for _, entry := range entries {
		found = append(found, entry.login(k.file))
	}
	return found, note, err
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
	state := k.hosts[host]
	k.mu.Unlock()
	if given := state.given(); len(given) > 0 {
		advice := fmt.Sprintf("%s does not accept the credentials of %s", host, strings.Join(given, ", nor those of "))
		if state.note != "" {
			advice += "; " + state.note
		}
		return advice
	}
	var advice string
	switch {
	case k.file == "" && k.providers != nil:
		advice = fmt.Sprintf("no file with credentials for %s is configured (auth_file)", host)
	case k.file == "":
		advice = "no file with credentials is configured (auth_file), and no credential provider"
	case !exists(k.file):
		advice = fmt.Sprintf("add credentials for %s to %s, which does not exist", host, k.file)
	case state.note != "":
		advice = fmt.Sprintf("add credentials for %s to %s: %s", host, k.file, state.note)
	default:
		advice = fmt.Sprintf("add credentials for %s to %s, which has none", host, k.file)
	}
	if state.lacking != "" {
		advice += "; " + state.lacking
	}
	return advice + "; a pod's imagePullSecrets are not used"
}

// given returns where the credentials come from that the host was given.
func (s *hostState) given() (all []string) {
	for _, l := range s.rejected {
		all = append(all, l.by)
	}
	if s.found.password != "" {
		all = append(all, s.found.by)
	}
	return all
}

// exists reports whether a file exists, or might exist because it cannot be determined.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
