package origin

import (
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// The parsers of untrusted bytes, for fuzzing.

func ParseDocument(raw []byte) (config digest.Digest, children []digest.Digest, listed int, err error) {
	parsed, err := parseDocument(raw, func() {})
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

// Unreadable counts the roots that could not be read in full.
func (c *Containerd) Unreadable() (count int) {
	m := c.images
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.roots {
		if r.failure != "" {
			count++
		}
	}
	return count
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

// Node is a manifest or an index that memory is to know. A manifest has a config, whose layers have a chain ID.
type Node struct {
	Digest   digest.Digest
	Config   digest.Digest
	Chain    string
	Children []digest.Digest
}

// Learn has memory know a name and what it leads to, as if that had been heard of and read. The target comes first.
func (c *Containerd) Learn(stored string, nodes ...Node) {
	c.images.nameChanged(stored, nodes[0].Digest)
	r, change := c.images.begin(nodes[0].Digest)
	for _, n := range nodes {
		raw := make([]byte, 600)
		c.blobs.Add(n.Digest, raw, len(raw))
		c.images.add(n.Digest, &node{config: n.Config, children: n.Children, listed: len(n.Children), size: len(raw)}, change)
		if n.Chain != "" {
			c.images.setChainID(n.Config, n.Chain, change)
		}
	}
	if r != nil {
		c.images.readFinished(nodes[0].Digest, r, outcome{})
	}
}

// Forget has memory know that a name is gone.
func (c *Containerd) Forget(stored string) { c.images.nameChanged(stored, "") }

// Follow has memory believe that events are followed.
func (c *Containerd) Follow() { c.images.follow(c.images.receiving()) }

// Configs returns the images with certain layers.
func (c *Containerd) Configs(chain string) []digest.Digest { return c.images.configs(chain) }

// FilterComplete reports whether it is known which blobs are absent.
func (c *Containerd) FilterComplete() bool {
	c.filter.mu.RLock()
	defer c.filter.mu.RUnlock()
	return c.filter.complete
}

// Absent returns the number of cached hashes of absent children.
func (c *Containerd) Absent() int {
	c.images.mu.Lock()
	defer c.images.mu.Unlock()
	return c.images.absent
}

// Filter returns how many of some blobs a filter takes for absent, and how many of others for present.
func Filter(present, absent []digest.Digest) (missing, mistaken int) {
	f := newContentFilter()
	stream := f.begin()
	for _, blob := range present {
		f.add(blob)
	}
	f.filled(stream)
	for _, blob := range present {
		if !f.mayBePresent(f.hash(blob)) {
			missing++
		}
	}
	for _, blob := range absent {
		if f.mayBePresent(f.hash(blob)) {
			mistaken++
		}
	}
	return missing, mistaken
}

// Prepared reports whether a snapshot is remembered.
func (c *Containerd) Prepared(key string) bool {
	c.prepared.mu.Lock()
	defer c.prepared.mu.Unlock()
	return c.prepared.byKey.Contains(key)
}
