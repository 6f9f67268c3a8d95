package policy

import (
	"context"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Step is one step of an evaluation: what one judge found about one requirement and one manifest, why no judge was
// called, or why the decision ended before a requirement was evaluated. Fields that do not apply are zero.
type Step struct {
	// Reference is the normalised reference that is judged, by Scope of Document.
	Reference string
	Document  string
	Scope     string
	// Requirement is the kind of the requirement, and Index its position in the scope's list, from zero.
	Requirement Kind
	Index       int
	Manifest    digest.Digest
	// Evidence is the stored evidence of the manifest, if the requirement needs evidence.
	Evidence Evidence
	// Judge is the name of the judge that was called; empty: none was.
	Judge   string
	Finding Finding
	// Cached reports whether the finding comes from the cache of findings, so that the judge was not called.
	Cached bool
	// Took is the time since the step before, and At when the step ended.
	Took time.Duration
	At   time.Time
}

// Explanation is a decision, and how it was made.
type Explanation struct {
	Verdict Verdict
	// Document is the document of the namespace; nil: there is none that can be used.
	Document *Document
	// Image is the image in question, and ImageErr why it is not known. ImageTook is how long it took to find it, and
	// ImageAt when it was found.
	Image     *Image
	ImageErr  error
	ImageTook time.Duration
	ImageAt   time.Time
	// Steps are those of the verdict. OnlyEnforced reports whether they are those of a decision by what is enforced alone.
	Steps        []Step
	OnlyEnforced bool
	// Cached reports whether the verdict comes from the cache of answers, and has no steps.
	Cached bool
}

// Select returns how Document selects the requirements of the steps for a reference.
func (e Explanation) Select(ref reference.Named) Selection {
	return e.Document.explain(ref, !e.OnlyEnforced)
}

// Met reports whether the finding of a step met the requirement in the namespace.
func (d *Decider) Met(step Step, namespace string) bool {
	nameless := d.sources.NoIdentity != nil && d.sources.NoIdentity(namespace)
	return step.Finding.Met || step.Finding.NoIdentity && nameless
}

// recorder collects the steps of one evaluation. A nil recorder collects nothing and allocates nothing.
type recorder struct {
	steps []Step
	// next is the step that is being built, and since when.
	next  Step
	since time.Time
	// explained has what is known of the image.
	explained Explanation
}

// image records the image that was found, or why none was.
func (r *recorder) image(image *Image, err error) {
	if r != nil {
		r.explained.Image, r.explained.ImageErr, r.explained.ImageTook = image, err, r.lap()
		r.explained.ImageAt = r.since
	}
}

// cached records that the answer was cached.
func (r *recorder) cached() {
	if r != nil {
		r.explained.Cached = true
	}
}

// lap returns the time since it was called before.
func (r *recorder) lap() time.Duration {
	before := r.since
	r.since = time.Now()
	return r.since.Sub(before)
}

// document begins a document.
func (r *recorder) document(document *Document) {
	if r != nil {
		r.next = Step{Document: document.Name}
	}
}

// scope begins a scope of the document that applies to a reference.
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

// manifest begins a manifest, which may meet the requirement.
func (r *recorder) manifest(manifest digest.Digest, evidence Evidence) {
	if r != nil {
		r.next.Manifest, r.next.Evidence = manifest, evidence
	}
}

// add adds a step.
func (r *recorder) add(judge string, finding Finding, cached bool) {
	if r != nil {
		step := r.next
		step.Judge, step.Finding, step.Cached, step.Took = judge, finding, cached, r.lap()
		step.At = r.since
		r.steps = append(r.steps, step)
	}
}

// count returns how many steps there are, and drop removes those after so many.
func (r *recorder) count() int {
	if r == nil {
		return 0
	}
	return len(r.steps)
}

func (r *recorder) drop(after int) {
	if r != nil {
		r.steps = r.steps[:after]
	}
}

// denied adds the step of a verdict that denies before any requirement is evaluated, or after all of them were.
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

// DecideWithSteps decides exactly like [Decider.Decide], and also returns how.
func (d *Decider) DecideWithSteps(ctx context.Context, q Question) Explanation {
	record := &recorder{since: time.Now()}
	var verdict Verdict
	d.decide(ctx, &q, record, &verdict)
	explained := record.explained
	explained.Verdict, explained.Steps = verdict, record.steps
	return explained
}

// Explain decides like [Decider.Decide], and also returns how. It uses the cache of findings, but not the cache of
// answers, which have no steps.
func (d *Decider) Explain(ctx context.Context, q Question) (explained Explanation) {
	record := &recorder{since: time.Now()}
	defer func() {
		if cause := recover(); cause != nil {
			verdict := d.panicked(cause)
			record.explained.Verdict = verdict
			record.add("", Finding{Reason: verdict.Reason, Detail: verdict.Detail}, false)
		}
		explained = record.explained
		explained.Steps = record.steps
	}()
	document, err := d.sources.Documents().For(q.Namespace)
	if err != nil {
		record.explained.Verdict = Denial(err)
		record.denied(record.explained.Verdict)
		return Explanation{}
	}
	record.explained.Document = document
	record.explained.Verdict = d.decision(q, document, record).audited(ctx).verdict
	// What admitted the image before may admit it again, before the image is looked up.
	if record.explained.Image == nil && record.explained.ImageErr == nil && q.Validate() == nil {
		record.lap()
		record.image(d.image(ctx, q))
	}
	return Explanation{}
}
