package bundle

import (
	"context"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// maxRequirements limits how many compiled requirements a [Judge] caches.
const maxRequirements = 4096

// Limits of a finding's detail, in bytes: hostile bundles can make a library quote a megabyte.
const (
	maxDetail = 4096
	maxReason = 512
)

// Judge evaluates requirements. It is safe for concurrent use. Create one with [NewJudge].
type Judge struct {
	// Panicked is called for panics of the library, which are findings with [policy.Internal]. Set it before the first
	// use; it may be nil.
	Panicked policy.PanicFunc

	requirements *lru.Cache[digest.Digest, *requirement]
	parsed       *parsedCache
}

// NewJudge returns a Judge with empty caches.
func NewJudge() *Judge {
	requirements, err := lru.New[digest.Digest, *requirement](maxRequirements)
	if err != nil {
		panic(fmt.Sprintf("a cache of %d requirements: %v", maxRequirements, err))
	}
	return &Judge{requirements: requirements, parsed: newParsedCache(maxParsedBytes)}
}

// panicFunc returns the function for panics; the Judge may be nil.
func (j *Judge) panicFunc() policy.PanicFunc {
	if j == nil {
		return nil
	}
	return j.Panicked
}

// Judge is a [policy.JudgeFunc]: it reports whether the stored Sigstore bundles of a manifest meet a sigstoreSigned
// requirement for an image with that reference, or its attestations an attested one. For requirements of other kinds,
// which no bundle meets, the finding is [policy.Unsigned] without a detail. As for package signature's Judge, a
// reference has a tag or a digest, not both, and the caller has checked that its digest is one of the image's.
//
// The reasons of a finding that is not met: [policy.Unsigned] if there is no bundle, or only attestations;
// [policy.Rejected] if there are bundles and none meets the requirement, with NoIdentity if one of them lacks only the
// name of a repository; [policy.InvalidPolicy] if the requirement has a Problem; [policy.Pending] if nothing is known
// about signatures yet; [policy.Unavailable] if they could not be fetched, if stored files cannot be read, or if ctx
// has ended; [policy.Internal] if the request is invalid or sigstore-go panicked. In doubt a requirement is not met.
//
// Findings on a requirement with pki, whose certificates are verified at the current time, are valid for an hour at
// most. Keys do not expire, and certificates of Fulcio are verified at the time that the log has signed.
func (j *Judge) Judge(ctx context.Context, request policy.JudgeRequest) (finding policy.Finding) {
	asked, manifest, evidence := request.Requirement, request.Manifest, request.Evidence
	// Bundles are untrusted bytes, and a library verifies them.
	defer policy.RecoverFinding("a judge of bundles", j.panicFunc(), &finding)
	if asked.Kind != policy.SigstoreSigned && asked.Kind != policy.Attested {
		return policy.Finding{Reason: policy.Unsigned}
	}
	if asked.Problem != "" {
		return unmet(policy.InvalidPolicy, "%s", asked.Problem)
	}
	if err := ctx.Err(); err != nil {
		return unmet(policy.Unavailable, "judging: %v", err)
	}
	required, err := j.requirement(asked)
	if err != nil {
		return unmet(policy.Internal, "%v", err)
	}
	identity, err := docker.NewReference(request.Reference)
	if err != nil {
		return unmet(policy.Internal, "%s has no policy identity: %v", request.Reference, err)
	}
	if asked.Kind == policy.Attested {
		return required.judgeAttested(ctx, evidence, &image{reference: identity.DockerReference(), manifest: manifest})
	}
	if finding, ok := absent(manifest, evidence); !ok {
		return finding
	}
	image := &image{reference: identity.DockerReference(), manifest: manifest}
	if finding, ok := image.check(); !ok {
		return finding
	}
	kept, err := j.read(evidence)
	if err != nil {
		return unmet(policy.Unavailable, "reading bundles of %s: %v", manifest.Digest, err)
	}
	// Computed before the judgement, so that a finding does not outlive its inputs.
	until := required.until(time.Now(), kept)
	finding = required.judge(ctx, kept, image)
	finding.ExpiresAt = until
	return finding
}

// absent returns the finding if there is no bundle to judge.
func absent(manifest policy.Manifest, evidence policy.Evidence) (finding policy.Finding, ok bool) {
	finding, ok = evidence.Judgeable(manifest.Digest, "bundle")
	// An index that was copied whole is stored as a directory of the dir: transport, which has no bundles.
	if ok && (evidence.Bundles <= 0 || evidence.Instance != "") {
		finding, ok = evidence.Lacks(manifest.Digest, "bundle"), false
	}
	finding.Detail = text.Shorten(finding.Detail, maxDetail)
	return finding, ok
}

// judge finds one bundle that meets the requirement. The order and the other bundles do not matter.
func (r *requirement) judge(ctx context.Context, kept []*signed, image *image) policy.Finding {
	var reasons []string
	var nameless *signed
	var cause policy.Cause
	attestations := 0
	for _, bundle := range kept {
		if err := ctx.Err(); err != nil {
			return unmet(policy.Unavailable, "judging: %v", err)
		}
		if bundle.attestation != "" {
			attestations++
			continue
		}
		switch result := r.judgeOne(bundle, image); {
		case result.met:
			return policy.Finding{Met: true}
		case result.nameless && nameless == nil:
			nameless = bundle
		case !result.nameless:
			reasons = append(reasons, bundle.name+": "+text.OneLine(text.Shorten(result.reason, maxReason)))
			cause = cause.Nearer(result.cause)
		}
	}
	switch {
	case nameless != nil:
		finding := unmet(policy.Rejected, "%s", r.wantsName(nameless, image))
		finding.NoIdentity, finding.Cause = true, policy.NoName
		return finding
	case len(reasons) > 0:
		finding := unmet(policy.Rejected, "%s", strings.Join(reasons, "; "))
		finding.Cause = cause
		return finding
	default:
		finding := unmet(policy.Unsigned, "no bundle of %s is a signature; %d %s (%s)", image.manifest.Digest,
			attestations, plural(attestations, "is an attestation", "are attestations"), kept[0].attestation)
		finding.Cause = policy.OnlyAttestations
		return finding
	}
}

// wantsName describes what was found, what is missing, and the two solutions.
func (r *requirement) wantsName(bundle *signed, image *image) string {
	return fmt.Sprintf("%s is a valid signature of %s by the right %s, but it names no repository, so nothing ties "+
		"it to %s: sign again with \"cosign sign -a docker-reference=%s …\", or let the digest suffice with "+
		"identity = \"digest\" under [bundles] in config.toml, or under [bundles.namespaces] for one namespace",
		bundle.name, image.manifest.Digest, r.signers(), image.reference, r.identity.Wanted(image.reference))
}

func unmet(reason policy.Reason, format string, args ...any) policy.Finding {
	return policy.Finding{Reason: reason, Detail: text.Shorten(fmt.Sprintf(format, args...), maxDetail)}
}

func plural(count int, one, several string) string {
	if count == 1 {
		return one
	}
	return several
}
