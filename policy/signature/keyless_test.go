package signature_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestKeylessVerdictsAreThoseOfContainersImage: containers/image judges requirements with an e-mail address. Our judge
// of the identities that it does not know gives the same verdicts about them.
func TestKeylessVerdictsAreThoseOfContainersImage(t *testing.T) {
	raw := signaturetest.Manifest("app")
	ours := signaturetest.NewSigstore(t)
	requirements := map[string]string{}
	for name, identity := range map[string]string{
		"any tag": matchRepository, "by default": "", "exactly": `{"type":"matchExact"}`,
		"another": `{"type":"exactRepository","dockerRepository":"registry.example:5000/team/other"}`,
	} {
		requirement := ours.Requirement(t, alice)
		delete(requirement, "signedIdentity")
		if identity != "" {
			requirement["signedIdentity"] = json.RawMessage(identity)
		}
		requirements[name] = data(requirement)
	}
	judge, met := signature.NewJudge(), 0
	signatures := keylessSignatures(t, ours, digest.FromBytes(raw))
	for name, all := range signatures {
		t.Run(name, func(t *testing.T) {
			var files [][]byte
			for _, one := range all {
				files = append(files, one.File(t))
			}
			app := newSample(t, raw, files...)
			for kind, requirement := range requirements {
				for _, ref := range []string{appReference, "registry.example:5000/team/other:v1"} {
					parsed, ref := parse(t, requirement)[0], named(t, ref)
					theirs := judge.Judge(t.Context(), app.request(parsed, ref))
					finding := judge.JudgeKeyless(t.Context(), app.request(parsed, ref))
					if finding.Met != theirs.Met || finding.Reason != theirs.Reason {
						t.Errorf("%s, %s: %s, containers/image: %s", kind, ref, show(finding), show(theirs))
					}
					if finding.Met {
						met++
					}
				}
			}
		})
	}
	if len(signatures) < 60 || met < 12 {
		t.Errorf("there are %d signatures, and %d verdicts are yes: there is nothing to compare", len(signatures), met)
	}
}

func show(finding policy.Finding) string {
	return string(reason(finding)) + ": " + string(finding.Cause) + ": " + finding.Detail
}

// TestKeylessFixturesHaveTheVerdictsOfContainersImage: the certificate is one of the public Fulcio's.
func TestKeylessFixturesHaveTheVerdictsOfContainersImage(t *testing.T) {
	for name, test := range sigstoreFixtures() {
		if !strings.HasPrefix(name, "keyless") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			app := newSample(t, fixture(t, test.manifest), fixture(t, test.signatures))
			request := app.request(parse(t, test.requirement)[0], named(t, test.reference))
			if finding := signature.NewJudge().JudgeKeyless(t.Context(), request); reason(finding) != test.want {
				t.Errorf("%s, want %s", show(finding), test.want)
			}
		})
	}
}

// TestASignatureOfAWorkflowIsRefusedWithItsCause: the cause determines the advice.
func TestASignatureOfAWorkflowIsRefusedWithItsCause(t *testing.T) {
	const repository = "registry.example:5000/team/app"
	raw := signaturetest.Manifest("app")
	ours, theirs := signaturetest.NewSigstore(t), signaturetest.NewSigstore(t)
	workflow := signaturetest.NewWorkflow("acme", "app", "refs/tags/v1")
	requirement := ours.Requirement(t, signaturetest.Identity{Issuer: workflow.Issuer})
	fulcio := requirement["fulcio"].(map[string]any)
	delete(fulcio, "subjectEmail")
	fulcio["subjectURI"] = workflow.URI()
	good := ours.SignWorkflow(t, workflow, repository, digest.FromBytes(raw))
	attachment := good
	attachment.MediaType = "text/plain"
	branch := signaturetest.NewWorkflow("acme", "app", "refs/heads/main")
	for name, test := range map[string]struct {
		signature signaturetest.Signature
		cause     policy.Cause
		detail    string
	}{
		"good":          {good, "", ""},
		"an attachment": {attachment, policy.OnlyAttestations, "no sigstore signature exists (1 of other kinds)"},
		"no signature":  {with(good, signedIn, ""), policy.Malformed, "it has no annotation dev.cosign"},
		"no promise":    {with(good, loggedIn, ""), policy.NotLogged, "it is recorded by no transparency log"},
		"another log": {
			theirs.SignWorkflow(t, workflow, repository, digest.FromBytes(raw)), policy.NotLogged,
			"its inclusion promise is by none of the requirement's logs",
		},
		"no certificate": {with(good, certifiedIn, ""), policy.OtherSigner, "it has no certificate"},
		"a branch": {
			ours.SignWorkflow(t, branch, repository, digest.FromBytes(raw)), policy.OtherSigner,
			`its certificate is for the URI "` + branch.URI() + `", not for "` + workflow.URI() + `"`,
		},
		"another image": {
			ours.SignWorkflow(t, workflow, repository, digest.FromString("x")), policy.OtherImage, "does not match",
		},
		"another name": {
			ours.SignWorkflow(t, workflow, repository+"x", digest.FromBytes(raw)), policy.OtherName, "is not accepted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, test.signature.File(t))
			finding := signature.NewJudge().
				Judge(t.Context(), app.request(parse(t, data(requirement))[0], named(t, appReference)))
			if finding.Met != (test.detail == "") || finding.Cause != test.cause ||
				!strings.Contains(finding.Detail, test.detail) {
				t.Errorf("%s; want %s: %s", show(finding), test.cause, test.detail)
			}
		})
	}
}

// TestASignatureByTheKeyOfAnotherSignatureDoesNotCount: the time of one signature proves nothing about another by the
// same key, which may have been stolen since.
func TestASignatureByTheKeyOfAnotherSignatureDoesNotCount(t *testing.T) {
	const repository = "registry.example:5000/team/app"
	raw := signaturetest.Manifest("app")
	ours := signaturetest.NewSigstore(t)
	workflow := signaturetest.NewWorkflow("acme", "app", "refs/tags/v1")
	requirement := ours.Requirement(t, signaturetest.Identity{Issuer: workflow.Issuer})
	fulcio := requirement["fulcio"].(map[string]any)
	delete(fulcio, "subjectEmail")
	fulcio["subjectURI"] = workflow.URI()
	issued := time.Now().Add(-time.Hour)
	signer := signaturetest.IssueExtensions(
		t,
		ours.Intermediate,
		issued,
		issued.Add(10*time.Minute),
		workflow.Extensions(t),
	)
	certified := func(manifest digest.Digest) signaturetest.Signature {
		return signaturetest.Sign(t, signer.Key, repository, manifest).Certified(signer, ours.Intermediate, ours.Root)
	}
	genuine := certified(digest.FromString("genuine")).Logged(t, ours.Log, signer.PEM, issued.Add(time.Minute))
	later := certified(digest.FromBytes(raw)).Logged(t, ours.Log, signer.PEM, time.Now())
	app := newSample(t, raw, genuine.File(t), later.File(t), certified(digest.FromBytes(raw)).File(t))
	finding := signature.NewJudge().
		Judge(t.Context(), app.request(parse(t, data(requirement))[0], named(t, appReference)))
	if reason(finding) != policy.Rejected {
		t.Error(show(finding))
	}
}
