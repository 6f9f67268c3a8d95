package bundle_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// releases matches the workflow of [release] on release tags.
const releases = `https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9]+(\.[0-9]+)*`

// release is the workflow whose images are accepted.
func release() signaturetest.Workflow {
	return signaturetest.NewWorkflow("acme", "app", "refs/tags/v1.2.0")
}

// by returns the workflow of a repository on a ref.
func by(owner, repository, ref string) func(testing.TB) []pkix.Extension {
	return signaturetest.NewWorkflow(owner, repository, ref).Extensions
}

// altered returns the extensions of [release] with others in the place of those with the same number.
func altered(changed ...pkix.Extension) func(testing.TB) []pkix.Extension {
	return func(t testing.TB) []pkix.Extension {
		t.Helper()
		extensions := release().Extensions(t)
		for _, change := range changed {
			for i := range extensions {
				if extensions[i].Id.Equal(change.Id) {
					extensions[i] = change
				}
			}
		}
		return extensions
	}
}

// without returns the extensions of [release] without one.
func without(id asn1.ObjectIdentifier) func(testing.TB) []pkix.Extension {
	return func(t testing.TB) (left []pkix.Extension) {
		t.Helper()
		for _, extension := range release().Extensions(t) {
			if !extension.Id.Equal(id) {
				left = append(left, extension)
			}
		}
		return left
	}
}

func name(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

// signers are the two formats, with the authority that certifies signers and one log for each format.
type signers struct {
	authority *signaturetest.Sigstore
	log       *bundletest.Sigstore
}

func newSigners(t testing.TB) signers {
	t.Helper()
	return signers{signaturetest.NewSigstore(t), bundletest.NewSigstore(t)}
}

// requirement requires these fields of "fulcio" in addition to the issuer.
func (s signers) requirement(t testing.TB, identity map[string]any) map[string]any {
	t.Helper()
	fulcio := map[string]any{
		"caData":     append(append([]byte{}, s.authority.Intermediate.PEM...), s.authority.Root.PEM...),
		"oidcIssuer": signaturetest.GitHub,
	}
	maps.Copy(fulcio, identity)
	return map[string]any{
		"type": "sigstoreSigned", "fulcio": fulcio, "signedIdentity": map[string]any{"type": "matchRepository"},
		"rekorPublicKeyDatas": [][]byte{s.log.LogPEM(t), signaturetest.PublicPEM(t, s.authority.Log.Public())},
	}
}

// certify returns a certificate with these extensions, which Go need not be able to read.
func (s signers) certify(t testing.TB, key *bundletest.Key, extensions []pkix.Extension) (der []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), ExtraExtensions: extensions,
		NotBefore: time.Now().Add(-5 * time.Minute), NotAfter: time.Now().Add(5 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	parent := s.authority.Intermediate
	der, err := x509.CreateCertificate(rand.Reader, template, parent.Certificate, key.Public(), parent.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// judge judges a signature by a certificate in both formats.
func (s signers) judge(
	t testing.TB, requirement *policy.Requirement, extensions []pkix.Extension,
) (asBundle, asOld policy.Finding) {
	t.Helper()
	key := bundletest.NewKey(t)
	der := s.certify(t, key, extensions)
	signed := bundletest.Sign(t, key, subject, tagged).Certified(&x509.Certificate{Raw: der})
	if _, err := x509.ParseCertificate(der); err == nil {
		s.log.Record(t, signed, pemOf(der), time.Now())
	}
	old := signaturetest.Sign(t, key.Signer, tagged, subject).
		Certified(&signaturetest.Authority{PEM: pemOf(der)}, s.authority.Intermediate, s.authority.Root).
		Logged(t, s.authority.Log, pemOf(der), time.Now())
	asOld = judgeOld(t, requirement, tagged, manifest, old)
	return newSample(t, manifest, signed.JSON(t)).judge(t, requirement), asOld
}

// identityCase is a certificate, and the identity that it must have.
type identityCase struct {
	identity    map[string]any
	certificate func(testing.TB) []pkix.Extension
	detail      string // Empty: it is accepted.
}

func pattern() map[string]any { return map[string]any{"subjectURIPattern": releases} }

func exact() map[string]any { return map[string]any{"subjectURI": release().URI()} }

func built() map[string]any { return map[string]any{"buildSignerURI": release().URI()} }

// and adds a field to an identity.
func and(identity map[string]any, field, value string) map[string]any {
	changed := maps.Clone(identity)
	changed[field] = value
	return changed
}

// TestIdentitiesOfWorkflows judges each certificate in both formats: the verdict is the same, and so is the reason.
func TestIdentitiesOfWorkflows(t *testing.T) {
	s := newSigners(t)
	for _, table := range []map[string]identityCase{
		acceptedIdentities(t), otherWorkflows(), otherSpellings(t), otherNamesInCertificates(t), otherClaims(t),
		malformedClaims(t),
	} {
		for name, test := range table {
			t.Run(name, func(t *testing.T) {
				want := policy.Accepted
				if test.detail != "" {
					want = policy.Rejected
				}
				requirement := required(t, s.requirement(t, test.identity))
				asBundle, asOld := s.judge(t, requirement, test.certificate(t))
				wantFinding(t, asBundle, want, test.detail)
				wantFinding(t, asOld, want, test.detail)
				for _, finding := range []policy.Finding{asBundle, asOld} {
					malformed := strings.Contains(test.detail, "x509:")
					if !finding.Met && finding.Cause != policy.OtherSigner && !malformed {
						t.Errorf("the cause is %s", finding.Cause)
					}
				}
			})
		}
	}
}

func acceptedIdentities(t testing.TB) map[string]identityCase {
	t.Helper()
	all := pattern()
	for field, value := range map[string]string{
		"sourceRepositoryURI": release().Repository, "sourceRepositoryRef": release().Ref,
		"sourceRepositoryOwnerURI": release().Owner, "runnerEnvironment": "github-hosted", "buildTrigger": "push",
	} {
		all[field] = value
	}
	mail := signaturetest.AlternativeNames(t, name(1, builder.Email))
	return map[string]identityCase{
		"the workflow, by pattern":       {pattern(), release().Extensions, ""},
		"the workflow, exactly":          {exact(), release().Extensions, ""},
		"the workflow, by build signer":  {built(), release().Extensions, ""},
		"another release, by pattern":    {pattern(), by("acme", "app", "refs/tags/v2"), ""},
		"every claim":                    {all, release().Extensions, ""},
		"the issuer only as a raw text":  {pattern(), without(signaturetest.FulcioExtension(8)), ""},
		"the issuer only in DER":         {pattern(), without(signaturetest.FulcioExtension(1)), ""},
		"no claims, and none are needed": {exact(), without(signaturetest.FulcioExtension(9)), ""},
		"an e-mail address and a claim": {
			map[string]any{"subjectEmail": builder.Email, "buildTrigger": "push"}, altered(mail), "",
		},
	}
}

func otherWorkflows() map[string]identityCase {
	const notMatched = "which does not match " + releases
	const notExact = `, not for "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.0"`
	otherFile, otherHost, otherIssuer, noIssuer := release(), release(), release(), release()
	otherFile.File = ".github/workflows/test.yml"
	otherHost.Repository = "https://github.com.evil.example/acme/app"
	otherIssuer.Issuer, noIssuer.Issuer = "https://issuer.evil.example", "https://token.actions.githubusercontent.com/"
	other := map[string]func(testing.TB) []pkix.Extension{
		"on a branch":                              by("acme", "app", "refs/heads/main"),
		"on a branch with the name of a release":   by("acme", "app", "refs/heads/v1.2.0"),
		"on a branch with the path of a release":   by("acme", "app", "refs/heads/refs/tags/v1.2.0"),
		"on a pull request":                        by("acme", "app", "refs/pull/7/merge"),
		"on a release candidate":                   by("acme", "app", "refs/tags/v1.2.0-rc1"),
		"on a tag that only begins like a release": by("acme", "app", "refs/tags/v1.2.0/evil"),
		"in a fork":                                by("mallory", "app", "refs/tags/v1.2.0"),
		"of an owner with the right one as suffix": by("evil-acme", "app", "refs/tags/v1.2.0"),
		"of an owner with the right one as prefix": by("acme-evil", "app", "refs/tags/v1.2.0"),
		"of an owner with the right one as path":   by("evil/acme", "app", "refs/tags/v1.2.0"),
		"of a repository with the right prefix":    by("acme", "app-evil", "refs/tags/v1.2.0"),
		"of a repository with the right suffix":    by("acme", "evil-app", "refs/tags/v1.2.0"),
		"of another workflow file":                 otherFile.Extensions,
		"on a host with the right one as prefix":   otherHost.Extensions,
	}
	cases := map[string]identityCase{
		"by another issuer, with the same subject, by pattern": {
			pattern(), otherIssuer.Extensions, `"https://issuer.evil.example", not "https://token.actions`,
		},
		"by another issuer, with the same subject, exactly": {exact(), otherIssuer.Extensions, "the OIDC issuer"},
		"by another issuer, with the same build signer":     {built(), otherIssuer.Extensions, "the OIDC issuer"},
		"by an issuer with one more slash":                  {exact(), noIssuer.Extensions, "the OIDC issuer"},
	}
	for name, certificate := range other {
		cases[name+", by pattern"] = identityCase{pattern(), certificate, notMatched}
		cases[name+", exactly"] = identityCase{exact(), certificate, notExact}
		cases[name+", by build signer"] = identityCase{built(), certificate, "the build signer in its certificate is"}
	}
	return cases
}
