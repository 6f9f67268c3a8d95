package files

import (
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
)

// state is what is known of all files. It changes by [state.scan] alone.
type state struct {
	config    Config
	directory directory
	system    *record
	// namespaces are the records of their documents.
	namespaces map[string]*record
	keys       keys
	ignored    []string
	marker     marker
}

func newState(config Config) *state {
	return &state{
		config: config,
		system: &record{},
		marker: marker{file: config.StateFile, directory: config.Directory},
	}
}

// result is what a scan came to.
type result struct {
	// changed are the namespaces whose source is another now; the system's is the empty one, and a change of the
	// directory's own is listed as that too.
	changed []string
	// ignored are names in the directory that were not seen there before and are no document's.
	ignored []string
	// warnings are what is to be said of documents that changed and load.
	warnings []warning
	// gone is when a document went missing that is still in force, and unsettled is whether a file was read so soon
	// after it was written that it must be read again. Trouble is what no notification may end.
	gone               time.Time
	unsettled, trouble bool
}

// scan looks at every file, and reads and parses what is new.
func (s *state) scan(now time.Time) result {
	reads := &keyReads{now: now, known: s.keys, files: make(map[string]*keyRead)}
	dirty := reads.changed()
	var r result
	usable := s.list(&r)
	names := s.names(usable)
	looks := s.look(names, reads, dirty)
	s.take(names, looks, now, &r)
	s.keys = reads.remember(s.namedKeys(), dirty)
	for _, key := range s.keys {
		r.unsettled = r.unsettled || (key.err == "" && !key.settled)
	}
	r.trouble = r.trouble || s.system.err() != nil
	return r
}

// list reads the directory and returns the namespaces that have a document in it; nil: it is not to be used.
func (s *state) list(r *result) map[string]bool {
	if s.config.Directory == "" {
		return nil
	}
	found := list(s.config.Directory)
	next := s.directory.next(found, len(s.namespaces), s.marker.held)
	if next.known != s.directory.known || (!next.known && !sameText(next.err, s.directory.err)) {
		r.changed = append(r.changed, "")
	}
	s.directory = next
	if next.err != nil {
		r.trouble = true
		for _, record := range s.namespaces {
			record.gone = time.Time{} // Nobody knows.
		}
		return nil
	}
	for _, name := range found.ignored {
		if !slices.Contains(s.ignored, name) {
			r.ignored = append(r.ignored, name)
		}
	}
	s.ignored = found.ignored
	return found.namespaces
}

// names lists whose files to look at: the system's, and where the directory is usable those that are in it or were.
func (s *state) names(usable map[string]bool) []target {
	targets := []target{{path: s.config.System, record: s.system}}
	if usable == nil {
		return targets
	}
	for namespace, symlink := range usable {
		record := s.namespaces[namespace]
		targets = append(targets, target{namespace, s.pathOf(namespace), record, symlink, true})
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

// take makes the next records from what was found.
func (s *state) take(targets []target, looks []look, now time.Time, r *result) {
	next := make(map[string]*record, len(targets))
	if s.directory.err != nil {
		next = s.namespaces
	}
	for i, target := range targets {
		if target.record == nil && looks[i].finding == missing {
			continue // It went between listing the directory and looking.
		}
		record, changed := target.known().next(looks[i], now)
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
		if changed && record != nil && record.document != nil && record.document != target.known().document {
			r.warnings = append(r.warnings, warningsOf(target.path, record.document)...)
		}
		r.note(record)
	}
	s.namespaces = next
	slices.Sort(r.changed)
	r.changed = slices.Compact(r.changed)
}

// note notes whether a record needs another look soon.
func (r *result) note(record *record) {
	if record == nil {
		return
	}
	if !record.gone.IsZero() && (r.gone.IsZero() || record.gone.Before(r.gone)) {
		r.gone = record.gone
	}
	if record.unread == nil && record.gone.IsZero() && !record.settled {
		r.unsettled = true
	}
}

// namedKeys are the key files that any document names.
func (s *state) namedKeys() map[string]bool {
	named := make(map[string]bool)
	for _, record := range s.records() {
		for _, path := range record.keys {
			named[path] = true
		}
	}
	return named
}

// records are all there are, the system's first, then by namespace.
func (s *state) records() []*record {
	records := make([]*record, 0, len(s.namespaces)+1)
	records = append(records, s.system)
	for _, namespace := range slices.Sorted(maps.Keys(s.namespaces)) {
		records = append(records, s.namespaces[namespace])
	}
	return records
}

// remember writes down whether the directory holds documents, where that is known.
func (s *state) remember() error {
	if s.directory.known && s.directory.err == nil {
		return s.marker.remember(len(s.namespaces) > 0)
	}
	return nil
}

// set returns a snapshot.
func (s *state) set() *policy.Set {
	set := &policy.Set{
		System:     s.system.source(s.config.System),
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
