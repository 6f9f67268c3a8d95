package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"

	"github.com/distribution/reference"
	helperclient "github.com/docker/docker-credential-helpers/client"
	helpers "github.com/docker/docker-credential-helpers/credentials"
	"go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/types"
)

// credentials finds the credentials for the hosts that are asked about one repository: in one docker config.json, and
// where that has none with the kubelet's credential providers. No home directory and no environment is looked at.
type credentials struct {
	ctx        context.Context
	file       string
	providers  *providers
	repository reference.Named

	mu sync.Mutex
	// found says, by host, who had credentials, and lacking why the providers had none.
	found, lacking map[string]string
}

// credentialsError says that the credentials could not be read.
type credentialsError struct {
	file string
	err  error
}

func (e *credentialsError) Error() string {
	return fmt.Sprintf("reading credentials in %s: %v", e.file, e.err)
}

func (e *credentialsError) Unwrap() error { return e.err }

func newCredentials(
	ctx context.Context, file string, providers *providers, repository reference.Named,
) *credentials {
	return &credentials{
		ctx: ctx, file: file, providers: providers, repository: repository,
		found: map[string]string{}, lacking: map[string]string{},
	}
}

// lookup returns the credentials for a host: those for the repository there, or for a part of its path, or for the
// host. A host never gets those of another. A secret without a name is a token.
func (c *credentials) lookup(host string) (username, secret string, err error) {
	host = canonicalHost(host)
	username, secret, err = c.lookupFile(host)
	if err != nil {
		return "", "", &credentialsError{file: c.file, err: err}
	}
	by, lacking := c.file, ""
	if secret == "" {
		var found providerIdentity
		found, by, lacking = c.providers.lookup(c.ctx, host+"/"+reference.Path(c.repository))
		username, secret, by = found.Username, found.Password, "the credential provider "+by
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lacking[host] = lacking
	if secret != "" {
		c.found[host] = by
	}
	return username, secret, nil
}

func (c *credentials) lookupFile(host string) (username, secret string, err error) {
	if c.file == "" {
		return "", "", nil
	}
	found, err := c.read(host)
	if err != nil {
		return "", "", err
	}
	if found.IdentityToken != "" {
		return "", found.IdentityToken, nil
	}
	return found.Username, found.Password, nil
}

// canonicalHost returns the name by which files of credentials have a host.
func canonicalHost(host string) string {
	if host == "registry-1.docker.io" {
		// That is where docker.io is served.
		return "docker.io"
	}
	return host
}

func (c *credentials) read(host string) (types.DockerAuthConfig, error) {
	helper, err := c.helper(host)
	if err != nil {
		return types.DockerAuthConfig{}, err
	}
	if helper != "" {
		return c.run(helper, host)
	}
	// With these paths registries.conf, which can name other places to look in, is not read (image/v5 v5.42.0,
	// pkg/docker/config and pkg/sysregistriesv2).
	system := &types.SystemContext{
		AuthFilePath:                c.file,
		SystemRegistriesConfPath:    os.DevNull,
		SystemRegistriesConfDirPath: "/nonexistent",
	}
	return config.GetCredentials(system, host+"/"+reference.Path(c.repository))
}

// helper returns the name of the credential helper that the file has for a host, as docker has it for whole hosts.
func (c *credentials) helper(host string) (string, error) {
	raw, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var file struct {
		Helpers map[string]string `json:"credHelpers"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return "", err
	}
	return file.Helpers[host], nil
}

// run asks a credential helper, which is ended with the fetch.
func (c *credentials) run(helper, host string) (types.DockerAuthConfig, error) {
	program := func(args ...string) helperclient.Program {
		return &helperProgram{command: endedCommand(c.ctx, "docker-credential-"+helper, args...)}
	}
	found, err := helperclient.Get(program, host)
	if helpers.IsErrCredentialsNotFound(err) {
		return types.DockerAuthConfig{}, nil
	}
	if err != nil {
		// The error of the client quotes what the helper wrote, which may be the secret.
		return types.DockerAuthConfig{}, fmt.Errorf("asking docker-credential-%s failed", helper)
	}
	if found.Username == "<token>" {
		return types.DockerAuthConfig{IdentityToken: found.Secret}, nil
	}
	return types.DockerAuthConfig{Username: found.Username, Password: found.Secret}, nil
}

// advise says what was tried with a host that wanted credentials, and what to do.
func (c *credentials) advise(host string) string {
	host = canonicalHost(host)
	c.mu.Lock()
	found, lacking := c.found[host], c.lacking[host]
	c.mu.Unlock()
	var advice string
	switch {
	case found != "":
		return fmt.Sprintf("the credentials that %s has for %s do not suffice", found, host)
	case c.file == "" && c.providers != nil:
		advice = fmt.Sprintf("no file with credentials is configured (auth_file) in which %s could stand", host)
	case c.file == "":
		advice = "no file with credentials is configured (auth_file), nor a credential provider of the kubelet's"
	case !exists(c.file):
		advice = fmt.Sprintf("put credentials for %s into %s, which does not exist", host, c.file)
	default:
		advice = fmt.Sprintf("put credentials for %s into %s, which has none", host, c.file)
	}
	if lacking != "" {
		advice += "; " + lacking
	}
	return advice + "; a pod's imagePullSecrets are not used"
}

// helperProgram is a credential helper that is about to run.
type helperProgram struct{ command *exec.Cmd }

// Output returns what the helper writes to its standard output.
func (p *helperProgram) Output() ([]byte, error) {
	output := &limitedBuffer{left: maxProviderAnswer}
	p.command.Stdout = output
	err := p.command.Run()
	return bytes.TrimSpace(output.kept.Bytes()), err
}

// Input is what the helper reads from its standard input.
func (p *helperProgram) Input(in io.Reader) { p.command.Stdin = in }
