package evidence

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"github.com/distribution/reference"
	helperclient "github.com/docker/docker-credential-helpers/client"
	helpers "github.com/docker/docker-credential-helpers/credentials"
)

// credentials finds the credentials for the hosts that are asked about one repository: in one docker config.json, and
// where that has none with the kubelet's credential providers. No home directory and no environment is looked at.
type credentials struct {
	ctx        context.Context
	file       string
	providers  *providers
	repository reference.Named

	mu sync.Mutex
	// found says, by host, who had credentials, lacking why the providers had none, and notes what is in the file.
	found, lacking, notes map[string]string
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
		found: map[string]string{}, lacking: map[string]string{}, notes: map[string]string{},
	}
}

// lookup returns the credentials for a host: those for the repository there, or for a part of its path, or for the
// host. A host never gets those of another. A secret without a name is a token.
func (c *credentials) lookup(host string) (username, secret string, err error) {
	host = canonicalHost(host)
	found, note, err := c.lookupFile(host)
	if err != nil {
		return "", "", &credentialsError{file: c.file, err: err}
	}
	lacking := ""
	if found.password == "" {
		var by string
		var provided providerIdentity
		provided, by, lacking = c.providers.lookup(c.ctx, host+"/"+reference.Path(c.repository))
		found = secretOf{provided.Username, provided.Password, "the credential provider " + by}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lacking[host], c.notes[host] = lacking, note
	if found.password != "" {
		c.found[host] = found.by
	}
	return found.username, found.password, nil
}

// secretOf is a name and a secret, and who has them.
type secretOf struct{ username, password, by string }

// lookupFile looks into the file. A note says of an entry for the host that it has nothing.
func (c *credentials) lookupFile(host string) (found secretOf, note string, err error) {
	if c.file == "" {
		return secretOf{}, "", nil
	}
	file, err := readAuthFile(c.file)
	if err != nil {
		return secretOf{}, "", err
	}
	if helper := file.helpers[host]; helper != "" {
		found, err = c.run(helper, host)
		return found, "", err
	}
	entry, note, err := usable(file.matching(host + "/" + reference.Path(c.repository)))
	if err != nil || entry == nil {
		return secretOf{}, note, err
	}
	by := fmt.Sprintf("the entry %q of %s", entry.location, c.file)
	if entry.identityToken != "" {
		return secretOf{password: entry.identityToken, by: by}, "", nil
	}
	return secretOf{entry.username, entry.password, by}, "", nil
}

// canonicalHost returns the name by which files of credentials have a host.
func canonicalHost(host string) string {
	if host == "registry-1.docker.io" {
		// That is where docker.io is served.
		return "docker.io"
	}
	return host
}

// run asks a credential helper, which is ended with the fetch.
func (c *credentials) run(helper, host string) (secretOf, error) {
	program := func(args ...string) helperclient.Program {
		return &helperProgram{command: endedCommand(c.ctx, "docker-credential-"+helper, args...)}
	}
	found, err := helperclient.Get(program, host)
	if helpers.IsErrCredentialsNotFound(err) {
		return secretOf{}, nil
	}
	if err != nil {
		// The error of the client quotes what the helper wrote, which may be the secret.
		return secretOf{}, fmt.Errorf("asking docker-credential-%s failed", helper)
	}
	by := "docker-credential-" + helper
	if found.Username == "<token>" {
		return secretOf{password: found.Secret, by: by}, nil
	}
	return secretOf{found.Username, found.Secret, by}, nil
}

// advise says what was tried with a host that wanted credentials, and what to do.
func (c *credentials) advise(host string) string {
	host = canonicalHost(host)
	c.mu.Lock()
	found, lacking, note := c.found[host], c.lacking[host], c.notes[host]
	c.mu.Unlock()
	var advice string
	switch {
	case found != "":
		return fmt.Sprintf("the credentials of %s do not suffice for %s", found, host)
	case c.file == "" && c.providers != nil:
		advice = fmt.Sprintf("no file with credentials is configured (auth_file) in which %s could stand", host)
	case c.file == "":
		advice = "no file with credentials is configured (auth_file), nor a credential provider of the kubelet's"
	case !exists(c.file):
		advice = fmt.Sprintf("put credentials for %s into %s, which does not exist", host, c.file)
	case note != "":
		advice = fmt.Sprintf("put credentials for %s into %s: %s", host, c.file, note)
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
