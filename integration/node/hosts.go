package node

import (
	"fmt"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// Mirror is a mirror of a registry: a host in containerd's hosts.toml.
type Mirror struct {
	URL string
	// Authority is the mirror's CA certificate in PEM; nil: the system's CAs.
	Authority []byte
}

// MirrorOf returns a registry as a mirror.
func MirrorOf(registry *Registry) Mirror {
	return Mirror{URL: registry.URL(), Authority: registry.Authority}
}

// WriteHosts configures for containerd and countersign how to reach a registry: its URL and CA, and the mirrors to try
// first, in their order. It applies from the next request on.
func (n *Node) WriteHosts(host string, server Mirror, mirrors ...Mirror) error {
	directory := filepath.Join("certs.d", host)
	contents := fmt.Appendf(nil, "server = %q\n", server.URL)
	// Hosts are tried in the order in which they are in the file, which a map would not preserve.
	for i, mirror := range append([]Mirror{server}, mirrors...) {
		settings := table{}
		if i > 0 {
			contents = fmt.Appendf(contents, "\n[host.%q]\n", mirror.URL)
			settings["capabilities"] = []string{"pull", "resolve"}
		}
		if mirror.Authority != nil {
			name := filepath.Join(directory, fmt.Sprintf("authority-%d.pem", i))
			if err := n.directory.write(name, mirror.Authority); err != nil {
				return err
			}
			settings["ca"] = n.Path(name)
		}
		section, err := toml.Marshal(settings)
		if err != nil {
			return fmt.Errorf("writing hosts.toml: %w", err)
		}
		contents = append(contents, section...)
	}
	return n.directory.write(filepath.Join(directory, "hosts.toml"), contents)
}
