package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distribution/reference"
)

// Sources provide the data for the decisions of a [Decider].
type Sources struct {
	// Documents returns the current snapshot of all documents.
	Documents func() *Set
	// Image returns the image that runs.
	Image ImageFunc
	// Confirm requests a comparison of the data about a question's image with the runtime, in the background; the next
	// Image for that question is then confirmed. Nil: images are always confirmed.
	Confirm func(Question)
	// Lookup and Refetch return and refresh the evidence. Refetch may be nil.
	Lookup  LookupFunc
	Refetch RefetchFunc
	// Satisfied is told which evidence met a requirement, in each decision that no cache had. It may be nil.
	Satisfied SatisfiedFunc
	// Kinds is the table of the kinds of requirements, each with its judges.
	Kinds Kinds
	// NoIdentity reports whether a valid signature that names no repository is enough in a namespace. Nil: in none.
	NoIdentity func(namespace string) bool
	// Panicked is called for panics in a decision, which denies as [Internal]. It may be nil.
	Panicked PanicFunc
	// Generations, at most two, return numbers that change whenever an answer of Image or Lookup may change. Without any,
	// answers are not cached.
	Generations []func() uint64
}

const maxGenerations = 2

// Limits of the caches: a node runs at most some hundred pods, with a policy and a few containers each. Bytes are
// limited separately, because hostile signatures determine the length of a finding's detail.
const (
	maxAnswers      = 8192
	maxAnswerBytes  = 8 << 20
	maxFindings     = 32768
	maxFindingBytes = 16 << 20
)

// Decider answers questions. Create one with [NewDecider].
type Decider struct {
	sources  Sources
	answers  *cache[Question, answer]
	findings *cache[findingKey, judgement]
	limiter  limiter
}

// NewDecider returns a Decider with empty caches.
func NewDecider(sources Sources) (*Decider, error) {
	if sources.Documents == nil || sources.Image == nil || sources.Lookup == nil {
		return nil, errors.New("documents, image or lookup is missing")
	}
	if err := sources.Kinds.validate(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(sources.Generations, func(generation func() uint64) bool { return generation == nil }) {
		return nil, errors.New("a generation is nil")
	}
	if len(sources.Generations) > maxGenerations {
		return nil, fmt.Errorf("more than %d generations", maxGenerations)
	}
	return &Decider{
		sources: sources,
		answers: newCache(maxAnswers, maxAnswerBytes,
			func(q Question, a answer) int { return a.size(q) }),
		findings: newCache(maxFindings, maxFindingBytes,
			func(key findingKey, j judgement) int { return j.size(key) }),
		limiter: newLimiter(),
	}, nil
}

// Advice calls [Kinds.Advice] of the Decider's table.
func (d *Decider) Advice(v Verdict) string { return d.sources.Kinds.Advice(v) }

// Decide answers a question. There is no error in addition to a verdict: failures deny.
func (d *Decider) Decide(ctx context.Context, q Question) (verdict Verdict) {
	// The zero verdict denies, so a panic can only deny; this function adds a reason, and the daemon continues.
	defer func() {
		if cause := recover(); cause != nil {
			verdict = d.panicked(cause)
		}
	}()
	document, err := d.sources.Documents().For(q.Namespace)
	if err != nil {
		return Denial(err)
	}
	generations := d.generations()
	if known, ok := d.answers.get(q); ok && known.document == document && known.generations == generations &&
		notExpired(known.expiresAt) {
		return known.verdict
	}
	// The generations were read before anything that depends on them: an answer that is overtaken by a change is cached
	// under the old numbers, and is never found.
	verdict, expiresAt := d.decide(ctx, q, document, nil)
	if verdict.Admitted() && len(d.sources.Generations) > 0 {
		cached := verdict
		cached.Cached = true
		d.answers.put(q, answer{document, generations, expiresAt, cached})
	}
	return verdict
}

// panicked returns the verdict of a decision that panicked, also if the Decider is nil.
func (d *Decider) panicked(cause any) Verdict {
	if d == nil {
		return panicked(nil, cause)
	}
	return panicked(d.sources.Panicked, cause)
}

func (d *Decider) generations() (numbers [maxGenerations]uint64) {
	for i, generation := range d.sources.Generations {
		numbers[i] = generation()
	}
	return numbers
}

// decide makes a decision that is not cached: it finds the image and the references under which it may be judged, and
// evaluates each of them. The recorder may be nil.
func (d *Decider) decide(
	ctx context.Context, q Question, document *Document, record *recorder,
) (verdict Verdict, expiresAt time.Time) {
	record.document(document)
	image, refs, err := d.candidates(ctx, q)
	if err != nil {
		verdict = Denial(err).withDocument(document)
		record.denied(verdict)
		return d.confirmed(q, image, verdict, record), time.Time{}
	}
	var best Verdict
	var insufficient []reference.Named
	noIdentity := d.sources.NoIdentity != nil && d.sources.NoIdentity(q.Namespace)
	for _, ref := range refs {
		scope, requirements := document.Select(ref)
		if err := image.obtainedFor(scope, ref); err != nil {
			verdict = Denial(err).withDocument(document)
			record.scope(scope, ref.String())
			record.denied(verdict)
			best = best.Or(verdict)
			continue
		}
		evaluation := d.evaluation(image, ref)
		evaluation.noIdentity, evaluation.recorder = noIdentity, record
		verdict, expiresAt, sufficient := evaluation.evaluate(ctx, scope, requirements)
		verdict.Document = document.Name
		if verdict.Admitted() {
			return verdict, expiresAt
		}
		if len(document.Dead) > 0 {
			verdict = verdict.withMissedScopes(document, ref, record)
		}
		if !sufficient {
			insufficient = append(insufficient, ref)
		}
		best = best.Or(verdict)
	}
	if best.Reason != Pending {
		d.refetch(image, insufficient)
	}
	return d.confirmed(q, image, best, record), time.Time{}
}

// candidates returns the image of a question, and the references under which it may be judged. With an error, the image
// is nil unless it was found.
func (d *Decider) candidates(ctx context.Context, q Question) (*Image, []reference.Named, error) {
	if err := q.Validate(); err != nil {
		return nil, nil, err
	}
	image, err := d.image(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	refs, err := candidates(q, image)
	return image, refs, err
}

// image returns the image that runs, and checks that it is the one in the question.
func (d *Decider) image(ctx context.Context, q Question) (*Image, error) {
	image, err := d.sources.Image(ctx, q)
	if err != nil {
		return nil, err
	}
	if image == nil || len(image.Manifests) == 0 {
		return nil, refuse(Internal, "image %s has no manifest", q.Config)
	}
	if image.Config != q.Config {
		return nil, refuse(Internal, "image %s was requested and %s was returned", q.Config, image.Config)
	}
	return image, nil
}

// refetch requests the evidence from the registry again if it was not sufficient: if somebody has signed the image by
// then, the next attempt admits it.
func (d *Decider) refetch(image *Image, refs []reference.Named) {
	if d.sources.Refetch == nil {
		return
	}
	for _, ref := range refs {
		d.sources.Refetch(image.manifestsFor(ref), ref)
	}
}

// confirmed turns a refusal into [Pending] while the data about the image may be older than the runtime's: a pull can
// be over, and its container be created, before the event of that pull arrives. The image may be nil if none was found.
func (d *Decider) confirmed(q Question, image *Image, verdict Verdict, record *recorder) Verdict {
	if image == nil || image.Confirmed || d.sources.Confirm == nil || verdict.Reason == Pending {
		return verdict
	}
	d.sources.Confirm(q)
	verdict.Detail = fmt.Sprintf("not confirmed with the runtime yet: %s: %s",
		verdict.Reason, verdict.Detail)
	verdict.Reason = Pending
	record.denied(verdict)
	return verdict
}

func (v Verdict) withDocument(document *Document) Verdict {
	v.Document = document.Name
	return v
}

// withMissedScopes adds to a refusal the scopes that were probably meant for the reference and can never match it.
func (v Verdict) withMissedScopes(document *Document, ref reference.Named, record *recorder) Verdict {
	missed := document.missedScopes(scopesOf(ref))
	if missed != "" {
		record.denied(Verdict{Reason: v.Reason, Detail: missed})
	}
	v.Detail = Finding{Detail: v.Detail}.appendDetail(missed)
	return v
}
