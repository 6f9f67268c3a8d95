package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// judgement is what the judges of a requirement found about one manifest: all of it as one finding, and the finding of
// each, in the order of the judges.
type judgement struct {
	Finding
	each []Finding
}

// evaluateManifest asks the judges about one manifest, unless what they found is cached.
func (e *evaluation) evaluateManifest(
	ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence,
) result {
	if requirement.NeedsEvidence {
		if finding := evidence.notUsableFor(manifest); finding.Reason != "" {
			return e.notJudged(manifest.Digest, finding)
		}
	}
	key := findingKey{
		string(requirement.ID), e.reference.String(), string(manifest.Digest), manifest.MediaType, evidence.Generation,
	}
	cacheable := !requirement.NeedsEvidence || evidence.Generation != 0
	if found, ok := e.cachedFinding(key, cacheable); ok {
		return e.judged(requirement.Kind, manifest.Digest, found, true)
	}
	if requirement.NeedsEvidence {
		release := e.limiter.acquire(ctx, manifest, evidence)
		if release == nil {
			finding := Finding{Reason: Pending, Detail: "signatures of other images are being judged"}
			e.recorder.add("", finding, false)
			return result{Finding: finding, manifest: manifest.Digest}
		}
		defer release()
		// Whoever held the limiter before may have had the same question.
		if found, ok := e.cachedFinding(key, cacheable); ok {
			return e.judged(requirement.Kind, manifest.Digest, found, true)
		}
	}
	found := e.askJudges(ctx, requirement, manifest, evidence)
	found.Finding = evidence.orUnavailableIfPartial(found.Finding)
	if cacheable && (found.Met || found.Reason == Rejected || found.Reason == Unsigned) {
		e.findings.put(key, found)
	}
	return e.judged(requirement.Kind, manifest.Digest, found, false)
}

func (e *evaluation) cachedFinding(key findingKey, cacheable bool) (found judgement, ok bool) {
	if !cacheable {
		return judgement{}, false
	}
	found, ok = e.findings.get(key)
	return found, ok && notExpired(found.ExpiresAt)
}

// judged records what each judge found, and returns it as one result.
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

// askJudges asks each judge in turn; one yes is enough. Several noes are merged, and last as long as all of them do.
func (e *evaluation) askJudges(
	ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence,
) judgement {
	judges := e.sources.Kinds[requirement.Kind].Judges
	if len(judges) == 0 {
		detail := fmt.Sprintf("no judge for requirements of kind %q", requirement.Kind)
		return judgement{Finding: Finding{Reason: Internal, Detail: detail}}
	}
	var found judgement
	var expiresAt time.Time
	for _, judge := range judges {
		finding := judge.Func(ctx, requirement, e.reference, manifest, evidence).validated()
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

// notUsableFor returns why no judge is asked about evidence, and the zero Finding when one is.
func (e Evidence) notUsableFor(manifest Manifest) Finding {
	switch {
	case e.State == Unknown:
		return Finding{Reason: Pending, Detail: "signatures of " + manifest.Digest.String() + " are being looked for"}
	case e.State == Failed:
		return Finding{Reason: Unavailable, Detail: e.Detail}
	case e.State != Found && e.State != None:
		return Finding{Reason: Internal, Detail: fmt.Sprintf("evidence is in state %d, which is none", e.State)}
	case e.Manifest != manifest.Digest:
		detail := fmt.Sprintf("evidence of %s was stored for %s", e.Manifest, manifest.Digest)
		return Finding{Reason: Internal, Detail: detail}
	}
	return Finding{}
}

// orUnavailableIfPartial returns a finding as it stands, or as [Unavailable] where not all signatures could be read: a
// good one may be among the others. One that lacks only a name is left as it is: what it says to do helps in any case.
func (e Evidence) orUnavailableIfPartial(finding Finding) Finding {
	if !e.Partial || finding.Met || finding.NoIdentity || finding.Reason != Rejected && finding.Reason != Unsigned {
		return finding
	}
	return Finding{Reason: Unavailable, Detail: Finding{Detail: e.Detail}.appendDetail(finding.Detail)}
}
