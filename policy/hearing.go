package policy

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// hearing is where the requirements of one scope are ruled on, for one image under one reference.
type hearing struct {
	*Decider
	manifests []Manifest
	reference reference.Named
	kept      Kept
}

// ruling is a finding, and where it comes from.
type ruling struct {
	Finding
	manifest      digest.Digest
	remembered    bool
	needsEvidence bool
}

// rule says whether a requirement is met by any of the manifests and what is kept of its signatures. Any manifest
// with the image's configuration may be the signed one, and so may an index that lists it.
func (h *hearing) rule(ctx context.Context, requirement *Requirement) ruling {
	if requirement.Problem != "" {
		return ruling{Finding: Finding{Reason: InvalidPolicy, Detail: requirement.Problem}, remembered: true}
	}
	if !requirement.NeedsEvidence {
		return h.consult(ctx, requirement, h.manifests[0], Evidence{})
	}
	if h.kept == nil {
		h.kept = h.sources.Kept(h.manifests, h.reference)
	}
	worst := ruling{
		Finding:    Finding{Reason: Pending, Detail: "nothing is known of signatures yet"},
		remembered: true, needsEvidence: true,
	}
	var details []string
	for i, evidence := range h.kept {
		if i >= len(h.manifests) {
			break
		}
		found := h.consult(ctx, requirement, h.manifests[i], evidence)
		found.needsEvidence = true
		if found.Met {
			return found
		}
		worst.remembered = worst.remembered && found.remembered
		if i == 0 || found.Reason.hopes() > worst.Reason.hopes() {
			worst.Finding, worst.manifest = found.Finding, found.manifest
		}
		if found.Detail != "" && len(details) < 4 && !slices.Contains(details, found.Detail) {
			details = append(details, found.Detail)
		}
	}
	if len(details) > 0 {
		worst.Detail = strings.Join(details, "; ")
	}
	return worst
}

// consult asks the judges about one manifest, unless what they found is remembered.
func (h *hearing) consult(ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence) ruling {
	if requirement.NeedsEvidence {
		switch evidence.State {
		case Unknown:
			detail := "signatures of " + manifest.Digest.String() + " are being looked for"
			return ruling{Finding: Finding{Reason: Pending, Detail: detail}, remembered: true}
		case Failed:
			return ruling{Finding: Finding{Reason: Unavailable, Detail: evidence.Detail}, remembered: true}
		case Found, None:
		}
	}
	key := findingKey{
		string(requirement.ID), h.reference.String(), string(manifest.Digest), evidence.Generation,
	}
	if finding, ok := h.findings.get(key); ok && lasts(finding.Until) {
		return ruling{Finding: finding, manifest: manifest.Digest, remembered: true}
	}
	finding := h.ask(ctx, requirement, manifest, evidence)
	if finding.Met || finding.Reason == Rejected || finding.Reason == Unsigned {
		h.findings.put(key, finding)
	}
	return ruling{Finding: finding, manifest: manifest.Digest}
}

// ask asks each judge in turn; one yes is enough. Of several noes the most hopeful is the answer.
func (h *hearing) ask(ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence) Finding {
	var worst Finding
	for _, judge := range h.sources.Judges {
		finding := judge(ctx, requirement, h.reference, manifest, evidence)
		if finding.Met {
			return finding
		}
		if finding.Reason == "" || finding.Reason == Accepted {
			finding.Reason = Internal
		}
		if worst.Reason == "" || finding.Reason.hopes() > worst.Reason.hopes() {
			finding.Until = earlier(finding.Until, worst.Until)
			worst = finding
		}
	}
	return worst
}

// askAgain has the registry asked once more when what it gave did not suffice: signing, or signing again, is then
// enough for the next try.
func (h *hearing) askAgain(found ruling) {
	if found.needsEvidence && h.sources.Ask != nil && found.Reason != Pending {
		h.sources.Ask(h.manifests, h.reference)
	}
}
