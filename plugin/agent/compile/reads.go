package compile

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
)

// maxReads limits how many policies are remembered, twice: a cluster has thousands.
const maxReads = 8192

// reads are the ImagePolicies that were read. What a policy says depends neither on the system policy nor on the
// policies of the cluster.
type reads struct {
	mu sync.Mutex
	// before are those of the compiler before, or those that were known when there were too many: what is not asked for
	// since is forgotten with the next ones.
	known, before map[version]readPolicy
}

// version is a version of a policy: its spec changes only together with its generation.
type version struct {
	uid        types.UID
	generation int64
}

type readPolicy struct {
	compiled compiled
	problems []Problem
}

func newReads() *reads { return &reads{known: map[version]readPolicy{}} }

func (r *reads) next() *reads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &reads{known: map[version]readPolicy{}, before: r.known}
}

func (r *reads) get(v version) (readPolicy, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.known[v]
	if !ok {
		if found, ok = r.before[v]; ok {
			r.lockedPut(v, found)
		}
	}
	return found, ok
}

func (r *reads) put(v version, read readPolicy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lockedPut(v, read)
}

func (r *reads) lockedPut(v version, read readPolicy) {
	if len(r.known) >= maxReads {
		r.known, r.before = map[version]readPolicy{}, r.known
	}
	r.known[v] = read
}

// readOnce is like read, for a version of a policy that may have been read before.
func (c *Compiler) readOnce(policy v1alpha1.ImagePolicy) (compiled, []Problem) {
	if policy.UID == "" {
		return c.read(policy.Name, policy.Spec)
	}
	v := version{policy.UID, policy.Generation}
	read, ok := c.reads.get(v)
	if !ok {
		read.compiled, read.problems = c.read(policy.Name, policy.Spec)
		c.reads.put(v, read)
	}
	// The caller adds problems that depend on the cluster.
	return read.compiled, slices.Clip(read.problems)
}
