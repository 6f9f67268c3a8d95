package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distribution/reference"
)

// Sources are where a [Decider] learns what it decides on.
type Sources struct {
	// Documents returns the present snapshot of all documents.
	Documents func() *Set
	// Image finds what runs.
	Image ImageFunc
	// Confirm has the facts about a question's image compared with the runtime, in the background; the next Image for
	// that question is then confirmed. Nil: images are always confirmed.
	Confirm func(Question)
	// Kept and Ask are the evidence. Ask may be nil.
	Kept KeptFunc
	Ask  AskFunc
	// Kinds is the table of the kinds of requirements, each with its judges.
	Kinds Kinds
	// Nameless reports whether a valid signature that names no repository is enough in a namespace. Nil: in none.
	Nameless func(namespace string) bool
	// Panicked is told of panics in a decision, which denies as [Internal]. It may be nil.
	Panicked PanicFunc
	// Generations, at most two, return numbers that change whenever an answer of Image or Kept could. With none,
	// answers are not remembered.
	Generations []func() uint64
}

const maxGenerations = 2

// Bounds of what is remembered: a node runs at most some hundred pods, with a policy and a handful of containers each.
// Bytes are bounded apart, for the detail of a finding is as long as hostile signatures make it.
const (
	rememberedAnswers      = 8192
	rememberedAnswerBytes  = 8 << 20
	rememberedFindings     = 32768
	rememberedFindingBytes = 16 << 20
)

// Decider answers questions. Make one with [NewDecider].
type Decider struct {
	sources  Sources
	answers  *memory[Question, answer]
	findings *memory[findingKey, Finding]
	turns    turns
}

// NewDecider returns a Decider that remembers nothing yet.
func NewDecider(sources Sources) (*Decider, error) {
	if sources.Documents == nil || sources.Image == nil || sources.Kept == nil {
		return nil, errors.New("a decider needs documents, images and evidence")
	}
	if err := sources.Kinds.validate(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(sources.Generations, func(generation func() uint64) bool { return generation == nil }) {
		return nil, errors.New("a decider cannot ask a generation that is nil")
	}
	if len(sources.Generations) > maxGenerations {
		return nil, fmt.Errorf("a decider takes at most %d generations", maxGenerations)
	}
	return &Decider{
		sources: sources,
		answers: newMemory(rememberedAnswers, rememberedAnswerBytes,
			func(q Question, a answer) int { return a.size(q) }),
		findings: newMemory(rememberedFindings, rememberedFindingBytes,
			func(key findingKey, f Finding) int { return f.size(key) }),
		turns: newTurns(),
	}, nil
}

// Advice is [Kinds.Advice] by the table that the Decider was given.
func (d *Decider) Advice(v Verdict) string { return d.sources.Kinds.Advice(v) }

// Decide answers a question. There is no error beside a verdict: what goes wrong denies.
func (d *Decider) Decide(ctx context.Context, q Question) (verdict Verdict) {
	// The zero verdict denies, so a panic can only deny; this gives it a reason, and keeps the daemon alive.
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
		lasts(known.until) {
		return known.verdict
	}
	// The generations were read before anything that depends on them: an answer that a change overtakes is
	// remembered under the old numbers, and so never found again.
	verdict, until := d.decide(ctx, q, document)
	if verdict.Admitted() && len(d.sources.Generations) > 0 {
		remembered := verdict
		remembered.Remembered = true
		d.answers.put(q, answer{document, generations, until, remembered})
	}
	return verdict
}

// panicked is the verdict of a decision that ended in a panic, of a nil Decider too.
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

// decide works an answer out: the image, the references it may be judged under, then each of these.
func (d *Decider) decide(ctx context.Context, q Question, document *Document) (Verdict, time.Time) {
	if err := q.Validate(); err != nil {
		return Denial(err).under(document), time.Time{}
	}
	image, err := d.image(ctx, q)
	if err != nil {
		return Denial(err).under(document), time.Time{}
	}
	refs, err := candidates(q, image)
	if err != nil {
		return d.confirmed(q, image, Denial(err).under(document)), time.Time{}
	}
	var best Verdict
	var lacking []reference.Named
	nameless := d.sources.Nameless != nil && d.sources.Nameless(q.Namespace)
	for _, ref := range refs {
		scope, requirements := document.Select(ref)
		if err := image.obtainedFor(scope, ref); err != nil {
			best = best.Or(Denial(err).under(document))
			continue
		}
		hearing := d.hearing(image, ref, nameless)
		verdict, until, enough := hearing.judge(ctx, scope, requirements)
		verdict.Document = document.Name
		if verdict.Admitted() {
			return verdict, until
		}
		if len(document.Dead) > 0 {
			verdict.Detail = Finding{Detail: verdict.Detail}.with(document.missedScopes(scopesOf(ref)))
		}
		if !enough {
			lacking = append(lacking, ref)
		}
		best = best.Or(verdict)
	}
	if best.Reason != Pending {
		d.askAgain(image, lacking)
	}
	return d.confirmed(q, image, best), time.Time{}
}

// image finds what runs, and holds what it is given to what it asked for.
func (d *Decider) image(ctx context.Context, q Question) (*Image, error) {
	image, err := d.sources.Image(ctx, q)
	if err != nil {
		return nil, err
	}
	if image == nil || len(image.Manifests) == 0 {
		return nil, refuse(Internal, "image %s was found without a manifest", q.Config)
	}
	if image.Config != q.Config {
		return nil, refuse(Internal, "image %s was asked for and %s was found", q.Config, image.Config)
	}
	return image, nil
}

// askAgain has the registry asked once more when what it gave did not suffice: signing, or signing again, is then
// enough for the next try.
func (d *Decider) askAgain(image *Image, refs []reference.Named) {
	if d.sources.Ask == nil {
		return
	}
	for _, ref := range refs {
		d.sources.Ask(image.manifestsFor(ref), ref)
	}
}

// confirmed holds a refusal back while the facts it rests on may lag behind the runtime: a pull can be over, and the
// container be asked for, before the event of that pull has been heard.
func (d *Decider) confirmed(q Question, image *Image, verdict Verdict) Verdict {
	if image.Confirmed || d.sources.Confirm == nil || verdict.Reason == Pending {
		return verdict
	}
	d.sources.Confirm(q)
	verdict.Detail = fmt.Sprintf("not final before it is confirmed with the runtime: %s: %s",
		verdict.Reason, verdict.Detail)
	verdict.Reason = Pending
	return verdict
}

func (v Verdict) under(document *Document) Verdict {
	v.Document = document.Name
	return v
}

// Or returns that of two refusals after which a retry is more likely to be admitted, or the first where there is no
// telling; the zero Verdict is none. Where several references or images are judged and none is admitted, that is what
// is reported, so that nobody gives up on what is about to be admitted.
func (v Verdict) Or(other Verdict) Verdict {
	if v.Reason == "" || other.Reason != "" && other.hopes() > v.hopes() {
		return other
	}
	return v
}

// hopes orders refusals as the findings that they rest on.
func (v Verdict) hopes() int { return Finding{Reason: v.Reason, Nameless: v.Nameless}.hopes() }

// hopes orders reasons by how likely it is that asking again brings another answer. Of several refusals the most
// hopeful is reported, so that nobody gives up on a container that is about to be admitted.
func (r Reason) hopes() int {
	switch r {
	case Pending:
		return 5
	case Unavailable:
		return 4
	case Internal:
		return 3
	case InvalidPolicy:
		return 2
	case Rejected:
		return 1
	default:
		return 0
	}
}
