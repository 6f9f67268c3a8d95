package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
)

// DefaultTimeout limits one operation, over all hosts and blobs.
const DefaultTimeout = 10 * time.Second

// Config is the registry configuration of this node. Each path may be empty, and its file may be absent; all files are
// read each time they are needed.
type Config struct {
	// HostsDirectory is containerd's registry config_path: the directory of its hosts.toml files, or several, separated by
	// colons.
	HostsDirectory string
	// AuthFile is a docker config.json with credentials for registries.
	AuthFile string
	// CredentialProviderConfig is the kubelet's file of that kind, and CredentialProviderDirectory the directory of its
	// programs. They are used if AuthFile has no credentials that the host accepts.
	CredentialProviderConfig, CredentialProviderDirectory string
	// Timeout limits one operation; zero means [DefaultTimeout].
	Timeout time.Duration
	// Requested is called for each request to a registry, with the registry's name in image references and the result. It
	// must not block, and may be nil.
	Requested func(registry string, result Result)
}

// Client reaches registries as containerd does: with its resolver, its hosts.toml files and their mirrors. It reuses no
// connection and no token between operations: each uses the current hosts.toml and credentials.
type Client struct {
	config      Config
	backoff     *hostBackoff
	node        *kubeletcreds.Store
	credentials CredentialFunc
	// only excludes the node's credentials.
	only bool
}

// New returns a client for the registries of a configuration.
func New(config Config) *Client {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	return &Client{
		config: config, backoff: newHostBackoff(),
		node: kubeletcreds.NewStore(kubeletcreds.Config{
			AuthFile:          config.AuthFile,
			ProviderConfig:    config.CredentialProviderConfig,
			ProviderDirectory: config.CredentialProviderDirectory,
		}),
	}
}

// WithCredentials returns a client for one request, which tries the credentials of that request before the node's. It
// shares with c which hosts are paused.
func (c *Client) WithCredentials(credentials CredentialFunc) *Client {
	with := *c
	with.credentials = credentials
	return &with
}

// WithOnly is like WithCredentials, but the client does not try the node's: it reaches what the request may reach.
func (c *Client) WithOnly(credentials CredentialFunc) *Client {
	with := c.WithCredentials(credentials)
	with.only = true
	return with
}

// Timeout returns the time limit of one operation.
func (c *Client) Timeout() time.Duration { return c.config.Timeout }

// Resolve returns the digest of a reference: its own, or that of its tag, which it requests from the registry with a
// HEAD.
func (c *Client) Resolve(ctx context.Context, ref reference.Named) (digest.Digest, error) {
	if digested, ok := ref.(reference.Digested); ok {
		return digested.Digest(), nil
	}
	ref = reference.TagNameOnly(ref)
	const required = docker.HostCapabilityPull | docker.HostCapabilityResolve
	var found digest.Digest
	err := c.first(ctx, ref, required, func(ctx context.Context, host *Host) error {
		_, target, err := host.Resolver.Resolve(ctx, ref.String())
		found = target.Digest
		return err
	})
	return found, err
}

// AskFunc makes requests to one host.
type AskFunc func(context.Context, *Host) error

// first calls ask for the hosts of a reference's registry in the order of hosts.toml, if they have the required
// capabilities, until one has an answer. If none has, the error contains the errors of all.
func (c *Client) first(
	ctx context.Context, ref reference.Named, required docker.HostCapabilities, ask AskFunc,
) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	session := c.NewSession(ctx, ref)
	defer session.Close()
	hosts, err := session.Hosts(ctx, reference.Domain(ref))
	if err != nil {
		return fmt.Errorf("reading how containerd reaches %s: %w", reference.Domain(ref), err)
	}
	var failures []error
	for i, config := range hosts {
		if !config.Capabilities.Has(required) {
			continue
		}
		err := session.Ask(ctx, config, len(hosts)-i, ask)
		if err == nil {
			return nil
		}
		failures = append(failures, session.Explain(ctx, ref.String(), config, err))
	}
	if len(failures) == 0 {
		return fmt.Errorf("fetching %s: hosts.toml has no host with the required capabilities", ref)
	}
	return JoinErrors(failures)
}
