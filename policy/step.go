package policy

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// Step is one step of an evaluation: what one judge found of one requirement and one manifest, or why no judge was
// asked, or why the decision ended before a requirement was looked at. What does not apply is zero.
type Step struct {
	// Reference is the one that is judged, normalised, by Scope of Document.
	Reference string
	Document  string
	Scope     string
	// Requirement is the kind of the requirement, and Index its place in the scope's list, from zero.
	Requirement Kind
	Index       int
	Manifest    digest.Digest
	// Evidence is what the node stores for the manifest, where the requirement needs evidence.
	Evidence Evidence
	// Judge is the name of the judge that was asked; empty: none was.
	Judge   string
	Finding Finding
	// Cached reports whether the finding is from the cache of findings, so that the judge was not asked this time.
	Cached bool
}

// recorder collects the steps of one evaluation. A nil recorder collects nothing, at no cost.
type recorder struct {
	steps []Step
	// next is what is known of the step that comes next.
	next Step
}

// document begins a document.
func (r *recorder) document(document *Document) {
	if r != nil {
		r.next = Step{Document: document.Name}
	}
}

// scope begins a scope of the document, by which a reference is judged.
func (r *recorder) scope(scope, reference string) {
	if r != nil {
		r.next = Step{Document: r.next.Document, Scope: scope, Reference: reference}
	}
}

// requirement begins a requirement of the scope.
func (r *recorder) requirement(kind Kind, index int) {
	if r != nil {
		r.next.Requirement, r.next.Index = kind, index
		r.next.Manifest, r.next.Evidence = "", Evidence{}
	}
}

// manifest begins a manifest, by which the requirement may be met.
func (r *recorder) manifest(manifest digest.Digest, evidence Evidence) {
	if r != nil {
		r.next.Manifest, r.next.Evidence = manifest, evidence
	}
}

// add adds a step.
func (r *recorder) add(judge string, finding Finding, cached bool) {
	if r != nil {
		step := r.next
		step.Judge, step.Finding, step.Cached = judge, finding, cached
		r.steps = append(r.steps, step)
	}
}

// denied adds the step of a verdict that denies before a requirement is looked at, or after all of them were.
func (r *recorder) denied(verdict Verdict) {
	if r != nil {
		r.next.Requirement, r.next.Index, r.next.Evidence = "", 0, Evidence{}
		r.next.Manifest = verdict.Digest
		if r.next.Document == "" {
			r.next.Document = verdict.Document
		}
		r.add("", Finding{Reason: verdict.Reason, Detail: verdict.Detail}, false)
	}
}

// Explain decides as [Decider.Decide] does, and returns the steps of the evaluation besides, in their order. It uses
// the cache of findings, and not that of answers: an answer has no steps.
func (d *Decider) Explain(ctx context.Context, q Question) (verdict Verdict, steps []Step) {
	record := &recorder{}
	defer func() {
		if cause := recover(); cause != nil {
			verdict = d.panicked(cause)
			record.add("", Finding{Reason: verdict.Reason, Detail: verdict.Detail}, false)
		}
		steps = record.steps
	}()
	document, err := d.sources.Documents().For(q.Namespace)
	if err != nil {
		verdict = Denial(err)
		record.denied(verdict)
		return verdict, nil
	}
	verdict, _ = d.decide(ctx, q, document, record)
	return verdict, nil
}
