package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign/countersign/policy"
)

// cluster is the state of the cluster document. The zero value stands for a path that was never read.
type cluster struct {
	// known reports whether this process has found the document, or found that there is none.
	known bool
	// record is the state of the document, or nil if there is none.
	record *record
	// parent is the directory in which the document was last found.
	parent directoryID
	// err is why it is unknown whether there is a document.
	err error
}

var (
	errClusterGone  = errors.New("it does not exist, but did before; a mount may be missing")
	errClusterPlace = errors.New("it does not exist, nor does the directory that held it; a mount may be missing")
)

// clusterParent returns the directory of the cluster document, or nil if it cannot be read.
func clusterParent(path string) *directoryID {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil
	}
	id := identityOf(info).directoryID()
	return &id
}

// next returns the state after a check of the file; remembered reports whether an earlier process recorded a document.
// A missing file is accepted if there was none before, or if the directory that held it is still there: then it was
// removed.
func (c cluster) next(check fileCheck, parent *directoryID, remembered func() bool, now time.Time) (cluster, bool) {
	n := c
	changed := false
	switch {
	case check.state != missing:
		old := c.record
		if old == nil {
			old = &record{}
		}
		n = cluster{known: true, parent: c.parent}
		n.record, changed = old.next(check, now)
		if parent != nil {
			n.parent = *parent
		}
		changed = changed || c.record == nil
	case c.record == nil && !c.known && remembered():
		n.err = errClusterGone
		changed = c.err == nil
	case c.record != nil && (parent == nil || *parent != c.parent):
		n.err = errClusterPlace
		kept := *c.record
		kept.missingSince = time.Time{} // Not known.
		n.record = &kept
	case c.record != nil:
		n.err = nil
		n.record, changed = c.record.nextMissing(now)
	default:
		n.known, n.err = true, nil
		changed = c.err != nil
	}
	return n, changed
}

// failed reports whether there is a problem that may end without an event.
func (c cluster) failed() bool {
	return c.err != nil || c.record != nil && c.record.err() != nil
}

// source returns what a [policy.Set] contains: nothing if there is no document, and an error if that is unknown.
func (c cluster) source(config *Config) policy.Source {
	switch {
	case c.record != nil:
		return c.record.source(config.Cluster)
	case c.err != nil:
		return policy.Source{Name: config.Cluster, Err: c.describe(config)}
	default:
		return policy.Source{}
	}
}

// describe returns why it is unknown whether there is a document, in one line.
func (c cluster) describe(config *Config) error {
	if c.err == nil {
		return nil
	}
	fix := "remove " + config.ClusterStateFile
	if c.record != nil {
		fix += " and restart"
	}
	return fmt.Errorf("reading cluster policy %s: %w, or if there is meant to be none %s", config.Cluster, c.err, fix)
}

// applyCluster updates the state of the cluster document by the result of a check.
func (s *state) applyCluster(of target, check fileCheck, now time.Time, r *result) {
	next, changed := s.cluster.next(check, clusterParent(of.path), s.clusterMarker.remembered, now)
	if changed {
		r.changed = append(r.changed, "")
	}
	s.cluster = next
	r.warn(of, next.record)
	r.schedule(next.record)
}
