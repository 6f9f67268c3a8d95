package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// hearing is where the requirements of one scope are ruled on, for one image under one reference.
type hearing struct {
	*Decider
	manifests []Manifest
	reference reference.Named
	// nameless says that a valid signature which names no repository is enough.
	nameless bool
	// unread says that the image is not known, so that nothing can be said of its signatures.
	unread bool
	kept   Kept
}

func (d *Decider) hearing(image *Image, ref reference.Named, nameless bool) *hearing {
	return &hearing{Decider: d, manifests: image.manifestsFor(ref), reference: ref, nameless: nameless}
}

// judge decides on the image under the reference: the list of requirements of one scope. The evidence was enough
// unless a requirement is not met for want of better.
func (h *hearing) judge(
	ctx context.Context, scope string, requirements []*Requirement,
) (verdict Verdict, until time.Time, enough bool) {
	verdict = Verdict{
		Reference: h.reference.String(), Digest: h.manifests[0].Digest, Scope: scope, Remembered: true,
	}
	if len(requirements) == 0 {
		verdict.Reason, verdict.Detail = InvalidPolicy, "the list of requirements is empty"
		return verdict, time.Time{}, true
	}
	// Requirements that need no evidence come first: one that refuses spares the registry a question.
	for _, needsEvidence := range []bool{false, true} {
		for _, requirement := range requirements {
			if requirement.needsEvidence() != needsEvidence {
				continue
			}
			ruling := h.rule(ctx, requirement)
			verdict.Remembered = verdict.Remembered && ruling.remembered
			verdict.Digest = ruling.manifest
			if !ruling.Met {
				verdict.Reason, verdict.Detail, verdict.Requirement = ruling.Reason, ruling.Detail, requirement.Kind
				verdict.Nameless, verdict.Unmet, verdict.Cause = ruling.Nameless, requirement, ruling.Cause
				verdict.Detail = requirement.withKeyFiles(verdict.Detail)
				return verdict, time.Time{}, !needsEvidence || ruling.Reason == Pending
			}
			until = earlier(until, ruling.Until)
		}
	}
	// The only line that admits: every requirement of a list that is not empty is met.
	verdict.Outcome, verdict.Reason = Admit, Accepted
	return verdict, until, true
}

// ruling is a finding, and where it comes from.
type ruling struct {
	Finding
	manifest   digest.Digest
	remembered bool
}

// rule says whether a requirement is met by any of the manifests and what is kept of its signatures. Any manifest
// with the image's configuration may be the signed one, and so may an index that lists it.
func (h *hearing) rule(ctx context.Context, requirement *Requirement) ruling {
	first := h.manifests[0]
	if requirement.ID == "" {
		finding := Finding{Reason: Internal, Detail: "a requirement without an ID cannot be told from another"}
		return ruling{Finding: finding, manifest: first.Digest, remembered: true}
	}
	if requirement.Problem != "" {
		finding := Finding{Reason: InvalidPolicy, Detail: requirement.Problem}
		return ruling{Finding: finding, manifest: first.Digest, remembered: true}
	}
	if !requirement.NeedsEvidence {
		return h.consult(ctx, requirement, first, Evidence{})
	}
	if h.unread {
		finding := Finding{Reason: Pending, Detail: "the image's manifests have not been read"}
		return ruling{Finding: finding, remembered: true}
	}
	if h.kept == nil {
		h.kept = h.sources.Kept(h.manifests, h.reference)
	}
	worst := ruling{remembered: true}
	for i, manifest := range h.manifests {
		found := h.consult(ctx, requirement, manifest, h.kept.at(i))
		if found.Met = found.Met || found.Nameless && h.nameless; found.Met {
			return found
		}
		worst.Finding, worst.manifest = worst.or(found)
		worst.remembered = worst.remembered && found.remembered
	}
	return worst
}

// maxDetails bounds, in bytes, the details of equally hopeful findings together.
const maxDetails = 4 << 10

// or returns the more hopeful of two findings that are not met, and the manifest that it is about. Equally hopeful
// ones are one, with the details of both.
func (r ruling) or(other ruling) (Finding, digest.Digest) {
	if r.Reason == "" || other.hopes() > r.hopes() {
		return other.Finding, other.manifest
	}
	if other.hopes() == r.hopes() {
		r.Detail, r.Cause = r.with(other.Detail), r.Cause.Nearer(other.Cause)
	}
	return r.Finding, r.manifest
}

// with returns the finding's detail and another that is not in it yet.
func (f Finding) with(detail string) string {
	switch {
	case detail == "" || strings.Contains(f.Detail, detail) || len(f.Detail) > maxDetails:
		return f.Detail
	case f.Detail == "":
		return detail
	default:
		return f.Detail + "; " + detail
	}
}

// at returns the evidence of the manifest in that place. Nothing is known of one that was left out.
func (k Kept) at(i int) Evidence {
	if i < len(k) {
		return k[i]
	}
	return Evidence{}
}

// consult asks the judges about one manifest, unless what they found is remembered.
func (h *hearing) consult(ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence) ruling {
	if requirement.NeedsEvidence {
		if why := evidence.unusableFor(manifest); why.Reason != "" {
			return ruling{Finding: why, manifest: manifest.Digest, remembered: true}
		}
	}
	memorable := !requirement.NeedsEvidence || evidence.Generation != 0
	key := findingKey{
		string(requirement.ID), h.reference.String(), string(manifest.Digest), manifest.MediaType, evidence.Generation,
	}
	known := func() (Finding, bool) {
		finding, ok := h.findings.get(key)
		return finding, memorable && ok && lasts(finding.Until)
	}
	if finding, ok := known(); ok {
		return ruling{Finding: finding, manifest: manifest.Digest, remembered: true}
	}
	if requirement.NeedsEvidence {
		free := h.turns.take(ctx, manifest, evidence)
		if free == nil {
			finding := Finding{Reason: Pending, Detail: "signatures of other images are being judged"}
			return ruling{Finding: finding, manifest: manifest.Digest}
		}
		defer free()
		// Who had the turn before may have had the same question.
		if finding, ok := known(); ok {
			return ruling{Finding: finding, manifest: manifest.Digest, remembered: true}
		}
	}
	finding := evidence.doubt(h.ask(ctx, requirement, manifest, evidence))
	if memorable && (finding.Met || finding.Reason == Rejected || finding.Reason == Unsigned) {
		h.findings.put(key, finding)
	}
	return ruling{Finding: finding, manifest: manifest.Digest}
}

// unusableFor returns why no judge is asked about evidence, and the zero Finding when one is.
func (e Evidence) unusableFor(manifest Manifest) Finding {
	switch {
	case e.State == Unknown:
		return Finding{Reason: Pending, Detail: "signatures of " + manifest.Digest.String() + " are being looked for"}
	case e.State == Failed:
		return Finding{Reason: Unavailable, Detail: e.Detail}
	case e.State != Found && e.State != None:
		return Finding{Reason: Internal, Detail: fmt.Sprintf("evidence is in state %d, which is none", e.State)}
	case e.Manifest != manifest.Digest:
		return Finding{Reason: Internal, Detail: fmt.Sprintf("evidence of %s was kept for %s", e.Manifest, manifest.Digest)}
	}
	return Finding{}
}

// doubt returns a finding as it stands where not all signatures could be looked at: a good one may be among the others.
// One that lacks only a name is left as it is, for what it says to do helps in any case.
func (e Evidence) doubt(finding Finding) Finding {
	if !e.Partial || finding.Met || finding.Nameless || finding.Reason != Rejected && finding.Reason != Unsigned {
		return finding
	}
	return Finding{Reason: Unavailable, Detail: Finding{Detail: e.Detail}.with(finding.Detail)}
}

// ask asks each judge in turn; one yes is enough. Of several noes the most hopeful is the answer, which lasts as long
// as all of them do; equally hopeful ones are one answer.
func (h *hearing) ask(ctx context.Context, requirement *Requirement, manifest Manifest, evidence Evidence) Finding {
	judges := h.sources.Kinds[requirement.Kind].Judges
	if len(judges) == 0 {
		return Finding{Reason: Internal, Detail: fmt.Sprintf("no judge for requirements of kind %q", requirement.Kind)}
	}
	var worst Finding
	var until time.Time
	for _, judge := range judges {
		finding := judge.Func(ctx, requirement, h.reference, manifest, evidence).sound()
		if finding.Met {
			return finding
		}
		until = earlier(until, finding.Until)
		switch {
		case worst.Reason == "" || finding.hopes() > worst.hopes():
			worst = finding
		case finding.hopes() == worst.hopes():
			worst.Detail, worst.Cause = worst.with(finding.Detail), worst.Cause.Nearer(finding.Cause)
		}
	}
	worst.Until = until
	return worst
}

// hopes orders findings that are not met, as [Reason.hopes] does. A signature that lacks only a name is the nearest
// that a rejection comes to acceptance, and what to do about it is worth more than what is wrong with others.
func (f Finding) hopes() int {
	if f.Nameless {
		return 2*f.Reason.hopes() + 1
	}
	return 2 * f.Reason.hopes()
}

// sound returns a finding that says what a judge may say, and else that something is wrong with the judge: what it
// could not find out must not pass for what it found.
func (f Finding) sound() Finding {
	switch f.Reason {
	case "", Accepted:
		if f.Met && lasts(f.Until) {
			return f
		}
	case Rejected, Unsigned, Pending, Unavailable, InvalidPolicy, Internal:
		if !f.Met && (!f.Nameless || f.Reason == Rejected && lasts(f.Until)) {
			return f
		}
	case UnknownOrigin, BadRequest:
	}
	detail := fmt.Sprintf("a judge found met=%t, reason %q, until %v: %s", f.Met, f.Reason, f.Until, f.Detail)
	return Finding{Reason: Internal, Detail: detail}
}
