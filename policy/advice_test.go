package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
)

// sigstore is a sigstoreSigned requirement with more members.
func sigstore(members string) *policy.Requirement {
	return &policy.Requirement{
		ID: digestOf(members), Type: "sigstoreSigned", NeedsEvidence: true,
		JSON: fmt.Appendf(nil, `{"type":"sigstoreSigned"%s}`, members),
	}
}

// TestAdviceFitsTheRequirementAndTheCause has every pair of the two: what is advised names what the requirement wants,
// and nothing that it has already or that cannot help.
func TestAdviceFitsTheRequirementAndTheCause(t *testing.T) {
	const key, repositoryName = `,"keyData":"a2V5"`, "registry.example/app"
	identity := func(members string) string { return key + `,"signedIdentity":{` + members + `}` }
	for name, test := range map[string]struct {
		requirement *policy.Requirement
		// always stands in each advice, and never in none. name is what the signature has to be for.
		always, never []string
		name          string
	}{
		"a key, any tag of the repository": {
			requirement: sigstore(identity(`"type":"matchRepository"`)), name: repositoryName,
			always: []string{"--key cosign.key"}, never: []string{"matchRepository"},
		},
		"a key, no identity": {
			requirement: sigstore(key), name: repositoryName + ":v1", always: []string{"--key cosign.key"},
		},
		"a key, the exact name": {
			requirement: sigstore(identity(`"type":"matchExact"`)), name: repositoryName + ":v1",
		},
		"a key, the repository or the exact name": {
			requirement: sigstore(identity(`"type":"matchRepoDigestOrExact"`)), name: repositoryName + ":v1",
		},
		"a key, one reference": {
			requirement: sigstore(identity(`"type":"exactReference","dockerReference":"origin.example/x:1"`)),
			name:        "origin.example/x:1", never: []string{"matchRepository"},
		},
		"a key, one repository": {
			requirement: sigstore(identity(`"type":"exactRepository","dockerRepository":"origin.example/x"`)),
			name:        "origin.example/x", never: []string{"matchRepository"},
		},
		"a key, a mirror's name": {
			requirement: sigstore(identity(`"type":"remapIdentity","prefix":"registry.example",` +
				`"signedPrefix":"origin.example/a"`)),
			name: "origin.example/a/app:v1", never: []string{"matchRepository"},
		},
		"a workflow's owner": {
			requirement: sigstore(`,"fulcio":{"caData":"Y2E=","oidcIssuer":"https://issuer.example",` +
				`"subjectEmail":"a@b.example"},"rekorPublicKeyData":"a2V5","signedIdentity":{"type":"matchRepository"}`),
			name: repositoryName, always: []string{"a@b.example, authenticated by https://issuer.example"},
			never: []string{"--key", "matchRepository"},
		},
		"an authority of one's own": {
			requirement: sigstore(`,"pki":{"caRootsData":"Y2E=","subjectHostname":"ci.example"},"signedIdentity":` +
				`{"type":"matchRepository"}`),
			name: repositoryName, always: []string{"--certificate"}, never: []string{"matchRepository"},
		},
		"GPG": {
			requirement: &policy.Requirement{ID: digestOf("gpg"), Type: "signedBy", NeedsEvidence: true, JSON: []byte(`{}`)},
			never:       []string{"cosign sign", "docker-reference", "rekor"},
		},
		"reject": {
			requirement: &policy.Requirement{ID: digestOf("no"), Type: "reject"},
			always:      []string{"no signature would help"}, never: []string{"cosign sign", "podman"},
		},
		"signedBaseLayer": {
			requirement: &policy.Requirement{ID: digestOf("base"), Type: "signedBaseLayer"},
			always:      []string{"no signature would help"}, never: []string{"cosign sign", "podman"},
		},
	} {
		for _, cause := range policy.Causes() {
			t.Run(fmt.Sprintf("%s, %s", name, cause), func(t *testing.T) {
				verdict := policy.Verdict{
					Reason: policy.Rejected, Reference: repositoryName + ":v1", Unmet: test.requirement, Cause: cause,
				}
				advice := verdict.Advice()
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
						t.Errorf("%q says %q", advice, useless)
					}
				}
			})
		}
	}
}

func TestThereIsNoAdviceWhereNoneCanHelp(t *testing.T) {
	requirement := sigstore(`,"keyData":"a2V5"`)
	broken := *requirement
	broken.Problem = "reading key file /etc/key: no such file or directory"
	for name, verdict := range map[string]policy.Verdict{
		"it is admitted":            {Outcome: policy.Admit, Unmet: requirement, Reference: tagged, Cause: policy.OtherKey},
		"no requirement was judged": {Reason: policy.UnknownOrigin, Reference: tagged},
		"the requirement's key cannot be read": {
			Reason: policy.InvalidPolicy, Unmet: &broken, Reference: tagged, Cause: policy.NoSignature,
		},
		"the cause is not known":     {Reason: policy.Rejected, Unmet: requirement, Reference: tagged},
		"it is not known under what": {Reason: policy.Rejected, Unmet: requirement, Cause: policy.OtherKey},
	} {
		if advice := verdict.Advice(); advice != "" {
			t.Errorf("%s: %s", name, advice)
		}
	}
}

// TestKeyFilesAreNamedByTheRequirementAndNotByItsFinding: two requirements of the same content share findings, and each
// names its own files.
func TestKeyFilesAreNamedByTheRequirementAndNotByItsFinding(t *testing.T) {
	one, two := *signedBy("alice"), *signedBy("alice")
	one.KeyFiles, two.KeyFiles = []string{"/keys/one.pub"}, []string{"/keys/two.pub"}
	n := newNode(t)
	n.set.Store(&policy.Set{
		System:     policy.Source{Document: document("/system.json", &two)},
		Namespaces: map[string]policy.Source{"prod": {Document: document("/prod.json", &one)}},
	})
	n.signed(map[string]string{tagged: "mallory"})
	decider := newDecider(t, n.sources())
	question := ask(tagged)
	first := decider.Decide(t.Context(), question)
	question.Namespace = "other"
	second := decider.Decide(t.Context(), question)
	for _, verdict := range []policy.Verdict{first, second} {
		file := map[string]string{"/prod.json": "/keys/one.pub", "/system.json": "/keys/two.pub"}[verdict.Document]
		if !strings.HasSuffix(verdict.Detail, "(the requirement's keys are those of "+file+")") {
			t.Errorf("of %s: %s", verdict.Document, verdict.Detail)
		}
	}
	if n.judged.Load() != 1 {
		t.Errorf("judged %d times: they share no finding", n.judged.Load())
	}
}
