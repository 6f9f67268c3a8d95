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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distribution/reference"
	helperclient "github.com/docker/docker-credential-helpers/client"
	helpers "github.com/docker/docker-credential-helpers/credentials"
	"go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/types"
)

// credentials finds the credentials for the hosts that are asked about one repository, in one docker config.json. No
// home directory and no environment is looked at, and nothing is kept.
type credentials struct {
	ctx        context.Context
	file       string
	repository reference.Named

	mu sync.Mutex
	// found are the hosts for which the file had something.
	found map[string]bool
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

func newCredentials(ctx context.Context, file string, repository reference.Named) *credentials {
	return &credentials{ctx: ctx, file: file, repository: repository, found: map[string]bool{}}
}

// lookup returns the credentials for a host: those for the repository there, or for a part of its path, or for the
// host. A host never gets those of another. A secret without a name is a token.
func (c *credentials) lookup(host string) (username, secret string, err error) {
	if c.file == "" {
		return "", "", nil
	}
	host = canonicalHost(host)
	found, err := c.read(host)
	if err != nil {
		return "", "", &credentialsError{file: c.file, err: err}
	}
	if found.IdentityToken != "" {
		username, secret = "", found.IdentityToken
	} else {
		username, secret = found.Username, found.Password
	}
	if secret != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.found[host] = true
	}
	return username, secret, nil
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
		command := exec.CommandContext(c.ctx, "docker-credential-"+helper, args...)
		command.WaitDelay = time.Second
		// A helper is often a script; what it started has to end with it.
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
		return &helperProgram{command: command}
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
	found := c.found[host]
	c.mu.Unlock()
	switch {
	case c.file == "":
		return "no file with credentials is configured (auth_file)"
	case found:
		return fmt.Sprintf("the credentials that %s has for %s do not suffice", c.file, host)
	case !exists(c.file):
		return fmt.Sprintf("put credentials for %s into %s, which does not exist", host, c.file)
	default:
		return fmt.Sprintf("put credentials for %s into %s, which has none", host, c.file)
	}
}

// helperProgram is a credential helper that is about to run.
type helperProgram struct{ command *exec.Cmd }

// Output returns what the helper writes to its standard output.
func (p *helperProgram) Output() ([]byte, error) {
	var output bytes.Buffer
	p.command.Stdout = &output
	err := p.command.Run()
	return []byte(strings.TrimSpace(output.String())), err
}

// Input is what the helper reads from its standard input.
func (p *helperProgram) Input(in io.Reader) { p.command.Stdin = in }
