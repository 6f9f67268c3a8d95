package policy

import (
	"slices"
	"time"

	"github.com/distribution/reference"
)

// admission is the result of a decision, and what it rests on if it admits.
type admission struct {
	verdict   Verdict
	expiresAt time.Time
	// reference is the one under which the image was judged, and uses are the evidence that met its requirements.
	reference reference.Named
	uses      []use
	// manifests are those that decided.
	manifests []Manifest
	// original is the reference under which the image was obtained, and holds reports whether it still refers to the
	// image. It is nil if that is unknown.
	original reference.Named
	holds    func() bool
}

// use is evidence that met a requirement: that of one manifest, which is in a slice because that is how evidence is
// looked up.
type use struct {
	manifest   []Manifest
	generation uint64
	// byNoIdentity reports whether the evidence names no repository, so that it is enough only where the operator says so.
	byNoIdentity bool
}

// admitted returns an admission, and what it rests on.
func (e *evaluation) admitted(verdict Verdict, expiresAt time.Time) admission {
	found := admission{verdict: verdict, expiresAt: expiresAt, reference: e.reference, uses: e.uses}
	for i := range e.manifests {
		manifest := &e.manifests[i]
		used := func(u use) bool { return u.manifest[0].Digest == manifest.Digest }
		if manifest.Digest == verdict.Digest || slices.ContainsFunc(e.uses, used) {
			found.manifests = append(found.manifests, *manifest)
		}
	}
	return found
}

// rests sets the reference on which an admission rests: that which a scope names, or else any of the repository.
func (a *admission) rests(image *Image) {
	if image.Holds == nil {
		return
	}
	for _, original := range image.PulledAs {
		if a.original == nil && original.Name() == a.reference.Name() || original.String() == a.reference.String() {
			a.original = original
		}
	}
	if a.original != nil {
		a.holds = image.Holds(a.original)
	}
}

// answer is an admission that is cached, which nothing changes, and what was in force when it was made. No refusal is
// cached: each is decided anew, from findings that are cached.
type answer struct {
	*admission
	document    *Document
	generations [maxGenerations]uint64
}

// recall returns the cached answer to a question if all that it rests on is unchanged, and nil otherwise. If nothing at
// all has changed on the node, that is known from the generations. Otherwise the image has to be obtained as it was,
// and the evidence that met the requirements has to be the same: what else changes, changes other answers. That a
// manifest has a configuration cannot change, because both are known by their hashes.
func (d *Decider) recall(q *Question, document *Document, generations [maxGenerations]uint64) *admission {
	known, ok := d.answers.get(*q)
	if !ok || known.document != document || !notExpired(known.expiresAt) || !d.stillNameless(q, known.uses) {
		return nil
	}
	if known.generations == generations {
		return known.admission
	}
	if known.holds == nil || !known.holds() || !d.unchanged(known.uses, known.reference) {
		return nil
	}
	// The generations were read before what was compared, so that they are not too new for it.
	known.generations = generations
	d.answers.put(*q, known)
	return known.admission
}

// stillNameless reports whether evidence that names no repository, if such was used, is still enough.
func (d *Decider) stillNameless(q *Question, uses []use) bool {
	for i := range uses {
		if uses[i].byNoIdentity {
			return d.sources.NoIdentity != nil && d.sources.NoIdentity(q.Namespace)
		}
	}
	return true
}

// unchanged reports whether evidence is what it was.
func (d *Decider) unchanged(uses []use, ref reference.Named) bool {
	for i := range uses {
		evidence, used := d.sources.Lookup(uses[i].manifest, ref).at(0), uses[i].generation
		if used == 0 || used != evidence.Generation && used != evidence.Satisfied.Generation {
			return false
		}
	}
	return true
}

// remember caches an admission.
func (d *Decider) remember(q Question, document *Document, generations [maxGenerations]uint64, found admission) {
	// What is only reported is decided anew, like a refusal.
	if !found.verdict.Admitted() || found.verdict.WouldDeny != nil || len(d.sources.Generations) == 0 {
		return
	}
	cached := found
	cached.verdict.Cached = true
	d.answers.put(q, answer{&cached, document, generations})
}

// size returns what an answer takes in bytes, with its question.
func (a answer) size(q Question) int {
	const fixed, ofUse = 1024, 384
	v := &a.verdict
	return fixed + ofUse*len(a.uses) + len(q.Namespace) + len(q.Reference) + len(q.Config) + len(v.Detail) +
		len(v.Reference) + len(v.Digest) + len(v.Document) + len(v.Scope)
}
