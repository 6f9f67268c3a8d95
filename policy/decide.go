package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
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
	// Stored looks evidence up that is stored, and fetches none. It may be nil.
	Stored LookupFunc
	// Satisfied is told which evidence met a requirement, in each decision that no cache had. It may be nil.
	Satisfied SatisfiedFunc
	// Kinds is the table of the kinds of requirements, each with its judges.
	Kinds Kinds
	// NoIdentity reports whether a valid signature that names no repository is enough in a namespace. Nil: in none.
	NoIdentity func(namespace string) bool
	// Start runs a function in the background and reports whether it did. Its context ends when the owner ends. It is for
	// images of which so much is on the node that a callback cannot examine all of it. Nil: that is examined at once.
	Start func(func(context.Context)) bool
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
	standing standing
	volumes  *cache[volumeKey, []digest.Digest]
	limiter  limiter
	later    later
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
		standing: newStanding(), volumes: newVolumes(), limiter: newLimiter(), later: newLater(),
	}, nil
}

// Advice calls [Kinds.Advice] of the Decider's table.
func (d *Decider) Advice(v Verdict) string { return d.sources.Kinds.Advice(v) }

// Document returns the document of a namespace, or why it has none that can be used.
func (d *Decider) Document(namespace string) (*Document, error) {
	return d.sources.Documents().For(namespace)
}

// Decide answers a question. There is no error in addition to a verdict: failures deny.
func (d *Decider) Decide(ctx context.Context, q Question) (verdict Verdict) {
	d.decide(ctx, &q, nil, &verdict)
	return verdict
}

// decide sets the verdict. Questions and verdicts are large, and copying them twice takes a third of the time of an
// answer that is cached.
func (d *Decider) decide(ctx context.Context, q *Question, record *recorder, verdict *Verdict) {
	// The zero verdict denies, so a panic can only deny; this function adds a reason, and the daemon continues.
	defer func() {
		if cause := recover(); cause != nil {
			*verdict = d.panicked(cause)
		}
	}()
	document, err := d.sources.Documents().For(q.Namespace)
	if err != nil {
		*verdict = Denial(err)
		return
	}
	// The generations are read before anything that depends on them: an answer that a change overtakes is cached under
	// the old numbers, and compared anew.
	generations := d.generations()
	if known := d.recall(q, document, generations); known != nil {
		record.cached()
		*verdict = known.verdict
		return
	}
	found := d.decision(*q, document, record).audited(ctx)
	d.remember(*q, document, generations, found)
	*verdict = found.verdict
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

// image returns the image that runs, and checks that it is the one in the question.
func (d *Decider) image(ctx context.Context, q Question) (*Image, error) {
	image, err := d.sources.Image(ctx, q)
	if err != nil {
		return nil, err
	}
	if image == nil || len(image.Manifests) == 0 && image.Rest == nil {
		return nil, refuse(Internal, "image %s has no manifest", q.Config)
	}
	if image.Config != q.Config {
		return nil, refuse(Internal, "image %s was requested and %s was returned", q.Config, image.Config)
	}
	return image, nil
}

// refetch requests the evidence from the registry again if it was not sufficient: if somebody has signed the image by
// then, the next attempt admits it.
func (d *Decider) refetch(image *Image, unmet []Check) {
	if d.sources.Refetch == nil {
		return
	}
	for _, check := range unmet[:min(len(unmet), MaxManifests)] {
		manifests := d.manifestsFor(image, check.Reference)
		check.Manifests = manifests[:min(len(manifests), MaxManifests)]
		d.sources.Refetch(check)
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
