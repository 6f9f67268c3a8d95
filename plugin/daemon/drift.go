package daemon

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/countersign/countersign/plugin/internal/audit"
)

// maxShownDrift limits the containers in drift that a status lists.
const maxShownDrift = 200

// Drifted is a running container that the policy of its namespace refuses, where it is enforced.
type Drifted struct {
	ContainerID string `json:"container_id"`
	Namespace   string `json:"namespace"`
	Pod         string `json:"pod"`
	Container   string `json:"container"`
	// Volume is the mount point of the image volume that is refused; empty: it is the container's own image.
	Volume string `json:"volume,omitempty"`
	Reason string `json:"reason"`
	// Since is when it was first found.
	Since time.Time `json:"since"`
}

// driftKey is a container, and one of its image volumes or none.
type driftKey struct{ container, volume string }

// drift tracks the containers in drift. It is the only place that knows them.
type drift struct {
	mu         sync.Mutex
	containers map[driftKey]Drifted
	// counted is called with the number of entries after a change, and found with each new one. Both are called with the
	// lock.
	counted func(int)
	found   func()
}

func newDrift(counted func(int), found func()) *drift {
	return &drift{containers: make(map[driftKey]Drifted), counted: counted, found: found}
}

// record follows the record of a decision about a running container. It reports whether the container is newly in
// drift. A verdict that is not final changes nothing: a failure is not a verdict.
func (d *drift) record(r audit.Record) (isNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := driftKey{r.ContainerID, r.Volume}
	before, known := d.containers[key]
	switch {
	case r.Drift():
		d.containers[key] = Drifted{
			ContainerID: r.ContainerID, Namespace: r.Question.Namespace, Pod: r.Pod, Container: r.Container,
			Volume: r.Volume, Reason: string(r.Verdict.Reason), Since: cmp.Or(before.Since, r.Time),
		}
		if !known {
			d.found()
		}
	case r.Stage != audit.Running:
		return false
	case r.Verdict.Admitted() && r.Volume == "":
		// An admitted container has no refused volume either: a refusal is about one of its images.
		d.remove(func(k driftKey) bool { return k.container == r.ContainerID })
	case r.Verdict.Admitted() || r.Mode == audit.Audit:
		delete(d.containers, key)
	}
	d.counted(len(d.containers))
	return r.Drift() && !known
}

// knows reports whether a container is in drift for a reason.
func (d *drift) knows(id, volume, reason string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.containers[driftKey{id, volume}].Reason == reason
}

// has reports whether a container is in drift.
func (d *drift) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.containers {
		if key.container == id {
			return true
		}
	}
	return false
}

// onlyRunning removes containers that do not run any more.
func (d *drift) onlyRunning(runs func(id string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(func(k driftKey) bool { return !runs(k.container) })
	d.counted(len(d.containers))
}

func (d *drift) remove(unwanted func(driftKey) bool) {
	for key := range d.containers {
		if unwanted(key) {
			delete(d.containers, key)
		}
	}
}

// list returns the containers in drift, those that are in drift for longest first.
func (d *drift) list() []Drifted {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Drifted, 0, len(d.containers))
	for _, one := range d.containers {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Drifted) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ContainerID, b.ContainerID), cmp.Compare(a.Volume, b.Volume))
	})
	return all
}

// ids returns the IDs of the first containers in drift, each once, sorted.
func ids(list []Drifted) []string {
	found := []string{}
	for _, one := range list {
		found = append(found, one.ContainerID)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
