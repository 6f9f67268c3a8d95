package registry

import (
	"fmt"
	"sync"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
)

// CredentialFunc returns the credentials for a host, or empty ones. A secret without a username is a token.
type CredentialFunc func(host string) (username, secret string, err error)

// credentials finds credentials for the hosts of one session: the request's, or otherwise the node's.
type credentials struct {
	// request returns the credentials of the request; it may be nil.
	request CredentialFunc
	// only excludes the node's.
	only bool
	node *kubeletcreds.Keyring

	mu sync.Mutex
	// used contains the hosts for which the request had credentials.
	used map[string]bool
	// last is the host that was last given credentials of the node.
	last string
}

// lookup returns the credentials for a host.
func (c *credentials) lookup(host string) (username, secret string, err error) {
	if c.request != nil {
		username, secret, err = c.request(host)
		if err != nil {
			return "", "", fmt.Errorf("reading the credentials of the request: %w", err)
		}
	}
	if secret == "" && c.only {
		return "", "", nil
	}
	if secret == "" {
		username, secret, err = c.node.Lookup(host)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = host
		return username, secret, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[host] = true
	return username, secret, nil
}

// begin forgets which host was last given credentials.
func (c *credentials) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = ""
}

// reject records that the node's credentials were rejected, and reports whether the node has others for the same host.
// Those of a request are not replaced: the kubelet makes another request with its next ones.
func (c *credentials) reject() (others bool) {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	return last != "" && c.node.Reject(last)
}

// advise describes which credentials a host has rejected, or where to add some.
func (c *credentials) advise(host string) string {
	c.mu.Lock()
	used := c.used[host]
	c.mu.Unlock()
	if used {
		return fmt.Sprintf("%s does not accept the credentials of the request", host)
	}
	if c.only {
		return fmt.Sprintf("the request has no credentials for %s", host)
	}
	return c.node.Advise(host)
}
