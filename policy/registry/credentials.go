package registry

import (
	"fmt"
	"sync"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
)

// CredentialFunc returns the credentials for a host, which are empty where it has none. A secret without a username is
// a token.
type CredentialFunc func(host string) (username, secret string, err error)

// credentials finds those for the hosts of one session: the request's own, or else the node's.
type credentials struct {
	// request has the credentials of the request, or is nil.
	request CredentialFunc
	node    *kubeletcreds.Keyring

	mu sync.Mutex
	// used has the hosts for which the request had credentials.
	used map[string]bool
}

// lookup returns the credentials for a host.
func (c *credentials) lookup(host string) (username, secret string, err error) {
	if c.request != nil {
		username, secret, err = c.request(host)
		if err != nil {
			return "", "", fmt.Errorf("reading the credentials of the request: %w", err)
		}
	}
	if secret == "" {
		return c.node.Lookup(host)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[host] = true
	return username, secret, nil
}

// advise tells which credentials a host has rejected, or where to put some.
func (c *credentials) advise(host string) string {
	c.mu.Lock()
	used := c.used[host]
	c.mu.Unlock()
	if used {
		return fmt.Sprintf("the credentials of the request do not suffice for %s", host)
	}
	return c.node.Advise(host)
}
