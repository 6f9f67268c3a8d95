package bundle_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func base64PEM(der []byte) []byte {
	return []byte(base64.StdEncoding.EncodeToString(pemOf(der)))
}

// company is a private PKI: a root and an intermediate authority, which certifies signers.
type company struct{ root, authority *signaturetest.Authority }

func newCompany(t testing.TB) company {
	t.Helper()
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	root := signaturetest.NewAuthority(t, "root", from, to, nil)
	return company{root, signaturetest.NewAuthority(t, "authority", from, to, root)}
}

// certify creates a certificate for a key, valid now, for a person and a host; change modifies it.
func (c company) certify(t testing.TB, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "build"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(2 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{builder.Email, "release@example.com"}, DNSNames: []string{"build.example.com"},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.authority.Certificate, public, c.authority.Key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// requirement requires a signature with a certificate of the company for this person and host, made for the repository.
func (c company) requirement(email, hostname string) map[string]any {
	pki := map[string]any{"caRootsData": c.root.PEM, "caIntermediatesData": c.authority.PEM}
	if email != "" {
		pki["subjectEmail"] = email
	}
	if hostname != "" {
		pki["subjectHostname"] = hostname
	}
	return map[string]any{
		"type": "sigstoreSigned", "pki": pki, "signedIdentity": map[string]any{"type": "matchRepository"},
	}
}

// sign signs with a key that the company certifies.
func (c company) sign(t testing.TB, key *bundletest.Key, change func(*x509.Certificate)) bundletest.Bundle {
	t.Helper()
	return bundletest.Sign(t, key, subject, tagged).Certified(c.certify(t, key.Public(), change))
}

func TestACompanysCertificatesAreAccepted(t *testing.T) {
	ours, key := newCompany(t), bundletest.NewKey(t)
	good := ours.sign(t, key, nil)
	chained := bundletest.Sign(t, key, subject, tagged).
		Certified(ours.certify(t, key.Public(), nil), ours.authority.Certificate)
	rootOnly := ours.requirement(builder.Email, "")
	delete(rootOnly["pki"].(map[string]any), "caIntermediatesData")
	hostOnly := ours.sign(t, key, func(c *x509.Certificate) { c.EmailAddresses = nil })
	noNames := ours.sign(t, key, func(c *x509.Certificate) { c.EmailAddresses, c.DNSNames = nil, nil })
	for name, test := range map[string]struct {
		requirement map[string]any
		bundle      bundletest.Bundle
		detail      string // Empty: it is accepted.
	}{
		"a person":                    {ours.requirement(builder.Email, ""), good, ""},
		"the second of two addresses": {ours.requirement("release@example.com", ""), good, ""},
		"a host":                      {ours.requirement("", "build.example.com"), good, ""},
		"a host that is not a person": {ours.requirement("", "build.example.com"), hostOnly, ""},
		"a host in capitals":          {ours.requirement("", "BUILD.example.com"), good, ""},
		"both":                        {ours.requirement(builder.Email, "build.example.com"), good, ""},
		"the chain is in the bundle":  {rootOnly, chained, ""},
		"the chain is in both":        {ours.requirement(builder.Email, ""), chained, ""},
		"the chain is in neither":     {rootOnly, good, "unknown authority"},
		"another person":              {ours.requirement("eve@example.com", ""), good, "not for the e-mail address"},
		"another host":                {ours.requirement("", "example.com"), good, "not for the host"},
		"the person but not the host": {ours.requirement(builder.Email, "example.com"), good, "not for the host"},
		"the host but not the person": {
			ours.requirement("eve@example.com", "build.example.com"), good, "not for the e-mail address",
		},
		"a host instead of a person": {ours.requirement(builder.Email, ""), hostOnly, "not for the e-mail address"},
		"no names":                   {ours.requirement(builder.Email, ""), noNames, "not for the e-mail address"},
		"another company":            {newCompany(t).requirement(builder.Email, ""), good, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			want := policy.Accepted
			if test.detail != "" {
				want = policy.Rejected
			}
			app := newSample(t, manifest, test.bundle.JSON(t))
			wantFinding(t, app.judge(t, required(t, test.requirement)), want, test.detail)
		})
	}
}

func TestTamperedCertificatesAreRefused(t *testing.T) {
	ours, key := newCompany(t), bundletest.NewKey(t)
	good := ours.sign(t, key, nil)
	certified := func(change func(*x509.Certificate)) []byte { return ours.sign(t, key, change).JSON(t) }
	flipped := good.Clone()
	flipped.VerificationMaterial.GetCertificate().RawBytes[300] ^= 1
	truncated := good.Clone()
	raw := truncated.VerificationMaterial.GetCertificate()
	raw.RawBytes = raw.RawBytes[:200]
	empty := good.Clone()
	empty.VerificationMaterial.GetCertificate().RawBytes = nil
	large := good.Clone()
	large.VerificationMaterial.GetCertificate().RawBytes = make([]byte, 40_000)
	leaf := ours.certify(t, key.Public(), nil)
	chain := func(above ...*x509.Certificate) []byte {
		return bundletest.Sign(t, key, subject, tagged).Certified(leaf, above...).JSON(t)
	}
	ten := make([]*x509.Certificate, 10)
	for i := range ten {
		ten[i] = ours.authority.Certificate
	}
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}
	const notAccepted = "its certificate is not accepted: "
	refuseAll(t, required(t, ours.requirement(builder.Email, "")), good, map[string]tampered{
		"expired": rejected(certified(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = c.NotBefore.Add(-time.Hour), time.Now().Add(-time.Second)
		}), notAccepted+"x509: certificate has expired or is not yet valid"),
		"not valid yet": rejected(certified(func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Minute)
		}), notAccepted+"x509: certificate has expired or is not yet valid"),
		"not for signing code": rejected(certified(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), notAccepted+"x509: certificate specifies an incompatible key usage"),
		"with an unknown critical extension": rejected(certified(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{unknown}
		}), notAccepted+"x509: unhandled critical extension"),
		"certified by no authority": rejected(bundletest.Sign(t, key, subject, tagged).
			Certified(newCompany(t).certify(t, key.Public(), nil)).JSON(t), notAccepted+"x509: certificate signed by unknown"),
		"another key's certificate": rejected(bundletest.Sign(t, key, subject, tagged).
			Certified(ours.certify(t, bundletest.NewKey(t).Public(), nil)).JSON(t), "its signature is not by"),
		"a bit of the certificate":  {flipped.JSON(t), policy.Rejected, ""},
		"half a certificate":        rejected(truncated.JSON(t), "x509: malformed"),
		"an empty certificate":      rejected(empty.JSON(t), "missing verification material"),
		"a large certificate":       rejected(large.JSON(t), "a certificate is larger than 32768 bytes"),
		"a chain with a root in it": rejected(chain(ours.authority.Certificate, ours.root.Certificate), "self-signed"),
		"a chain through a signer":  rejected(chain(leaf), "non-CA certificate found"),
		"ten certificates":          rejected(chain(ten...), "more than 9 certificates"),
		"a key in the place of the certificate": rejected(
			bundletest.Sign(t, key, subject, tagged).JSON(t), "it is signed with a key"),
	})
}

// fulcioNames are the issuer's extensions in certificates; each is optional.
func fulcioNames(t testing.TB, raw, encoded string) []pkix.Extension {
	t.Helper()
	der, err := asn1.MarshalWithParams(encoded, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	var extensions []pkix.Extension
	if raw != "" {
		extensions = append(extensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(raw),
		})
	}
	if encoded != "" {
		extensions = append(extensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: der,
		})
	}
	return extensions
}

// TestTheIssuerIsFulcios compares with containers/image's result for each certificate in a signature of the old format.
func TestTheIssuerIsFulcios(t *testing.T) {
	ours, log := newCompany(t), bundletest.NewSigstore(t)
	trust := log.Requirement(t, builder)
	trust["fulcio"].(map[string]any)["caData"] = append(append([]byte{}, ours.authority.PEM...), ours.root.PEM...)
	requirement := required(t, trust)
	oldLog := signaturetest.NewKey(t)
	trust["rekorPublicKeyData"] = signaturetest.PublicPEM(t, oldLog.Public())
	oldRequirement := required(t, trust)
	const elsewhere = "https://elsewhere.example"
	unreadable := fulcioNames(t, "", builder.Issuer)
	unreadable[0].Value = append(unreadable[0].Value, 0)
	otherName := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: otherNames(t)}
	for name, test := range map[string]struct {
		extensions []pkix.Extension
		detail     string // Empty: it is accepted.
	}{
		"raw":                        {fulcioNames(t, builder.Issuer, ""), ""},
		"encoded":                    {fulcioNames(t, "", builder.Issuer), ""},
		"both":                       {fulcioNames(t, builder.Issuer, builder.Issuer), ""},
		"neither":                    {nil, "has no OIDC issuer"},
		"another":                    {fulcioNames(t, elsewhere, ""), "the OIDC issuer in its certificate is"},
		"another, encoded":           {fulcioNames(t, "", elsewhere), "the OIDC issuer in its certificate is"},
		"both, and the raw one lies": {fulcioNames(t, elsewhere, builder.Issuer), "several OIDC issuers"},
		"both, and the other lies":   {fulcioNames(t, builder.Issuer, elsewhere), "several OIDC issuers"},
		"encoded, with more behind":  {unreadable, "is malformed"},
		"a name that Go cannot read": {append(fulcioNames(t, builder.Issuer, ""), otherName), "is for []"},
	} {
		t.Run(name, func(t *testing.T) {
			key := bundletest.NewKey(t)
			leaf := ours.certify(t, key.Public(), func(c *x509.Certificate) { c.ExtraExtensions = test.extensions })
			signed := bundletest.Sign(t, key, subject, tagged).Certified(leaf)
			log.Record(t, signed, pemOf(leaf.Raw), time.Now())
			app := newSample(t, manifest, signed.JSON(t))
			want := policy.Accepted
			if test.detail != "" {
				want = policy.Rejected
			}
			wantFinding(t, app.judge(t, requirement), want, test.detail)
			old := signaturetest.Sign(t, key.Signer, tagged, subject).
				Certified(&signaturetest.Authority{PEM: pemOf(leaf.Raw)}, ours.authority, ours.root).
				Logged(t, oldLog, pemOf(leaf.Raw), time.Now())
			if finding := judgeOld(t, oldRequirement, tagged, manifest, old); finding.Met != (test.detail == "") {
				t.Errorf("containers/image: met=%t, %s", finding.Met, finding.Detail)
			}
		})
	}
}

// otherNames is an alternative name of a kind that Go does not support, as Fulcio writes user names.
func otherNames(t testing.TB) []byte {
	t.Helper()
	value, err := asn1.Marshal([]asn1.RawValue{{
		Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 42, 0xa0, 3, 12, 1, 'x'},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestAnyAlgorithmOfCosigns: signatures with any of cosign's algorithms are accepted, by key and by certificate, and
// none with another key of the same kind.
func TestAnyAlgorithmOfCosigns(t *testing.T) {
	for name, made := range map[string]func() *bundletest.Key{
		"ECDSA P-256":              func() *bundletest.Key { return bundletest.NewKey(t) },
		"ECDSA P-384":              func() *bundletest.Key { return bundletest.NewECDSA(t, elliptic.P384(), crypto.SHA384) },
		"ECDSA P-384 with SHA-256": func() *bundletest.Key { return bundletest.NewECDSA(t, elliptic.P384(), crypto.SHA256) },
		"ECDSA P-521":              func() *bundletest.Key { return bundletest.NewECDSA(t, elliptic.P521(), crypto.SHA512) },
		"ECDSA P-521 with SHA-256": func() *bundletest.Key { return bundletest.NewECDSA(t, elliptic.P521(), crypto.SHA256) },
		"Ed25519":                  func() *bundletest.Key { return bundletest.NewEd25519(t, false) },
		"Ed25519ph":                func() *bundletest.Key { return bundletest.NewEd25519(t, true) },
		"RSA 2048, PKCS1 v1.5":     func() *bundletest.Key { return bundletest.NewRSA(t, 2048, false) },
		"RSA 2048, PSS":            func() *bundletest.Key { return bundletest.NewRSA(t, 2048, true) },
		"RSA 3072, PKCS1 v1.5":     func() *bundletest.Key { return bundletest.NewRSA(t, 3072, false) },
		"RSA 3072, PSS":            func() *bundletest.Key { return bundletest.NewRSA(t, 3072, true) },
	} {
		t.Run(name, func(t *testing.T) {
			ours, key, other := newCompany(t), made(), made()
			byKey := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
			wantFinding(t, byKey.judge(t, required(t, key.Requirement(t))), policy.Accepted, "")
			theirs := bundletest.Sign(t, other, subject, tagged)
			theirs.VerificationMaterial.GetPublicKey().Hint = ""
			byOther := newSample(t, manifest, theirs.JSON(t))
			wantFinding(t, byOther.judge(t, required(t, key.Requirement(t))), policy.Rejected, "not by the required signer")
			certified := newSample(t, manifest, ours.sign(t, key, nil).JSON(t))
			wantFinding(t, certified.judge(t, required(t, ours.requirement(builder.Email, ""))), policy.Accepted, "")
		})
	}
	weak := bundletest.NewECDSA(t, elliptic.P224(), crypto.SHA256)
	app := newSample(t, manifest, bundletest.Sign(t, weak, subject, tagged).JSON(t))
	wantFinding(t, app.judge(t, required(t, weak.Requirement(t))), policy.Rejected, "not by the required signer")
}
