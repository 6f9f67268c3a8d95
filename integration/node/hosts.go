package node

import (
	"fmt"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// Mirror is a host that is asked for the images of another one: a host of containerd's hosts.toml.
type Mirror struct {
	URL string
	// Authority certifies it, in PEM; nil: the system's authorities.
	Authority []byte
}

// MirrorOf is a registry as a mirror.
func MirrorOf(registry *Registry) Mirror {
	return Mirror{URL: registry.URL(), Authority: registry.Authority}
}

// WriteHosts tells containerd and countersign how a registry is reached that references call by a host: at a URL with
// an authority, and by mirrors that are asked before it, in their order. It counts from the next request on.
func (n *Node) WriteHosts(host string, server Mirror, mirrors ...Mirror) error {
	directory := filepath.Join("certs.d", host)
	contents := fmt.Appendf(nil, "server = %q\n", server.URL)
	// The hosts are asked in the order in which they stand in the file, which a map would not keep.
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
