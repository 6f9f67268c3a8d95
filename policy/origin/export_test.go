package origin

import (
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// What parsers make of bytes from outside, for fuzzing.

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

// Kept counts everything that memory holds: names, roots, manifests and indexes, what lists them, configs, chains.
func (c *Containerd) Kept() [6]int {
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return [6]int{len(m.names), len(m.roots), len(m.nodes), len(m.parents), len(m.images), len(m.chains)}
}

// OnPanic has panics told of.
func (c *Containerd) OnPanic(told policy.PanicFunc) { c.panicked = told }

// DropBytes forgets the bytes of manifests and indexes, as happens when there are too many.
func (c *Containerd) DropBytes() { c.blobs.Purge() }

// Target is where memory has a name lead to.
func (c *Containerd) Target(stored string) digest.Digest {
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[stored].target
}

// Joined is how many wait for a look that has not begun.
func (c *Containerd) Joined() int {
	c.looks.mu.Lock()
	defer c.looks.mu.Unlock()
	if c.looks.next == nil {
		return 0
	}
	return len(c.looks.next.wanted)
}

// Repositories counts the repositories of which memory has names.
func (c *Containerd) Repositories() int {
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.repositories)
}

// Waiting counts the events that have arrived and have not been evaluated.
func (c *Containerd) Waiting() int {
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	count := 0
	for _, events := range m.announced {
		count += events.count
	}
	return count
}
