package policy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// evaluation evaluates the requirements of one scope, for one image under one reference.
type evaluation struct {
	*Decider
	// recorder collects the steps, or is nil.
	recorder *recorder
	// paced has the evaluation leave the processor to others, or is nil.
	paced     *Pacer
	manifests []Manifest
	reference reference.Named
	// name is the reference as a string.
	name string
	// noIdentity reports whether a valid signature that names no repository is enough.
	noIdentity bool
	// onlyEnforced leaves out the requirements that are only audited.
	onlyEnforced bool
	// manifestsUnknown reports whether the manifests were not read, so that nothing is known about signatures.
	manifestsUnknown bool
	// stored is the evidence of the first manifests, in their order, as far as it was needed.
	stored StoredEvidence
	// unknown counts the manifests of whose evidence nothing is known yet, in all evaluations of a decision.
	unknown *int
	// uses are the evidence that met requirements.
	uses []use
}

func (d *Decider) evaluation(manifests []Manifest, ref reference.Named) *evaluation {
	return &evaluation{
		Decider: d, manifests: manifests, reference: ref, name: ref.String(), unknown: new(int),
	}
}

// evaluate evaluates the image under the reference by the requirements of one scope. sufficient is false if a
// requirement is not met for lack of better evidence.
func (e *evaluation) evaluate(
	ctx context.Context, scope string, requirements []*Requirement,
) (verdict Verdict, expiresAt time.Time, sufficient bool) {
	verdict = Verdict{
		Reference: e.name, Digest: e.manifests[0].Digest, Scope: scope, Cached: true,
	}
	e.uses = nil
	e.recorder.scope(scope, verdict.Reference)
	if countEnforced(requirements) == 0 {
		verdict.Reason, verdict.Detail = InvalidPolicy, "the list of requirements is empty, or none of them is enforced"
		e.recorder.denied(verdict)
		return verdict, time.Time{}, true
	}
	// Requirements that need no evidence come first: if one is not met, no request to the registry is necessary.
	for _, needsEvidence := range []bool{false, true} {
		for i, requirement := range requirements {
			if requirement.needsEvidence() != needsEvidence || e.leavesOut(requirement) {
				continue
			}
			e.recorder.requirement(requirement.Kind, i)
			found := e.evaluateRequirement(ctx, requirement)
			verdict.Cached = verdict.Cached && found.cached
			verdict.Digest = found.manifest
			if !found.Met {
				verdict.Reason, verdict.Detail, verdict.Requirement = found.Reason, found.Detail, requirement.Kind
				verdict.NoIdentity, verdict.Unmet, verdict.Cause = found.NoIdentity, requirement, found.Cause
				verdict.Detail = requirement.withKeyFiles(verdict.Detail)
				return verdict, time.Time{}, !needsEvidence || found.Reason == Pending
			}
			expiresAt = earlier(expiresAt, found.ExpiresAt)
		}
	}
	// The only line that admits: every enforced requirement of a list is met, and there is one.
	verdict.Outcome, verdict.Reason = Admit, Accepted
	return verdict, expiresAt, true
}

func (e *evaluation) leavesOut(requirement *Requirement) bool {
	return requirement.Audit && e.onlyEnforced
}

// countEnforced returns how many requirements of a list are enforced.
func countEnforced(requirements []*Requirement) (enforced int) {
	for _, requirement := range requirements {
		if !requirement.Audit {
			enforced++
		}
	}
	return enforced
}

// result is a finding, and its source.
type result struct {
	Finding
	manifest digest.Digest
	// generation is that of the evidence that was judged.
	generation uint64
	cached     bool
}

// merge returns one result for two manifests of which neither meets the requirement, see [Finding.merge]. It has the
// manifest of the better finding.
func (r result) merge(other result) result {
	if r.Reason == "" || other.retryRank() > r.retryRank() {
		r.manifest = other.manifest
	}
	r.Finding, r.cached = r.Finding.merge(other.Finding), r.cached && other.cached
	return r
}

// evaluateRequirement reports whether any of the manifests, with the evidence of that manifest, meets a requirement.
// Any manifest with the image's config may be the signed one, and so may an index that lists it.
func (e *evaluation) evaluateRequirement(ctx context.Context, requirement *Requirement) result {
	first := e.manifests[0]
	if requirement.ID == "" {
		finding := Finding{Reason: Internal, Detail: "a requirement has no ID"}
		return e.notJudged(first.Digest, finding)
	}
	if requirement.Problem != "" {
		return e.notJudged(first.Digest, Finding{Reason: InvalidPolicy, Detail: requirement.Problem})
	}
	if !requirement.NeedsEvidence {
		e.recorder.manifest(first.Digest, Evidence{})
		return e.evaluateManifest(ctx, requirement, first, Evidence{})
	}
	if e.manifestsUnknown {
		return e.notJudged("", Finding{Reason: Pending, Detail: "the image's manifests have not been read"})
	}
	best := result{cached: true}
	for i, manifest := range e.manifests {
		if i >= len(e.stored) && *e.unknown >= MaxManifests {
			// Their evidence is being fetched. Those that come next have their turn when it is there.
			return best.merge(e.notJudged(manifest.Digest, Finding{
				Reason: Pending, Detail: fmt.Sprintf("signatures of %d manifests are being looked for", *e.unknown),
			}))
		}
		e.paced.Pause(ctx)
		evidence := e.evidence(i)
		e.recorder.manifest(manifest.Digest, evidence)
		found := e.evaluateManifest(ctx, requirement, manifest, evidence)
		nameless := !found.Met
		if found.Met = e.accepts(found.Finding); found.Met {
			e.uses = append(e.uses, use{[]Manifest{manifest}, found.generation, nameless})
			return found
		}
		best = best.merge(found)
	}
	return best
}

// evidence returns the stored evidence of the manifest at an index. It is looked up for some manifests at a time,
// because the first ones usually suffice.
func (e *evaluation) evidence(i int) Evidence {
	for i >= len(e.stored) {
		next := e.manifests[len(e.stored):min(len(e.stored)+MaxManifests, len(e.manifests))]
		found := e.sources.Lookup(next, e.reference)
		for j := range next {
			if found.at(j).State == Unknown {
				*e.unknown++
			}
		}
		if len(e.stored) == 0 && len(found) == len(next) {
			e.stored = slices.Clip(found)
			continue
		}
		for j := range next {
			e.stored = append(e.stored, found.at(j))
		}
	}
	return e.stored[i]
}

// notJudged is the result where no judge needs to be asked to know it.
func (e *evaluation) notJudged(manifest digest.Digest, finding Finding) result {
	e.recorder.add("", finding, false)
	return result{Finding: finding, manifest: manifest, cached: true}
}

// at returns the evidence of the manifest at an index, or the zero Evidence if there is none.
func (k StoredEvidence) at(i int) Evidence {
	if i < len(k) {
		return k[i]
	}
	return Evidence{}
}
