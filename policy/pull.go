package policy

import (
	"context"
	"iter"
	"slices"

	"github.com/distribution/reference"
)

// RequiresSignature reports whether some document of this node requires a signature of images with that reference. If
// none does, there is nothing to fetch.
func (d *Decider) RequiresSignature(ref reference.Named) bool {
	for _, rule := range d.sources.Documents().rules(ref) {
		if slices.ContainsFunc(rule, (*Requirement).needsEvidence) {
			return true
		}
	}
	return false
}

// DecidePull decides whether any document of this node could admit an image that is about to be pulled under a
// reference, and admits if one does. nameless reports whether some namespaces accept a signature that names no
// repository. The image may be nil if [Decider.RequiresSignature] reports that no signature is required: a requirement
// that needs one nevertheless is then [Pending].
//
// Of several refusals it returns the one after which a retry is most likely to succeed. Only [Rejected] and [Unsigned]
// justify refusing a pull: with any other reason, some document may admit the image by the time a container is created
// from it. Lists of requirements that documents share are judged once.
func (d *Decider) DecidePull(
	ctx context.Context, ref reference.Named, image *Image, nameless bool,
) (verdict Verdict) {
	defer func() {
		if cause := recover(); cause != nil {
			verdict = d.panicked(cause)
		}
	}()
	manifestsUnknown := image == nil
	if manifestsUnknown {
		image = &Image{Manifests: []Manifest{{}}}
	}
	if len(image.Manifests) == 0 {
		return Denial(refuse(Internal, "%s has no manifest that could be judged", ref))
	}
	set := d.sources.Documents()
	if err := set.unusable(); err != nil {
		verdict = Denial(err)
	}
	evaluation := d.evaluation(image, ref)
	evaluation.noIdentity, evaluation.manifestsUnknown = nameless, manifestsUnknown
	for scope, rule := range set.rules(ref) {
		found, _, _ := evaluation.evaluate(ctx, scope.name, rule)
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

// rules yields the lists of requirements that apply to a reference in some document, each of them once.
func (s *Set) rules(ref reference.Named) iter.Seq2[listPosition, []*Requirement] {
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
			scope, rule := source.Document.selectScope(scopes)
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

// sources yields the system policy and the documents of all namespaces.
func (s *Set) sources() iter.Seq[Source] {
	return func(yield func(Source) bool) {
		if !yield(s.System) {
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
