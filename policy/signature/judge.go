package signature

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker"
	containersreference "go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// maxRequirements limits how many compiled requirements a [Judge] caches.
const maxRequirements = 4096

// maxDetail limits a finding's detail, in bytes: hostile signatures can make containers/image quote a megabyte.
const maxDetail = 4096

// Judge evaluates requirements. It is safe for concurrent use. Create one with [NewJudge].
type Judge struct {
	// Panicked is called for panics of the library, which are findings with [policy.Internal]. Set it before the first
	// use; it may be nil.
	Panicked policy.PanicFunc

	requirements *lru.Cache[digest.Digest, *compiled]
}

// NewJudge returns a Judge with empty caches.
func NewJudge() *Judge {
	return &Judge{requirements: newCache[digest.Digest, *compiled](maxRequirements)}
}

// panicFunc returns the function for panics; the Judge may be nil.
func (j *Judge) panicFunc() policy.PanicFunc {
	if j == nil {
		return nil
	}
	return j.Panicked
}

// Judge is a [policy.JudgeFunc]: it reports whether the stored signatures of a manifest meet a requirement for an image
// with that reference. A reference has a tag or a digest, not both; the caller has checked that its digest is one of
// the image's, because a signature on an index's child does not cover the index.
//
// The reasons of a finding that is not met: [policy.Rejected] and [policy.Unsigned] as in package policy;
// [policy.InvalidPolicy] if the requirement has a Problem; [policy.Pending] if nothing is known about signatures yet;
// [policy.Unavailable] if they could not be fetched, if stored files cannot be read, or if ctx has ended;
// [policy.Internal] if the request is invalid or containers/image panicked. In doubt a requirement is not met.
//
// Findings that depend on the time of day (on signedBy, and on sigstoreSigned with pki) are valid for an hour at most.
// Keys do not expire, and certificates of Fulcio are verified at the time in the log's entry.
func (j *Judge) Judge(ctx context.Context, request policy.JudgeRequest) (finding policy.Finding) {
	requirement, ref := request.Requirement, request.Reference
	// Signatures are untrusted bytes, and a library parses them.
	defer policy.RecoverFinding("a judge of signatures", j.panicFunc(), &finding)
	if requirement.Problem != "" {
		return unmet(policy.InvalidPolicy, "%s", requirement.Problem)
	}
	if err := ctx.Err(); err != nil {
		return unmet(policy.Unavailable, "judging: %v", err)
	}
	// containers/image parses it and then denies everything, with a line in the process's log each time
	// (policy_eval_baselayer.go, v5.42.0).
	if requirement.Kind == policy.SignedBaseLayer {
		return unmet(policy.Rejected, "signedBaseLayer is not implemented, so it accepts nothing")
	}
	requirement, err := withRemapped(requirement, ref)
	if err != nil {
		return unmet(policy.Rejected, "%v", err)
	}
	compiled, err := j.compile(requirement)
	if err != nil {
		return unmet(policy.Internal, "%v", err)
	}
	identity, err := docker.NewReference(ref)
	if err != nil {
		return unmet(policy.Internal, "%s has no policy identity: %v", ref, err)
	}
	image := &image{identity: identity, manifest: request.Manifest}
	if !requirement.NeedsEvidence {
		return compiled.judge(ctx, image)
	}
	if finding, ok := image.open(ctx, request.Evidence); !ok {
		return withLookaside(finding, request)
	}
	// Computed before the judgement, so that a finding does not outlive its inputs.
	until := compiled.until(time.Now(), image)
	finding = compiled.judge(ctx, image)
	finding.ExpiresAt = until
	if !finding.Met && compiled.own == nil && finding.Cause == "" {
		finding.Cause = causeOf(finding.Detail)
		detail := finding.Detail + compiled.describeKeys(finding.Cause) + unnameable(finding.Cause, ref)
		finding.Detail = text.Shorten(detail, maxDetail)
	}
	return withLookaside(finding, request)
}

// withLookaside adds to the refusal of a signedBy requirement which lookaside was asked, or that none is configured:
// the signatures that it needs are nowhere else.
func withLookaside(f policy.Finding, request policy.JudgeRequest) policy.Finding {
	refused, note := f.Reason == policy.Unsigned || f.Reason == policy.Rejected, request.Evidence.Lookaside
	if f.Met || !refused || request.Requirement.Kind != policy.SignedBy || note == "" {
		return f
	}
	f.Detail = text.Shorten(f.Detail, maxDetail-len("; ")-len(note)) + "; " + note
	return f
}

// unnameable reports if no signature of this format can be accepted for an image with this name: containers/image
// (v5.42.0) parses the signed name, and its grammar has no IPv6 addresses and no upper-case hosts without a dot.
func unnameable(cause policy.Cause, ref reference.Named) string {
	if cause != policy.OtherName {
		return ""
	}
	if _, err := containersreference.ParseNormalizedNamed(ref.String()); err == nil {
		return ""
	}
	return "; containers/image, which judges signatures of this format, cannot parse the name " + ref.String() +
		": sign it with a bundle (cosign 3), or give the registry a DNS name"
}

// judge calls containers/image, unless the requirement has fields that it does not know. Every answer other than yes is
// a refusal.
func (r *compiled) judge(ctx context.Context, image *image) policy.Finding {
	if r.own != nil {
		return r.own.judge(ctx, image)
	}
	err := allowed(ctx, r.policy, image)
	if err == nil {
		return policy.Finding{Met: true}
	}
	if r.others != nil {
		// By another key: what containers/image says is as good, and lists the keys.
		if finding := r.others.judge(ctx, image); finding.Met || finding.Cause != policy.OtherKey {
			return finding
		}
	}
	return unmet(policy.Rejected, "%v", err)
}

// allowed returns nil if the policy allows the image. Errors of containers/image do not distinguish a refusal from a
// failure: the same cause has different types with one signature and with two. Everything that can fail was read and
// checked before, so every error is a refusal.
func allowed(ctx context.Context, p *signature.Policy, image types.UnparsedImage) error {
	// A context is for one evaluation at a time and cheap; policies may be shared.
	policyContext, err := signature.NewPolicyContext(p)
	if err != nil {
		return err
	}
	defer func() { _ = policyContext.Destroy() }()
	ok, err := policyContext.IsRunningImageAllowed(ctx, image)
	if err == nil && !ok {
		return errors.New("containers/image denied the image without a reason")
	}
	return err
}

func unmet(reason policy.Reason, format string, args ...any) policy.Finding {
	return policy.Finding{Reason: reason, Detail: text.Shorten(fmt.Sprintf(format, args...), maxDetail)}
}

// bounded returns a finding with a detail of limited length.
func bounded(finding policy.Finding) policy.Finding {
	finding.Detail = text.Shorten(finding.Detail, maxDetail)
	return finding
}
