package evidence

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
)

// fetchFunc fetches the evidence of a manifest, as a [fetch.Fetcher] does.
type fetchFunc func(ctx context.Context, request fetch.Request) (*fetch.Result, error)

// content is what is stored of a manifest. Imported files are the last.
type content struct {
	files []format.File
	// importedAt is when something was last imported.
	importedAt time.Time
}

func (c content) empty() bool { return len(c.files) == 0 }

// finding is what was found when the registry was asked and had an answer.
type finding struct {
	// unchanged says that the sources are those that are known; nothing else is set then.
	unchanged bool
	// content is as it is to be kept. It is empty where the registry has nothing.
	content
	sources []format.SourceState
	detail  string
	// unusable says that some source has something that never can be read, and no source anything else.
	unusable bool
	// omitted says what there was no room for.
	omitted string
	// unfinished is why not all was read where only the time was lacking; or nil.
	unfinished error
	// fetchedAt is when the registry answered; zero: it was not asked.
	fetchedAt time.Time
	// stays says that what was held before stays in addition to it: not all that there is could be read, or some is gone.
	stays bool
}

// findingOf returns the result of a fetch as a finding.
func findingOf(r *fetch.Result) *finding {
	return &finding{
		unchanged: r.Unchanged, content: content{files: r.Files}, sources: r.Sources, detail: r.Detail,
		unusable: r.Unusable, unfinished: r.Unfinished, stays: r.KeepPrevious,
	}
}

func (f *finding) record(k key) record {
	r := record{
		Version:    recordVersion,
		Manifest:   k.manifest,
		Repository: k.repository,
		Outcome:    "none",
		Detail:     shorten(f.detail),
		Omitted:    shorten(f.omitted),
		Fetched:    f.fetchedAt,
		Imported:   f.importedAt,
		Sources:    f.sources,
	}
	if f.empty() {
		r.Unusable = f.unusable
		return r
	}
	r.Outcome = "found"
	for _, stored := range f.files {
		list := r.list(stored.Kind)
		*list = append(*list, fileOf(stored))
	}
	return r
}

// withRest returns what was found with what is held and was not found this time: no failure takes anything away, and
// nothing is revoked by being removed.
func (h *held) withRest(f *finding) *finding {
	before := h.finding()
	joined := *f
	old, _ := format.Split(before.files)
	joined.files, joined.omitted = format.Trim(slices.Concat(format.Without(old, f.files), f.files))
	return &joined
}

// same reports whether two records say the same of the same files, wherever and whenever these were read.
func (r *record) same(other *record) bool {
	return r.Outcome == other.Outcome && r.Unusable == other.Unusable &&
		r.Detail == other.Detail && r.Omitted == other.Omitted &&
		slices.Equal(r.Signatures, other.Signatures) && slices.Equal(r.Bundles, other.Bundles)
}

// shorten cuts a text to what a record may hold, and makes one line of it.
func shorten(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail-len("…")], "") + "…"
}
