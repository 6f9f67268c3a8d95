package signaturetest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// GitHub is the OIDC issuer of GitHub Actions.
const GitHub = "https://token.actions.githubusercontent.com"

// Workflow is the identity of a workflow of GitHub Actions, as Fulcio certifies it.
type Workflow struct {
	// Issuer is the OIDC issuer, and Repository the URL of the source repository, whose owner has the URL Owner.
	Issuer, Owner, Repository string
	// File is the path of the workflow in the repository, and Ref the branch or tag on which it ran.
	File, Ref string
}

// NewWorkflow returns the identity of the workflow release.yml of a repository of GitHub.
func NewWorkflow(owner, repository, ref string) Workflow {
	return Workflow{
		Issuer: GitHub, Owner: "https://github.com/" + owner, Repository: "https://github.com/" + owner + "/" + repository,
		File: ".github/workflows/release.yml", Ref: ref,
	}
}

// URI returns the URI of the workflow, which identifies the signer.
func (w Workflow) URI() string { return w.Repository + "/" + w.File + "@" + w.Ref }

// Extensions returns what Fulcio writes into the certificate: the URI as the only alternative name, the issuer in both
// forms, and the claims (docs/oid-info.md).
func (w Workflow) Extensions(t testing.TB) []pkix.Extension {
	t.Helper()
	return []pkix.Extension{
		AlternativeNames(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(w.URI())}),
		{Id: FulcioExtension(1), Value: []byte(w.Issuer)},
		Claim(t, 8, w.Issuer), Claim(t, 9, w.URI()), Claim(t, 11, "github-hosted"), Claim(t, 12, w.Repository),
		Claim(t, 14, w.Ref), Claim(t, 16, w.Owner), Claim(t, 20, "push"),
	}
}

// FulcioExtension returns the object identifier of an extension of Fulcio.
func FulcioExtension(number int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}
}

// Claim returns an extension of Fulcio that contains a string in DER.
func Claim(t testing.TB, number int, value string) pkix.Extension {
	t.Helper()
	encoded, err := asn1.MarshalWithParams(value, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: FulcioExtension(number), Value: encoded}
}

// AlternativeNames returns the extension with these names.
func AlternativeNames(t testing.TB, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	encoded, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: encoded}
}

// IssueExtensions creates a certificate for signing code, with these extensions.
func IssueExtensions(
	t testing.TB, parent *Authority, from, to time.Time, extensions []pkix.Extension,
) *Authority {
	t.Helper()
	return Issue(t, parent, &x509.Certificate{
		NotBefore: from, NotAfter: to, ExtraExtensions: extensions,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
}

// SignWorkflow signs as a workflow: an hour ago, with a certificate for ten minutes, which has expired since.
func (s *Sigstore) SignWorkflow(t testing.TB, workflow Workflow, name string, manifest digest.Digest) Signature {
	t.Helper()
	issued := time.Now().Add(-time.Hour)
	signer := IssueExtensions(t, s.Intermediate, issued, issued.Add(10*time.Minute), workflow.Extensions(t))
	return Sign(t, signer.Key, name, manifest).
		Certified(signer, s.Intermediate, s.Root).
		Logged(t, s.Log, signer.PEM, issued.Add(time.Minute))
}
