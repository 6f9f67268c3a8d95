package files

import (
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
)

// state is the state of all files. Only [state.scan] changes it.
type state struct {
	config    Config
	directory directory
	system    *record
	cluster   cluster
	// namespaces are the records of the namespaces' documents.
	namespaces map[string]*record
	keys       keys
	// ignored are the names in the directory that were reported.
	ignored map[string]bool
	marker  marker
	// clusterMarker records that there was a cluster document.
	clusterMarker marker
}

func newState(config Config) *state {
	return &state{
		config:        config,
		system:        &record{},
		marker:        marker{file: config.StateFile, path: config.Directory},
		clusterMarker: marker{file: config.ClusterStateFile, path: config.Cluster},
	}
}

// result is the result of a scan.
type result struct {
	// changed are the namespaces whose source changed; the empty name stands for the system policy, for the cluster
	// document, and for the directory.
	changed []string
	// ignored are new names in the directory that are not documents.
	ignored []string
	// warnings are the warnings about changed valid documents.
	warnings []warning
	// missingSince is when the first document that is still in force was found missing. unsettled reports whether a file
	// was read so soon after it was written that it must be read again. retry reports whether there is a problem that may
	// end without an event.
	missingSince     time.Time
	unsettled, retry bool
}

// scan checks every file, and reads and parses those that changed.
func (s *state) scan(now time.Time) result {
	reads := &keyReads{now: now, known: s.keys, files: make(map[string]*keyRead)}
	dirty := reads.changed()
	var r result
	usable := s.list(&r)
	names := s.targets(usable)
	checks := s.checkFiles(names, reads, dirty)
	s.apply(names, checks, now, &r)
	s.keys = reads.update(s.namedKeys(), dirty)
	for _, key := range s.keys {
		r.unsettled = r.unsettled || (key.err == "" && !key.settled)
	}
	r.retry = r.retry || s.system.err() != nil || s.cluster.failed()
	return r
}

// list reads the directory and returns the namespaces that have a document, or nil if the directory must not be used.
func (s *state) list(r *result) map[string]bool {
	if s.config.Directory == "" {
		return nil
	}
	found := readDirectory(s.config.Directory)
	next := s.directory.next(found, len(s.namespaces), s.marker.remembered)
	if next.known != s.directory.known || (!next.known && !sameText(next.err, s.directory.err)) {
		r.changed = append(r.changed, "")
	}
	s.directory = next
	if next.err != nil {
		r.retry = true
		for _, record := range s.namespaces {
			record.missingSince = time.Time{} // Not known.
		}
		return nil
	}
	ignored := make(map[string]bool, len(found.ignored))
	for _, name := range found.ignored {
		ignored[name] = true
		if !s.ignored[name] {
			r.ignored = append(r.ignored, name)
		}
	}
	s.ignored = ignored
	return found.namespaces
}

// targets returns the files to check: the system policy, the cluster document and, if the directory can be used, the
// documents that are in it or were.
func (s *state) targets(usable map[string]bool) []target {
	targets := []target{{path: s.config.System, record: s.system}}
	if s.config.Cluster != "" {
		targets = append(targets, target{path: s.config.Cluster, record: s.cluster.record, cluster: true})
	}
	if usable == nil {
		return targets
	}
	for namespace, symlink := range usable {
		record := s.namespaces[namespace]
		targets = append(targets, target{
			namespace: namespace, path: s.pathOf(namespace), record: record, symlink: symlink, listed: true,
		})
	}
	for namespace, record := range s.namespaces {
		if _, listed := usable[namespace]; !listed {
			targets = append(targets, target{namespace: namespace, path: s.pathOf(namespace), record: record})
		}
	}
	return targets
}

func (s *state) pathOf(namespace string) string {
	return filepath.Join(s.config.Directory, namespace+suffix)
}

// apply updates the records by the results of the checks.
func (s *state) apply(targets []target, checks []fileCheck, now time.Time, r *result) {
	next := make(map[string]*record, len(targets))
	if s.directory.err != nil {
		next = s.namespaces
	}
	for i, target := range targets {
		if target.cluster {
			s.applyCluster(target, checks[i], now, r)
			continue
		}
		if target.record == nil && checks[i].state == missing {
			continue // It was deleted after the directory was listed.
		}
		record, changed := target.known().next(checks[i], now)
		changed = changed || target.record == nil
		switch {
		case target.namespace == "":
			s.system = record
		case record != nil:
			next[target.namespace] = record
		}
		if changed {
			r.changed = append(r.changed, target.namespace)
		}
		r.warn(target, record)
		r.schedule(record)
	}
	s.namespaces = next
	slices.Sort(r.changed)
	r.changed = slices.Compact(r.changed)
}

// warn records the warnings about a document that is new.
func (r *result) warn(of target, now *record) {
	if now != nil && now.document != nil && now.document != of.known().document {
		r.warnings = append(r.warnings, warningsOf(of.path, now.document)...)
	}
}

// schedule records whether a file needs another check soon.
func (r *result) schedule(record *record) {
	if record == nil {
		return
	}
	if !record.missingSince.IsZero() && (r.missingSince.IsZero() || record.missingSince.Before(r.missingSince)) {
		r.missingSince = record.missingSince
	}
	if record.readErr == nil && record.missingSince.IsZero() && !record.settled {
		r.unsettled = true
	}
}

// namedKeys returns the key files that any document names.
func (s *state) namedKeys() map[string]bool {
	named := make(map[string]bool)
	for _, record := range s.records() {
		for _, path := range record.keys {
			named[path] = true
		}
	}
	return named
}

// records returns all records: the system policy first, then the cluster document, then by namespace.
func (s *state) records() []*record {
	records := make([]*record, 0, len(s.namespaces)+2)
	records = append(records, s.system)
	if s.cluster.record != nil {
		records = append(records, s.cluster.record)
	}
	for _, namespace := range slices.Sorted(maps.Keys(s.namespaces)) {
		records = append(records, s.namespaces[namespace])
	}
	return records
}

// updateMarkers records on disk whether the directory contains documents, and whether there is a cluster document, if
// that is known.
func (s *state) updateMarkers() (directory, cluster error) {
	if s.directory.known && s.directory.err == nil {
		directory = s.marker.update(len(s.namespaces) > 0)
	}
	if s.cluster.known && s.cluster.err == nil {
		cluster = s.clusterMarker.update(s.cluster.record != nil)
	}
	return directory, cluster
}

// set returns a snapshot.
func (s *state) set() *policy.Set {
	set := &policy.Set{
		System:     s.system.source(s.config.System),
		Cluster:    s.cluster.source(&s.config),
		Canary:     s.config.Canary,
		Namespaces: make(map[string]policy.Source, len(s.namespaces)),
	}
	for namespace, record := range s.namespaces {
		set.Namespaces[namespace] = record.source(s.pathOf(namespace))
	}
	if !s.directory.known {
		set.Directory = s.directory.describe(&s.config)
	}
	return set
}
