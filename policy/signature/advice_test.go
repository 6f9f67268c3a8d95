package signature_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// sigstoreRequirement returns a sigstoreSigned requirement with more members.
func sigstoreRequirement(members string) *policy.Requirement {
	return advised(policy.SigstoreSigned, members)
}

func advised(kind policy.Kind, members string) *policy.Requirement {
	return &policy.Requirement{
		ID: digest.FromString(string(kind) + members), Kind: kind, NeedsEvidence: signature.Kinds(nil)[kind].NeedsEvidence,
		JSON: fmt.Appendf(nil, `{"type":%q%s}`, kind, members),
	}
}

// TestAdviceFitsTheRequirementAndTheCause tests every pair of the two: advice names what the requirement needs, and
// nothing that it has already or that cannot help.
func TestAdviceFitsTheRequirementAndTheCause(t *testing.T) {
	const key, repositoryName = `,"keyData":"a2V5"`, "registry.example/app"
	identity := func(members string) string { return key + `,"signedIdentity":{` + members + `}` }
	for name, test := range map[string]struct {
		requirement *policy.Requirement
		// Each advice contains always, and none contains never. name is the name that a signature must have.
		always, never []string
		name          string
	}{
		"a key, any tag of the repository": {
			requirement: sigstoreRequirement(identity(`"type":"matchRepository"`)), name: repositoryName,
			always: []string{"--key cosign.key"}, never: []string{"matchRepository"},
		},
		"a key, no identity": {
			requirement: sigstoreRequirement(key), name: repositoryName + ":v1", always: []string{"--key cosign.key"},
		},
		"a key, the exact name": {
			requirement: sigstoreRequirement(identity(`"type":"matchExact"`)), name: repositoryName + ":v1",
		},
		"a key, the repository or the exact name": {
			requirement: sigstoreRequirement(identity(`"type":"matchRepoDigestOrExact"`)), name: repositoryName + ":v1",
		},
		"a key, one reference": {
			requirement: sigstoreRequirement(identity(`"type":"exactReference","dockerReference":"origin.example/x:1"`)),
			name:        "origin.example/x:1", never: []string{"matchRepository"},
		},
		"a key, one repository": {
			requirement: sigstoreRequirement(identity(`"type":"exactRepository","dockerRepository":"origin.example/x"`)),
			name:        "origin.example/x", never: []string{"matchRepository"},
		},
		"a key, a mirror's name": {
			requirement: sigstoreRequirement(identity(`"type":"remapIdentity","prefix":"registry.example",` +
				`"signedPrefix":"origin.example/a"`)),
			name: "origin.example/a/app:v1", never: []string{"matchRepository"},
		},
		"a workflow's owner": {
			requirement: sigstoreRequirement(`,"fulcio":{"caData":"Y2E=","oidcIssuer":"https://issuer.example",` +
				`"subjectEmail":"a@b.example"},"rekorPublicKeyData":"a2V5","signedIdentity":{"type":"matchRepository"}`),
			name: repositoryName, always: []string{"a@b.example, authenticated by https://issuer.example"},
			never: []string{"--key", "matchRepository"},
		},
		"a workflow": {
			requirement: sigstoreRequirement(`,"fulcio":{"caData":"Y2E=","oidcIssuer":"https://issuer.example",` +
				`"subjectURIPattern":"https://github\\.com/acme/.*"},"rekorPublicKeyData":"a2V5",` +
				`"signedIdentity":{"type":"matchRepository"}`),
			name:   repositoryName,
			always: []string{`a workflow whose URI matches https://github\.com/acme/.*, authenticated by https://issuer`},
			never:  []string{"--key", "matchRepository", "@b.example"},
		},
		"an authority of one's own": {
			requirement: sigstoreRequirement(`,"pki":{"caRootsData":"Y2E=","subjectHostname":"ci.example"},"signedIdentity":` +
				`{"type":"matchRepository"}`),
			name: repositoryName, always: []string{"--certificate"}, never: []string{"matchRepository"},
		},
		"GPG": {
			requirement: advised(policy.SignedBy, ""),
			never:       []string{"cosign sign", "docker-reference", "rekor"},
		},
		"an attestation": {
			requirement: advised(policy.Attested, `,"predicateType":"https://slsa.dev/provenance/v1","keyData":"a2V5",`+
				`"where":"predicate.a == 1","signedIdentity":{"type":"matchRepository"}`),
			always: []string{"cosign attest --key cosign.key --type slsaprovenance1 ", repositoryName + "@DIGEST"},
			never:  []string{"cosign sign", "docker-reference"},
		},
		"a workflow's attestation": {
			requirement: advised(policy.Attested, `,"predicateType":"https://example.com/own","fulcio":{"caData":"Y2E=",`+
				`"oidcIssuer":"https://issuer.example","subjectEmail":"a@b.example"},"rekorPublicKeyData":"a2V5"`),
			always: []string{"cosign attest --type https://example.com/own ", "as a@b.example, authenticated by"},
			never:  []string{"--key", "cosign sign"},
		},
		"reject": {
			requirement: advised(policy.Reject, ""),
			always:      []string{"no signature would help"}, never: []string{"cosign sign", "podman"},
		},
		"signedBaseLayer": {
			requirement: advised(policy.SignedBaseLayer, ""),
			always:      []string{"no signature would help"}, never: []string{"cosign sign", "podman"},
		},
	} {
		for _, cause := range policy.Causes() {
			ofAttestations := cause == policy.NoAttestation || cause == policy.FalseCondition
			if ofAttestations && test.requirement.Kind != policy.Attested {
				continue
			}
			t.Run(fmt.Sprintf("%s, %s", name, cause), func(t *testing.T) {
				verdict := policy.Verdict{
					Reason: policy.Rejected, Reference: repositoryName + ":v1", Unmet: test.requirement, Cause: cause,
				}
				advice := signature.Kinds(nil).Advice(verdict)
				if advice == "" || strings.ContainsAny(advice, "\n\t") {
					t.Fatalf("the advice is %q", advice)
				}
				for _, want := range test.always {
					if !strings.Contains(advice, want) {
						t.Errorf("%q lacks %q", advice, want)
					}
				}
				if test.name != "" && !strings.Contains(advice, "-a docker-reference="+test.name+" ") {
					t.Errorf("%q does not sign for %s", advice, test.name)
				}
				for _, useless := range test.never {
					if strings.Contains(advice, useless) {
						t.Errorf("%q contains %q", advice, useless)
					}
				}
			})
		}
	}
}

func TestThereIsNoAdviceWhereNoneCanHelp(t *testing.T) {
	requirement := sigstoreRequirement(`,"keyData":"a2V5"`)
	broken := *requirement
	broken.Problem = "reading key file /etc/key: no such file or directory"
	for name, verdict := range map[string]policy.Verdict{
		"it is admitted": {
			Outcome: policy.Admit, Unmet: requirement, Reference: appReference, Cause: policy.OtherKey,
		},
		"no requirement was judged": {Reason: policy.UnknownOrigin, Reference: appReference},
		"the requirement's key cannot be read": {
			Reason: policy.InvalidPolicy, Unmet: &broken, Reference: appReference, Cause: policy.NoSignature,
		},
		"the cause is not known":     {Reason: policy.Rejected, Unmet: requirement, Reference: appReference},
		"it is not known under what": {Reason: policy.Rejected, Unmet: requirement, Cause: policy.OtherKey},
	} {
		if advice := signature.Kinds(nil).Advice(verdict); advice != "" {
			t.Errorf("%s: %s", name, advice)
		}
	}
}
