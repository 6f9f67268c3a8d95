package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/bounded"
	"github.com/countersign/countersign/policy/text"
)

// judgeAttested finds one attestation that meets an attested requirement. They are read one at a time, because all
// together can have many megabytes.
func (r *requirement) judgeAttested(ctx context.Context, evidence policy.Evidence, image *image) policy.Finding {
	if finding, ok := r.absentAttestations(image.manifest, evidence); !ok {
		return finding
	}
	if finding, ok := image.check(); !ok {
		return finding
	}
	if evidence.Attestations > maxBundles {
		return unmet(policy.Unavailable, "there are %d attestations; the maximum is %d", evidence.Attestations, maxBundles)
	}
	begun, paced := time.Now(), &policy.Pacer{}
	found := &attestations{requirement: r, image: image}
	for i := range evidence.Attestations {
		if err := ctx.Err(); err != nil {
			return unmet(policy.Unavailable, "judging: %v", err)
		}
		if i > 0 {
			// One takes some milliseconds.
			paced.Pause(ctx)
		}
		name := fmt.Sprintf("attestation-%d.json", i+1)
		raw, err := bounded.ReadNoFollow(filepath.Join(evidence.Directory, name), maxAttestation)
		if err != nil {
			return unmet(policy.Unavailable, "reading attestations of %s: %v", image.manifest.Digest, err)
		}
		if found.judge(parseAttestation(name, raw)) {
			break
		}
	}
	finding := found.finding(evidence)
	finding.ExpiresAt = r.until(begun, found.judged)
	return finding
}

// absentAttestations returns the finding if there is no attestation to judge. Without a search for this predicate type
// it is not known whether there is one.
func (r *requirement) absentAttestations(
	manifest policy.Manifest, evidence policy.Evidence,
) (finding policy.Finding, ok bool) {
	finding, ok = evidence.Judgeable(manifest.Digest, "attestation")
	if !ok && evidence.State != policy.None || evidence.Attestations > 0 {
		finding.Detail = text.Shorten(finding.Detail, maxDetail)
		return finding, ok
	}
	return r.lacks(manifest, evidence, ""), false
}

// lacks is the finding if no attestation has the predicate type. others describes those of other types.
func (r *requirement) lacks(manifest policy.Manifest, evidence policy.Evidence, others string) policy.Finding {
	if !evidence.Predicates.Contains(r.predicateType) {
		return unmet(policy.Pending, "attestations of type %s have not been looked for yet", r.predicateType)
	}
	finding := evidence.Lacks(manifest.Digest, "attestation of type "+r.predicateType)
	if finding.Cause == policy.NoSignature {
		finding.Cause = policy.NoAttestation
	}
	finding.Detail = text.Shorten(finding.Detail+others, maxDetail)
	return finding
}

// attestations collects what is found about attestations.
type attestations struct {
	requirement *requirement
	image       *image
	judged      []*signed

	met      bool
	nameless string
	reasons  []string
	others   []string
	cause    policy.Cause
}

// judge judges one attestation, and reports whether it meets the requirement.
func (a *attestations) judge(one *signed) bool {
	if one.problem == "" && one.statement.predicate != a.requirement.predicateType {
		a.others = append(a.others, fmt.Sprintf("%s has %q", one.name, text.Shorten(one.statement.predicate, maxReason)))
		return false
	}
	result := a.requirement.judgeAttestation(one, a.image)
	// Only its certificates are needed any more.
	one.payload, one.content, one.log = nil, nil, nil
	a.judged = append(a.judged, one)
	switch {
	case result.met:
		a.met = true
	case result.nameless:
		a.nameless = one.name
	default:
		a.reasons = append(a.reasons, one.name+": "+text.OneLine(text.Shorten(result.reason, maxReason)))
		a.cause = a.cause.Nearer(result.cause)
	}
	return a.met
}

// finding returns the result of all that were judged.
func (a *attestations) finding(evidence policy.Evidence) policy.Finding {
	image := a.image
	switch {
	case a.met:
		return policy.Finding{Met: true}
	case a.nameless != "":
		finding := unmet(policy.Rejected, "%s is a valid attestation of %s by the right %s, but its subject names no "+
			"repository, so nothing ties it to %s: attest again with a tool that writes the repository as the name of the "+
			"subject, as cosign attest does, or let the digest suffice with identity = \"digest\" under [bundles] in "+
			"config.toml", a.nameless, image.manifest.Digest, a.requirement.signers(), image.reference)
		finding.NoIdentity, finding.Cause = true, policy.NoName
		return finding
	case len(a.reasons) > 0:
		finding := unmet(policy.Rejected, "%s", strings.Join(a.reasons, "; "))
		finding.Cause = a.cause
		return finding
	default:
		others := fmt.Sprintf("; %d of other types: %s", len(a.others), text.List(a.others, mostOthers))
		return a.requirement.lacks(image.manifest, evidence, others)
	}
}

// mostOthers is how many attestations of other types a detail lists.
const mostOthers = 4

// judgeAttestation judges one attestation: its signer, then the name of its subject, and last the condition, so that
// only trusted signers have it evaluated.
func (r *requirement) judgeAttestation(one *signed, image *image) result {
	if one.problem != "" {
		return result{reason: one.problem, cause: policy.Malformed}
	}
	about, by := one.subjectsFor(image)
	if len(about) == 0 {
		return result{reason: "it is about another image than " + image.manifest.Digest.String(), cause: policy.OtherImage}
	}
	if err := r.verify(one, by); err != nil {
		return result{reason: err.Error(), cause: r.causeOf(err)}
	}
	named := r.judgeSubjects(about, image)
	if !named.met && !named.nameless {
		return named
	}
	if unsatisfied := r.judgeCondition(one.payload); unsatisfied.reason != "" {
		return unsatisfied
	}
	return named
}

// judgeSubjects reports whether a subject names the image, or whether none names a repository.
func (r *requirement) judgeSubjects(about []subject, image *image) result {
	var claimed []string
	for _, subject := range about {
		name, ok := subject.repository()
		if ok && r.identity.Accepts(image.reference, name) {
			return result{met: true}
		}
		if ok {
			claimed = append(claimed, fmt.Sprintf("%q", name))
		}
	}
	if len(claimed) == 0 {
		return result{nameless: true}
	}
	return result{cause: policy.OtherName, reason: fmt.Sprintf(
		"it is a valid attestation by the right %s for %s, which %s does not accept for %s",
		r.signers(), strings.Join(claimed, ", "), r.identity.Kind, image.reference)}
}

// judgeCondition evaluates the condition over a statement. The result is empty if it is true, or if there is none.
func (r *requirement) judgeCondition(payload []byte) result {
	if r.where == nil {
		return result{}
	}
	var statement map[string]any
	if err := json.Unmarshal(payload, &statement); err != nil {
		return result{cause: policy.Malformed, reason: fmt.Sprintf("its payload is not an in-toto statement: %v", err)}
	}
	holds, err := r.where.Holds(statement)
	switch {
	case err != nil:
		return result{cause: policy.FalseCondition, reason: fmt.Sprintf(
			"it is by the right %s, and the condition cannot be evaluated: %v", r.signers(), err)}
	case !holds:
		return result{cause: policy.FalseCondition, reason: fmt.Sprintf(
			"it is by the right %s, and the condition is not true for it", r.signers())}
	default:
		return result{}
	}
}
