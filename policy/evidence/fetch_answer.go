package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// answer is what one source of signatures has, or why that is not known.
type answer struct {
	// what was asked for, in words.
	what string
	// source has no digest where there is nothing.
	source source
	// same says that this is what was read before.
	same bool
	// read reads what is there; nil: there is nothing to read.
	read func(context.Context) error
	content
	// detail says what of it was left out; partial that it is worth trying again; gone that there was something.
	detail        string
	partial, gone bool
	// unusable says that there is something, none of which can be read as a signature or a bundle, and never will.
	unusable bool
	err      error
}

// has reports whether there is a signature or a bundle among answers, or what is known to be.
func has(answers []*answer) bool {
	return slices.ContainsFunc(answers, func(a *answer) bool {
		return !a.empty() || a.same && a.source.Digest != ""
	})
}

// same reports whether all that there is, is what was read before.
func same(answers []*answer) bool {
	return !slices.ContainsFunc(answers, func(a *answer) bool { return a.err != nil || !a.same })
}

// failures returns why some answers are not known, each reason once and in one line; or nil.
func failures(answers []*answer) error {
	var all []error
	var first *registry.FetchError
	for _, a := range answers {
		if a.err == nil {
			continue
		}
		another, ok := errors.AsType[*registry.FetchError](a.err)
		if ok && first != nil && another.Host == first.Host && another.Problem == first.Problem {
			continue
		}
		if ok && first == nil {
			first = another
		}
		all = append(all, a.err)
	}
	return registry.JoinErrors(all)
}

// conclude makes a finding of answers, or an error. What was found counts, even where another source could not be
// asked; but that there is nothing is for all of them to say, and that nothing has changed, too.
func conclude(answers []*answer) (*finding, error) {
	if same(answers) && has(answers) {
		return &finding{unchanged: true}, nil
	}
	f := &finding{}
	var details []string
	if omitted := fit(answers); omitted > 0 {
		details = append(details, fmt.Sprintf("%d signatures were left out, for %d are kept", omitted, format.MaxFiles))
	}
	fresh := false
	for _, a := range answers {
		// The same signature can be under the tag and among the referrers.
		f.files = append(format.Without(f.files, a.files), a.files...)
		fresh = fresh || !a.same && !a.empty()
		s := a.source
		s.Partial = a.partial || a.err != nil
		f.sources = append(f.sources, s)
		f.stays = f.stays || s.Partial || a.gone
		f.unusable = f.unusable || a.unusable
		if a.detail != "" {
			details = append(details, a.detail)
		}
	}
	failure := failures(answers)
	if failure != nil && !fresh {
		return nil, failure
	}
	if failure != nil {
		details = append(details, failure.Error())
	}
	if _, ok := errors.AsType[*UnfinishedError](failure); ok {
		f.unfinished = failure
	}
	f.detail = strings.Join(details, "; ")
	return f, nil
}

// fit leaves out the oldest signatures where the sources together have more than are kept: of those who have most.
func fit(answers []*answer) (omitted int) {
	for ; ; omitted++ {
		total, most := 0, answers[0]
		for _, a := range answers {
			total += a.count(format.KindSignature)
			if a.count(format.KindSignature) > most.count(format.KindSignature) {
				most = a
			}
		}
		if total <= format.MaxFiles {
			return omitted
		}
		oldest := slices.IndexFunc(most.files, func(f format.File) bool { return f.Kind == format.KindSignature })
		most.files = slices.Delete(most.files, oldest, oldest+1)
	}
}

// count returns how many files are of one kind.
func (c content) count(kind format.Kind) int { return format.Count(c.files, kind) }

// add adds a file.
func (c *content) add(kind format.Kind, raw []byte) {
	c.files = append(c.files, format.File{Kind: kind, Bytes: raw})
}

// placed is a question at one host.
type placed struct {
	*question
	host *registry.Host
}

// peek asks for the digest of what there is, and reads it if it is new, by half of the time that is left: the other
// half is for the other source.
func (p *placed) peek(ctx context.Context, of reference.Named, ask func(context.Context, *answer) error) *answer {
	ctx, cancel := half(ctx)
	defer cancel()
	a := &answer{what: of.String(), source: source{Reference: of.String(), Host: p.host.Host}}
	if of == reference.Named(p.subject) {
		a.what = "the referrers of " + a.what
	}
	if err := ask(ctx, a); err != nil {
		a.err, a.read = p.explain(ctx, a.what, err), nil
		return a
	}
	a.compare(p.known)
	if !a.same {
		p.read(ctx, a)
	}
	return a
}

// explain returns an error as an operator wants to read it.
func (p *placed) explain(ctx context.Context, what string, err error) error {
	explained := p.host.Explain(ctx, what, err)
	if unfinished, ok := errors.AsType[*UnfinishedError](err); ok && !explained.Final {
		explained.Problem = unfinished.Error()
	}
	return explained
}

// final reports whether a host need not be asked anything else.
func final(err error) bool {
	failed, ok := errors.AsType[*registry.FetchError](err)
	return ok && failed.Final
}

// compare compares what there is with what was read before.
func (a *answer) compare(known map[string]digest.Digest) {
	before := known[a.source.Reference]
	a.same = a.err == nil && before == a.source.Digest
	a.gone = a.err == nil && before != "" && a.source.Digest == ""
}

// read reads what there is, once, and notes what keeps it from being read.
func (p *placed) read(ctx context.Context, a *answer) {
	if a.read == nil {
		return
	}
	if err := a.read(ctx); err != nil {
		a.err = p.explain(ctx, a.what, err)
	}
	a.read = nil
}

// half returns a context with half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}
