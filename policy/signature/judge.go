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

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/text"
)

// maxRequirements bounds how many requirements a [Judge] keeps ready for use.
const maxRequirements = 4096

// maxDetail bounds, in bytes, what a finding says: hostile signatures can make containers/image quote a megabyte.
const maxDetail = 4096

// Judge evaluates requirements. It may be used concurrently. Make one with [NewJudge].
type Judge struct {
	// Panicked is told of panics of the library, which are findings with [policy.Internal]. Set it before the first
	// question; it may be nil.
	Panicked policy.PanicFunc

	requirements *lru.Cache[digest.Digest, *compiled]
}

// NewJudge returns a Judge with empty caches.
func NewJudge() *Judge {
	return &Judge{requirements: newCache[digest.Digest, *compiled](maxRequirements)}
}

// told returns whom to tell of a panic, which a nil Judge causes too.
func (j *Judge) told() policy.PanicFunc {
	if j == nil {
		return nil
	}
	return j.Panicked
}

// Judge is a [policy.JudgeFunc]: it says whether a requirement is met by the signatures that are stored for a manifest,
// when its image is called ref. A reference has a tag or a digest, not both; whether its digest is one of the image's
// is for the caller to have checked, for a signature on an index's child says nothing of the index.
//
// The reasons of a finding that is not met: [policy.Rejected] and [policy.Unsigned] as the policy package has them;
// [policy.InvalidPolicy] where the requirement has a Problem; [policy.Pending] where nothing is known of signatures;
// [policy.Unavailable] where looking for them failed, where those that are kept cannot all be read, and where ctx has
// ended; [policy.Internal] where the question makes no sense or containers/image panicked. Nothing is met in doubt.
//
// Findings that depend on the time of day, which are those on signedBy and on sigstoreSigned with pki, last an hour
// at most. Keys do not expire, and Fulcio's certificates are judged at the time that the log says.
func (j *Judge) Judge(ctx context.Context, requirement *policy.Requirement, ref reference.Named,
	manifest policy.Manifest, evidence policy.Evidence,
) (finding policy.Finding) {
	// Signatures are hostile bytes, and what parses them is not ours.
	defer func() {
		if cause := recover(); cause != nil {
			failure := policy.Recovered("a judge of signatures", j.told(), cause)
			finding = unmet(policy.Internal, "panic while judging: %v\n%s", cause, failure.Stack)
		}
	}()
	if requirement.Problem != "" {
		return unmet(policy.InvalidPolicy, "%s", requirement.Problem)
	}
	if err := ctx.Err(); err != nil {
		return unmet(policy.Unavailable, "judging: %v", err)
	}
	// containers/image parses it and then denies everything by it, with a line in the log of the process each time
	// (policy_eval_baselayer.go, v5.42.0).
	if requirement.Kind == policy.SignedBaseLayer {
		return unmet(policy.Rejected, "signedBaseLayer is not implemented, and so accepts nothing")
	}
	compiled, err := j.compile(requirement)
	if err != nil {
		return unmet(policy.Internal, "%v", err)
	}
	identity, err := docker.NewReference(ref)
	if err != nil {
		return unmet(policy.Internal, "%s has no policy identity: %v", ref, err)
	}
	image := &image{identity: identity, manifest: manifest}
	if !requirement.NeedsEvidence {
		return compiled.judge(ctx, image)
	}
	if finding, ok := image.open(ctx, evidence); !ok {
		return finding
	}
	// Read before judging, so that a finding does not outlive what it rests on.
	until := compiled.until(time.Now(), image)
	finding = compiled.judge(ctx, image)
	finding.ExpiresAt = until
	if !finding.Met {
		finding.Cause = causeOf(finding.Detail)
		detail := finding.Detail + compiled.describeKeys(finding.Cause) + unnameable(finding.Cause, ref)
		finding.Detail = text.Shorten(detail, maxDetail)
	}
	return finding
}

// unnameable says that no signature of this format can be accepted for an image of this name, where that is so:
// containers/image (v5.42.0) parses the name that was signed, and its grammar has no addresses of IPv6 and no hosts in
// capitals without a dot.
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

// judge asks containers/image. Whatever it says other than yes is a no.
func (r *compiled) judge(ctx context.Context, image *image) policy.Finding {
	if err := allowed(ctx, r.policy, image); err != nil {
		return unmet(policy.Rejected, "%v", err)
	}
	return policy.Finding{Met: true}
}

// allowed returns nil if the policy allows the image to run. Errors of containers/image are of no use for telling a
// refusal from a failure: one and the same cause has different types with one signature and with two. By now all that
// can fail has been read and checked, so that every error is a refusal.
func allowed(ctx context.Context, p *signature.Policy, image *image) error {
	// A context serves one evaluation at a time and costs next to nothing; a policy may be shared.
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

// bounded returns a finding whose detail is not longer than it may be.
func bounded(finding policy.Finding) policy.Finding {
	finding.Detail = text.Shorten(finding.Detail, maxDetail)
	return finding
}
