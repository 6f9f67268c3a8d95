package bundle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/text"
)

// maxRequirements bounds how many requirements a [Judge] keeps ready for use.
const maxRequirements = 4096

// Bounds, in bytes, of what a finding says: hostile bundles can make a library quote a megabyte.
const (
	maxDetail = 4096
	maxReason = 512
)

// Judge evaluates requirements. It may be used concurrently. Make one with [NewJudge].
type Judge struct {
	// Panicked is told of panics of the library, which are findings with [policy.Internal]. Set it before the first
	// question; it may be nil.
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

// told returns whom to tell of a panic, which a nil Judge causes too.
func (j *Judge) told() policy.PanicFunc {
	if j == nil {
		return nil
	}
	return j.Panicked
}

// Judge is a [policy.JudgeFunc]: it says whether a sigstoreSigned requirement is met by the Sigstore bundles that are
// kept of a manifest, when its image is called ref. About requirements of other kinds, which no bundle meets, it is
// quiet: [policy.Unsigned], without a detail. As with package signature's Judge, a reference has a tag or a digest, not
// both, and whether its digest is one of the image's is for the caller to have checked.
//
// The reasons of a finding that is not met: [policy.Unsigned] where no bundle is there, or none but attestations;
// [policy.Rejected] where there are bundles and none meets the requirement, with Nameless if all that one of them lacks
// is the name of a repository; [policy.InvalidPolicy] where the requirement has a Problem; [policy.Pending] where
// nothing is known of signatures; [policy.Unavailable] where looking for them failed, where those that are kept cannot
// all be read, and where ctx has ended; [policy.Internal] where the question makes no sense or sigstore-go panicked.
// Nothing is met in doubt.
//
// Findings on a requirement with pki, whose certificates are judged at the present time, last an hour at most. Keys do
// not expire, and Fulcio's certificates are judged at the time that the log has signed.
func (j *Judge) Judge(ctx context.Context, asked *policy.Requirement, ref reference.Named,
	manifest policy.Manifest, evidence policy.Evidence,
) (finding policy.Finding) {
	// Bundles are hostile bytes, and what verifies them is not ours.
	defer func() {
		if cause := recover(); cause != nil {
			failure := policy.Recovered("a judge of bundles", j.told(), cause)
			finding = unmet(policy.Internal, "panic while judging a bundle: %v\n%s", cause, failure.Stack)
		}
	}()
	if asked.Kind != policy.SigstoreSigned {
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
	identity, err := docker.NewReference(ref)
	if err != nil {
		return unmet(policy.Internal, "%s has no policy identity: %v", ref, err)
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
	// Read before judging, so that a finding does not outlive what it rests on.
	until := required.until(time.Now(), kept)
	finding = required.judge(ctx, kept, image)
	finding.ExpiresAt = until
	return finding
}

// absent returns the finding where there is no bundle to judge.
func absent(manifest policy.Manifest, evidence policy.Evidence) (finding policy.Finding, ok bool) {
	finding, ok = evidence.Judgeable(manifest.Digest, "bundle")
	// An index that was copied whole is a directory of the dir: transport, which knows no bundles.
	if ok && (evidence.Bundles <= 0 || evidence.Instance != "") {
		finding, ok = evidence.Lacks(manifest.Digest, "bundle"), false
	}
	finding.Detail = text.Shorten(finding.Detail, maxDetail)
	return finding, ok
}

// judge looks for one bundle that meets the requirement. Neither their order nor what else is among them matters.
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
		finding := unmet(policy.Unsigned, "no bundle of %s was found that is a signature; %d %s (%s)", image.manifest.Digest,
			attestations, plural(attestations, "is an attestation", "are attestations"), kept[0].attestation)
		finding.Cause = policy.OnlyAttestations
		return finding
	}
}

// wantsName says what is there, what is lacking, and both ways out.
func (r *requirement) wantsName(bundle *signed, image *image) string {
	return fmt.Sprintf("%s is a valid signature of %s by the right %s, but it names no repository, so that nothing ties "+
		"it to %s: sign again with \"cosign sign -a docker-reference=%s …\", or let the digest be enough with "+
		"identity = \"digest\" under [bundles] in config.toml, or under [bundles.namespaces] for one namespace",
		bundle.name, image.manifest.Digest, r.signers(), image.reference, r.identity.wanted(image.reference))
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
