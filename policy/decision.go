package policy

import (
	"context"
	"slices"

	"github.com/distribution/reference"
)

// decision is the work on one question that no cache has answered.
type decision struct {
	*Decider
	question Question
	// named is the reference of the question, unless it is an image ID, and invalid the error of parsing it.
	named    reference.Named
	invalid  error
	document *Document
	// noIdentity reports whether a valid signature that names no repository is enough.
	noIdentity bool
	// onlyEnforced leaves out the requirements that are only audited, and audits reports whether there were any.
	onlyEnforced, audits bool
	// recorder collects the steps, or is nil.
	recorder *recorder
	// paced has a decision in the background leave the processor to others. It is nil in a callback.
	paced *Pacer
	// unknown counts the manifests of whose evidence nothing is known yet.
	unknown int
	// insufficient are the requirements that other evidence could meet. Their manifests are not set.
	insufficient []Check
}

func (d *Decider) decision(q Question, document *Document, record *recorder) *decision {
	return &decision{
		Decider: d, question: q, document: document, recorder: record,
		noIdentity: d.sources.NoIdentity != nil && d.sources.NoIdentity(q.Namespace),
	}
}

// decide makes a decision: it finds the image and the references it may be judged under, and evaluates each of these.
// What satisfied before comes first, then what the question's own reference leads to. Only if neither suffices is
// everything examined that is known of the image: here if that is little, and else in the background.
func (d *decision) decide(ctx context.Context) admission {
	d.recorder.document(d.document)
	if err := d.parse(); err != nil {
		return d.denied(nil, err)
	}
	steps := d.recorder.count()
	if found, ok := d.byStanding(ctx); ok {
		return found
	}
	d.recorder.drop(steps)
	image, err := d.image(ctx, d.question)
	d.recorder.image(image, err)
	if err != nil {
		return d.denied(nil, err)
	}
	if image.Rest == nil {
		return d.judge(ctx, image)
	}
	if len(image.Manifests) > 0 {
		if found := d.judge(ctx, image); found.verdict.Admitted() {
			return found
		}
		d.recorder.drop(steps)
	}
	if d.sources.Start != nil && d.paced == nil {
		return admission{verdict: d.decideImageLater(d.question, d.document)}
	}
	image, err = image.Rest(ctx)
	d.recorder.image(image, err)
	if err != nil {
		return d.denied(nil, err)
	}
	return d.judge(ctx, image)
}

// parse validates the question, and parses its reference.
func (d *decision) parse() error {
	if err := d.question.Validate(); err != nil {
		return err
	}
	if _, isID := d.question.ImageID(); !isID {
		d.named, d.invalid = Normalize(d.question.Reference)
	}
	return nil
}

// judge evaluates an image under each reference that it may be judged under. One is enough.
func (d *decision) judge(ctx context.Context, image *Image) admission {
	refs, err := d.candidates(image)
	if err != nil {
		return d.denied(image, err)
	}
	d.insufficient = nil
	refs = d.document.byScope(refs, !d.onlyEnforced)
	var best Verdict
	for _, pass := range d.passes(image, refs) {
		for _, ref := range refs {
			d.paced.Pause(ctx)
			if manifests := pass(ctx, ref); len(manifests) > 0 {
				found := d.under(ctx, image, ref, manifests)
				if found.verdict.Admitted() {
					return found
				}
				best = best.Or(found.verdict)
			}
		}
	}
	if best.Reason != Pending {
		d.refetch(image, d.insufficient)
	}
	return admission{verdict: d.confirmed(d.question, image, best, d.recorder)}
}

// under evaluates manifests of an image under one reference.
func (d *decision) under(ctx context.Context, image *Image, ref reference.Named, manifests []Manifest) admission {
	scope, requirements := d.document.selectFor(scopesOf(ref), !d.onlyEnforced)
	d.audits = d.audits || countEnforced(requirements) < len(requirements)
	if err := image.obtainedFor(scope, ref); err != nil {
		verdict := Denial(err).withDocument(d.document)
		d.recorder.scope(scope, ref.String())
		d.recorder.denied(verdict)
		return admission{verdict: verdict}
	}
	evaluation := d.evaluation(manifests, ref)
	evaluation.unknown = &d.unknown
	evaluation.noIdentity, evaluation.recorder, evaluation.paced = d.noIdentity, d.recorder, d.paced
	evaluation.onlyEnforced = d.onlyEnforced
	verdict, expiresAt, sufficient := evaluation.evaluate(ctx, scope, requirements)
	verdict.Document = d.document.Name
	if verdict.Admitted() {
		found := evaluation.admitted(verdict, expiresAt)
		found.rests(image)
		d.standing.add(d.question.Config, found)
		return found
	}
	if len(d.document.Dead) > 0 {
		verdict = verdict.withMissedScopes(d.document, ref, d.recorder)
	}
	if !sufficient {
		d.lacks(evaluation.check(verdict.Unmet))
	}
	return admission{verdict: verdict}
}

// lacks records a check that better evidence would meet, once.
func (d *decision) lacks(check Check) {
	same := func(other Check) bool {
		return other.requirement == check.requirement && other.Reference == check.Reference
	}
	if !slices.ContainsFunc(d.insufficient, same) {
		d.insufficient = append(d.insufficient, check)
	}
}

// denied is the answer where no reference can be judged. The image is nil unless it was found.
func (d *decision) denied(image *Image, err error) admission {
	verdict := Denial(err).withDocument(d.document)
	d.recorder.denied(verdict)
	return admission{verdict: d.confirmed(d.question, image, verdict, d.recorder)}
}
