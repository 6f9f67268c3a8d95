package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// judgement is what the judges of a requirement found about one manifest: the merged finding, and the finding of each
// judge, in order.
type judgement struct {
	Finding
	each []Finding
}

// evaluateManifest calls the judges for one manifest. What met a requirement before is judged first and alone: nobody
// can slow that down, or have it judged again, by what he puts next to it.
func (e *evaluation) evaluateManifest(
	ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence,
) result {
	if part, ok := evidence.satisfied(); ok && requirement.NeedsEvidence {
		steps := e.recorder.count()
		e.recorder.manifest(manifest.Digest, part)
		if found := e.evaluateEvidence(ctx, requirement, manifest, part); e.accepts(found.Finding) {
			found.generation = part.Generation
			return found
		}
		e.recorder.drop(steps)
		e.recorder.manifest(manifest.Digest, evidence)
	}
	found := e.evaluateEvidence(ctx, requirement, manifest, evidence)
	found.generation = evidence.Generation
	if requirement.NeedsEvidence && e.accepts(found.Finding) {
		e.satisfied(requirement, manifest, evidence)
	}
	return found
}

// evaluateEvidence calls the judges for the evidence of one manifest, unless their findings are cached.
func (e *evaluation) evaluateEvidence(
	ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence,
) result {
	if requirement.NeedsEvidence {
		if finding := evidence.notUsableFor(manifest); finding.Reason != "" {
			return e.notJudged(manifest.Digest, finding)
		}
	}
	key := findingKey{
		string(requirement.ID), e.name, string(manifest.Digest), manifest.MediaType, evidence.Generation,
	}
	cacheable := !requirement.NeedsEvidence || evidence.Generation != 0
	if found, ok := e.cachedFinding(key, cacheable); ok {
		return e.judged(requirement.Kind, manifest.Digest, evidence.asFarAsRead(found), true)
	}
	if requirement.NeedsEvidence {
		release := e.limiter.acquire(ctx, manifest, evidence)
		if release == nil {
			finding := Finding{Reason: Pending, Detail: "signatures of other images are being judged"}
			e.recorder.add("", finding, false)
			return result{Finding: finding, manifest: manifest.Digest}
		}
		defer release()
		// The previous holder of the limiter may have answered the same question.
		if found, ok := e.cachedFinding(key, cacheable); ok {
			return e.judged(requirement.Kind, manifest.Digest, evidence.asFarAsRead(found), true)
		}
	}
	found := e.askJudges(ctx, requirement, manifest, evidence)
	// What was read is judged once, also if not all could be read: otherwise every attempt would judge an image with many
	// large files again, and none would be answered in time.
	if cacheable && (found.Met || found.Reason == Rejected || found.Reason == Unsigned) {
		e.findings.put(key, found)
	}
	return e.judged(requirement.Kind, manifest.Digest, evidence.asFarAsRead(found), false)
}

func (e *evaluation) cachedFinding(key findingKey, cacheable bool) (found judgement, ok bool) {
	if !cacheable {
		return judgement{}, false
	}
	found, ok = e.findings.get(key)
	return found, ok && notExpired(found.ExpiresAt)
}

// judged records each judge's finding, and returns the merged result.
func (e *evaluation) judged(kind Kind, manifest digest.Digest, found judgement, cached bool) result {
	if e.recorder != nil {
		judges := e.sources.Kinds[kind].Judges
		for i, finding := range found.each {
			e.recorder.add(judges[i].Name, finding, cached)
		}
		if len(found.each) == 0 {
			e.recorder.add("", found.Finding, cached)
		}
	}
	return result{Finding: found.Finding, manifest: manifest, cached: cached}
}

// askJudges calls each judge in order; one yes is enough. Several refusals are merged, and expire with the first of
// them.
func (e *evaluation) askJudges(
	ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence,
) judgement {
	judges := e.sources.Kinds[requirement.Kind].Judges
	if len(judges) == 0 {
		detail := fmt.Sprintf("no judge for requirements of kind %q", requirement.Kind)
		return judgement{Finding: Finding{Reason: Internal, Detail: detail}}
	}
	if evidence.State == Found {
		var err error
		if manifest, err = manifest.withBytes(ctx); err != nil {
			return judgement{Finding: Finding{Reason: Unavailable, Detail: err.Error()}}
		}
	}
	var found judgement
	var expiresAt time.Time
	for _, judge := range judges {
		finding := judge.Func(ctx, JudgeRequest{requirement, e.reference, manifest, evidence}).validated()
		found.each = append(found.each, finding)
		if finding.Met {
			found.Finding = finding
			return found
		}
		found.Finding = found.merge(finding)
		expiresAt = earlier(expiresAt, finding.ExpiresAt)
	}
	found.ExpiresAt = expiresAt
	return found
}

// notUsableFor returns why no judge is called about evidence, or the zero Finding if one is.
func (e Evidence) notUsableFor(manifest Manifest) Finding {
	switch {
	case e.State == Unknown:
		return Finding{Reason: Pending, Detail: "the signatures of " + manifest.Digest.String() + " are being fetched"}
	case e.State == Failed:
		return Finding{Reason: Unavailable, Detail: e.Detail}
	case e.State != Found && e.State != None:
		return Finding{Reason: Internal, Detail: fmt.Sprintf("evidence has the invalid state %d", e.State)}
	case e.Manifest != manifest.Digest:
		detail := fmt.Sprintf("evidence of %s was stored for %s", e.Manifest, manifest.Digest)
		return Finding{Reason: Internal, Detail: detail}
	}
	return Finding{}
}

// asFarAsRead returns a judgement of the evidence that was read. Its finding is final only if all was read.
func (e Evidence) asFarAsRead(found judgement) judgement {
	found.Finding = e.orUnavailableIfPartial(found.Finding)
	return found
}

// orUnavailableIfPartial returns a finding, or [Unavailable] if not all signatures could be read: a sufficient one may
// be among the others. A finding that lacks only a name is returned unchanged, because its advice is useful anyway.
func (e Evidence) orUnavailableIfPartial(finding Finding) Finding {
	if !e.Partial || finding.Met || finding.NoIdentity || finding.Reason != Rejected && finding.Reason != Unsigned {
		return finding
	}
	return Finding{Reason: Unavailable, Detail: Finding{Detail: e.Detail}.appendDetail(finding.Detail)}
}
