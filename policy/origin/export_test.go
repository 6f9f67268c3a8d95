package origin

import (
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// The parsers of untrusted bytes, for fuzzing.

func ParseDocument(raw []byte) (config digest.Digest, children []digest.Digest, listed int, err error) {
	parsed, err := parseDocument(raw)
	return parsed.config, parsed.children, parsed.listed, err
}

func ParseConfig(raw []byte) (chain string, err error) { return parseConfig(raw) }

func ParseVolume(source string) (key, sandbox string, ok bool, err error) {
	volume, ok, err := parseVolume(source)
	return volume.key, volume.sandbox, ok, err
}

func ParseRecord(raw []byte) (policy.Record, error) { return parseRecord(raw) }

func RemappedKey(chain string, labels map[string]string) (string, error) {
	return remappedKey(chain, labels)
}

// Sizes counts the entries of the cache: names, roots, manifests and indexes, what lists them, configs, chains.
func (c *Containerd) Sizes() [6]int {
	m := c.images
	m.mu.Lock()
	defer m.mu.Unlock()
	return [6]int{len(m.names), len(m.roots), len(m.nodes), len(m.parents), len(m.images), len(m.chains)}
}

// OnPanic sets the receiver of panics.
func (c *Containerd) OnPanic(reported policy.PanicFunc) { c.panicked = reported }

// DropBytes clears the cache of contents, as eviction does.
func (c *Containerd) DropBytes() { c.blobs.Purge() }

// Target is the cached target of a name.
func (c *Containerd) Target(stored string) digest.Digest {
	m := c.images
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[stored].target
}

// Joined is the number of callers that wait for a relist that has not begun.
func (c *Containerd) Joined() int {
	c.relists.mu.Lock()
	defer c.relists.mu.Unlock()
	if c.relists.next == nil {
		return 0
	}
	return len(c.relists.next.wanted)
}

// Repositories counts the repositories in the cache.
func (c *Containerd) Repositories() int {
	m := c.images
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.repositories)
}

// Waiting counts the unprocessed events.
func (c *Containerd) Waiting() int {
	m := c.images
	m.mu.Lock()
	defer m.mu.Unlock()
	count := 0
	for _, events := range m.pending {
		count += events.count
	}
	return count
}
