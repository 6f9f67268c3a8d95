package policy

import (
	"context"
	"iter"
	"slices"

	"github.com/distribution/reference"
)

// RequiresSignature reports whether some document of this node requires a signature of images with that reference, if
// only to report it. If none does, there is nothing to fetch.
func (d *Decider) RequiresSignature(ref reference.Named) bool {
	return d.RequiresSignatureFor(PullQuestion{Reference: ref, Audited: true})
}

// RequiresSignatureFor reports whether [Decider.DecidePull] needs the image to answer a question.
func (d *Decider) RequiresSignatureFor(q PullQuestion) bool {
	return d.anyFor(q, func(r *Requirement) bool { return r.needsEvidence() && (q.Audited || !r.Audit) })
}

// AuditsFor reports whether a requirement that could answer a question is only audited.
func (d *Decider) AuditsFor(q PullQuestion) bool {
	q.Audited = true
	return d.anyFor(q, func(r *Requirement) bool { return r.Audit })
}

// anyFor reports whether a requirement suits by which a question may be answered.
func (d *Decider) anyFor(q PullQuestion, suits func(*Requirement) bool) bool {
	set := d.sources.Documents()
	if q.Namespace != "" {
		document, err := set.For(q.Namespace)
		if err != nil {
			return false
		}
		_, rule := document.selectFor(scopesOf(q.Reference), q.Audited)
		return slices.ContainsFunc(rule, suits)
	}
	for _, rule := range set.rules(q.Reference, q.Audited) {
		if slices.ContainsFunc(rule, suits) {
			return true
		}
	}
	return false
}

// PullQuestion asks whether an image may be pulled.
type PullQuestion struct {
	// Reference is the one under which the image is pulled.
	Reference reference.Named
	// Namespace is the namespace of the pod that needs the image. Empty: the image may run if any document of this node
	// admits it.
	Namespace string
	// Image may be nil where no signature is required: a requirement that needs one after all is then [Pending].
	Image *Image
	// NoIdentity reports whether a signature that names no repository is enough.
	NoIdentity bool
	// Audited reports whether the requirements that are only audited count as if they were enforced.
	Audited bool
}

// DecidePull decides about an image that is about to be pulled, by the document of a namespace, or by all documents of
// this node: then it admits if one of them does.
//
// Of several refusals it returns the one after which a retry is most likely to succeed. Only [Rejected] and [Unsigned]
// justify refusing a pull for all documents: with any other, some document may well admit the image by the time a
// container is created from it. Lists of requirements that documents share are judged once.
func (d *Decider) DecidePull(ctx context.Context, q PullQuestion) (verdict Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict = d.panicked(cause)
		}
	}()
	image := q.Image
	if image == nil {
		image = &Image{Manifests: []Manifest{{}}}
	}
	if len(image.Manifests) == 0 {
		return Denial(refuse(Internal, "%s has no manifest that could be judged", q.Reference))
	}
	evaluation := d.evaluation(d.manifestsFor(image, q.Reference), q.Reference)
	evaluation.noIdentity, evaluation.manifestsUnknown = q.NoIdentity, q.Image == nil
	evaluation.onlyEnforced = !q.Audited
	if q.Namespace != "" {
		return evaluation.decideIn(ctx, d.sources.Documents(), q)
	}
	return evaluation.decideAnywhere(ctx, d.sources.Documents(), q)
}

// decideIn decides by the document of a namespace.
func (e *evaluation) decideIn(ctx context.Context, set *Set, q PullQuestion) Verdict {
	document, err := set.For(q.Namespace)
	if err != nil {
		return Denial(err)
	}
	scope, rule := document.selectFor(scopesOf(q.Reference), q.Audited)
	verdict, _, _ := e.evaluate(ctx, scope, rule)
	verdict.Document = document.Name
	return verdict
}

// decideAnywhere decides by all documents.
func (e *evaluation) decideAnywhere(ctx context.Context, set *Set, q PullQuestion) (verdict Verdict) {
	if err := set.unusable(); err != nil {
		verdict = Denial(err)
	}
	for scope, rule := range set.rules(q.Reference, q.Audited) {
		found, _, _ := e.evaluate(ctx, scope.name, rule)
		found.Document = scope.document
		if found.Admitted() {
			return found
		}
		// A document that rejects regardless of signatures comes last: a signature can still satisfy another document.
		if verdict.Reason == "" || !found.RejectsAll() && (verdict.RejectsAll() || found.retryRank() > verdict.retryRank()) {
			verdict = found
		}
	}
	return verdict
}

// listPosition is the position of a list of requirements: its document and its scope.
type listPosition struct{ document, name string }

// rules yields the lists of requirements that apply to a reference in some document, each of them once. audited reports
// whether scopes apply that enforce nothing.
func (s *Set) rules(ref reference.Named, audited bool) iter.Seq2[listPosition, []*Requirement] {
	return func(yield func(listPosition, []*Requirement) bool) {
		if s == nil {
			return
		}
		type list struct {
			first **Requirement
			size  int
		}
		seen := map[list]bool{}
		scopes := scopesOf(ref)
		for source := range s.sources() {
			if source.Document == nil {
				continue
			}
			scope, rule := source.Document.selectFor(scopes, audited)
			if len(rule) == 0 || seen[list{&rule[0], len(rule)}] {
				continue
			}
			seen[list{&rule[0], len(rule)}] = true
			if !yield(listPosition{source.Document.Name, scope}, rule) {
				return
			}
		}
	}
}

// sources yields the documents that apply to some namespace. If the cluster has one, the system policy applies to none.
func (s *Set) sources() iter.Seq[Source] {
	return func(yield func(Source) bool) {
		if !yield(s.common()) {
			return
		}
		for _, source := range s.Namespaces {
			if !yield(source) {
				return
			}
		}
	}
}

// unusable returns why some document cannot be used, or nil.
func (s *Set) unusable() error {
	if s == nil {
		return refuse(InvalidPolicy, "no policy has been loaded yet")
	}
	if s.Directory != nil {
		return refuse(InvalidPolicy, "%v", s.Directory)
	}
	for source := range s.sources() {
		if source.Err != nil {
			return &Refusal{Reason: InvalidPolicy, Document: source.Name, Detail: source.Err.Error()}
		}
	}
	return nil
}
