package evidence

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// fetchFunc fetches the evidence of a manifest, as a [fetch.Fetcher] does.
type fetchFunc func(ctx context.Context, request fetch.Request) (*fetch.Result, error)

// finding is the result of a fetch that the registry answered.
type finding struct {
	// unchanged reports whether the sources are those that are known; nothing else is set then.
	unchanged bool
	store.Content
	// unfinished is why not everything was read, if more time would have sufficed; or nil.
	unfinished error
	// keepPrevious reports whether previous evidence stays in addition: something could not be read, or has disappeared.
	keepPrevious bool
}

// newFinding returns the result of a fetch as a finding.
func newFinding(r *fetch.Result) *finding {
	return &finding{
		unchanged: r.Unchanged, unfinished: r.Unfinished, keepPrevious: r.KeepPrevious,
		Content: store.Content{
			Files: r.Files, Sources: r.Sources, Predicates: r.Predicates, Detail: r.Detail, Unusable: r.Unusable,
			Lookaside: r.Lookaside, Satisfied: r.Wanted,
		},
	}
}

// merge returns what is to be stored of a finding, within the limits: together with previous files if they are to be
// kept, and with imported files always. No failure removes anything, and removing a signature does not revoke it. The
// set may be nil. The store adds the files that met a requirement.
func (f *finding) merge(stored *store.Set) store.Content {
	merged := f.Content
	if stored != nil && (f.keepPrevious || stored.HasImports()) {
		previous := stored.Content()
		fetched, imported := format.Split(previous.Files)
		if f.keepPrevious {
			merged.Files = slices.Concat(format.Without(fetched, f.Files), f.Files)
		}
		merged.Files, merged.ImportedAt = addImports(merged.Files, imported), previous.ImportedAt
	}
	merged.Files, merged.Omitted = format.Trim(merged.Files)
	return merged
}

// withImports adds files that were imported at a time, and leaves out what exceeds the limits then.
func withImports(c store.Content, files []format.File, at time.Time) store.Content {
	var omitted string
	c.Files, omitted = format.Trim(addImports(c.Files, files))
	// What was left out before still is.
	c.Omitted = cmp.Or(omitted, c.Omitted)
	c.ImportedAt = at
	return c
}

// addImports adds imported files, each of them once and those imported last at the end.
func addImports(files, added []format.File) []format.File {
	added = format.Unique(added)
	for i := range added {
		added[i].Imported = true
	}
	fetched, imported := format.Split(files)
	imported = slices.Concat(format.Without(imported, added), added)
	return slices.Concat(format.Without(fetched, imported), imported)
}
