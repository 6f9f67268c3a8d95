package fetch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// Result is what a fetch found where the registry had an answer.
type Result struct {
	// Unchanged reports whether the sources are those that are known; nothing else is set then.
	Unchanged bool
	// Files is empty where there is no evidence.
	Files []format.File
	// Wanted are the files beyond the limits that a caller waits for.
	Wanted  []format.File
	Sources []format.SourceState
	// Predicates are the predicate types of which attestations were looked for.
	Predicates []string
	// Detail describes what was skipped and what failed.
	Detail string
	// Lookaside names the lookaside that was asked, or reports that none is configured. It is empty if that is unknown.
	Lookaside string
	// Unusable reports whether some source has something that never can be read, and no source anything else.
	Unusable bool
	// Unfinished is why not all was read where only the time was lacking; or nil.
	Unfinished error
	// KeepPrevious reports whether what was found before stays: not all could be read, or some has disappeared.
	KeepPrevious bool
}

// sourceResult is what one source has, or why that is not known.
type sourceResult struct {
	Content
	source Source
	// state has no digest where there is nothing.
	state format.SourceState
	// unchanged reports whether the content is that of the last read, and removed whether there was content that no
	// longer exists.
	unchanged, removed bool
	// read reports whether the content was read.
	read bool
	err  error
}

// has reports whether there is a signature or a bundle among results, or what is known to be.
func has(results []*sourceResult) bool {
	return slices.ContainsFunc(results, func(r *sourceResult) bool {
		return len(r.Files) > 0 || r.unchanged && r.state.Digest != ""
	})
}

// same reports whether all that there is, is what was read before.
func same(results []*sourceResult) bool {
	return !slices.ContainsFunc(results, func(r *sourceResult) bool { return r.err != nil || !r.unchanged })
}

// failures returns why some results are not known, each reason once and in one line; or nil.
func failures(results []*sourceResult) error {
	var all []error
	var first *registry.FetchError
	for _, r := range results {
		if r.err == nil {
			continue
		}
		another, ok := errors.AsType[*registry.FetchError](r.err)
		if ok && first != nil && another.Host == first.Host && another.Problem == first.Problem {
			continue
		}
		if ok && first == nil {
			first = another
		}
		all = append(all, r.err)
	}
	return registry.JoinErrors(all)
}

// combine makes one result of those of all sources, or an error. What was found counts, even where another source could
// not be asked; but that there is nothing is for all of them to say, and that nothing has changed, too.
func combine(results []*sourceResult) (*Result, error) {
	if same(results) && has(results) {
		return &Result{Unchanged: true}, nil
	}
	f := &Result{}
	var details []string
	if omitted := trim(results); omitted > 0 {
		details = append(details, fmt.Sprintf("%d signatures were left out: the limit is %d", omitted, format.MaxFiles))
	}
	fresh := false
	for _, r := range results {
		// The same signature can be under the tag and among the referrers.
		f.Files = append(format.Without(f.Files, r.Files), r.Files...)
		f.Wanted = append(f.Wanted, r.Wanted...)
		fresh = fresh || !r.unchanged && len(r.Files)+len(r.Wanted) > 0
		s := r.state
		s.Partial = r.Partial || r.err != nil
		f.Sources = append(f.Sources, s)
		f.KeepPrevious = f.KeepPrevious || s.Partial || r.removed
		f.Unusable = f.Unusable || r.Unusable
		if r.Detail != "" {
			details = append(details, r.Detail)
		}
	}
	failure := failures(results)
	if failure != nil && !fresh {
		return nil, failure
	}
	if failure != nil {
		details = append(details, failure.Error())
	}
	if _, ok := errors.AsType[*UnfinishedError](failure); ok {
		f.Unfinished = failure
	}
	f.Detail = strings.Join(details, "; ")
	return f, nil
}

// trim drops the oldest signatures of the sources that have most, if the sources together have too many.
func trim(results []*sourceResult) (omitted int) {
	for ; ; omitted++ {
		total, most := 0, results[0]
		for _, r := range results {
			total += r.count(format.KindSignature)
			if r.count(format.KindSignature) > most.count(format.KindSignature) {
				most = r
			}
		}
		if total <= format.MaxFiles {
			return omitted
		}
		oldest := slices.IndexFunc(most.Files, func(f format.File) bool { return f.Kind == format.KindSignature })
		most.Files = slices.Delete(most.Files, oldest, oldest+1)
	}
}
