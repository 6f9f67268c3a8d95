package evidence

import (
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
		Content: store.Content{Files: r.Files, Sources: r.Sources, Detail: r.Detail, Unusable: r.Unusable},
	}
}

// mergePrevious returns what was found together with what is stored: previous evidence, if it is to be kept, and
// imported evidence always. No failure removes anything, and the removal of a signature is no revocation.
func (f *finding) mergePrevious(stored *store.Set) store.Content {
	merged := f.Content
	if !f.keepPrevious && !stored.HasImports() {
		return merged
	}
	previous := stored.Content()
	fetched, imported := format.Split(previous.Files)
	if f.keepPrevious {
		merged.Files, merged.Omitted = format.Trim(slices.Concat(format.Without(fetched, f.Files), f.Files))
	}
	if stored.HasImports() {
		merged = withImports(merged, imported, previous.ImportedAt)
	}
	return merged
}

// withImports adds files that were imported at a time, each of them once and those imported last at the end, and leaves
// out what exceeds the limits then.
func withImports(c store.Content, files []format.File, at time.Time) store.Content {
	c.ImportedAt = at
	added := format.Unique(files)
	for i := range added {
		added[i].Imported = true
	}
	fetched, imported := format.Split(c.Files)
	imported = slices.Concat(format.Without(imported, added), added)
	c.Files, c.Omitted = format.Trim(slices.Concat(format.Without(fetched, imported), imported))
	return c
}
