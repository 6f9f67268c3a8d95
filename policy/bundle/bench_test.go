package bundle_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"path/filepath"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign/countersign/policy"
	ours "github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// bare calls sigstore-go directly, with its trusted material and its policy.
type bare struct {
	trusted root.TrustedMaterial
	options []verify.VerifierOption
	policy  verify.PolicyBuilder
}

// benchmarkJudge compares a judgement of bundles that are not cached with sigstore-go's reading, parsing and verifying
// of the same file. The bound is 1.2 times that. It also measures a second requirement on the same bundles.
func benchmarkJudge(b *testing.B, requirement *policy.Requirement, app sample, bare bare) {
	b.Helper()
	judge, ref := ours.NewJudge(), named(b, tagged)
	generation := uint64(1)
	run := func(b *testing.B, step uint64) {
		b.Helper()
		b.ReportAllocs()
		evidence := app.evidence
		for b.Loop() {
			generation += step
			evidence.Generation = generation
			if finding := judge.Judge(b.Context(), policy.JudgeRequest{
				Requirement: requirement, Reference: ref, Manifest: app.manifest, Evidence: evidence,
			}); !finding.Met {
				b.Fatal(finding.Detail)
			}
		}
	}
	b.Run("countersign", func(b *testing.B) { run(b, 1) })
	b.Run("sigstore-go", func(b *testing.B) {
		b.ReportAllocs()
		path := filepath.Join(app.evidence.Directory, "bundle-1.json")
		for b.Loop() {
			entity, err := bundle.LoadJSONFromPath(path)
			if err != nil {
				b.Fatal(err)
			}
			verifier, err := verify.NewVerifier(bare.trusted, bare.options...)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := verifier.Verify(entity, bare.policy); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("countersign-again", func(b *testing.B) { run(b, 0) })
}

// artifact is the image that is verified.
func artifact(b *testing.B) verify.ArtifactPolicyOption {
	b.Helper()
	raw, err := hex.DecodeString(subject.Encoded())
	if err != nil {
		b.Fatal(err)
	}
	return verify.WithArtifactDigest(subject.Algorithm().String(), raw)
}

// byKey trusts a key.
func byKey(b *testing.B, key *bundletest.Key) *root.TrustedPublicKeyMaterial {
	b.Helper()
	verifier, err := signature.LoadDefaultVerifier(key.Public())
	if err != nil {
		b.Fatal(err)
	}
	expiring := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return expiring, nil })
}

func BenchmarkJudgeKey(b *testing.B) {
	key := bundletest.NewKey(b)
	benchmarkJudge(b, required(b, key.Requirement(b)),
		newSample(b, manifest, bundletest.Sign(b, key, subject, tagged).JSON(b)),
		bare{
			byKey(b, key),
			[]verify.VerifierOption{verify.WithNoObserverTimestamps()},
			verify.NewPolicy(artifact(b), verify.WithKey()),
		})
}

// loggedKey trusts a key and a log.
type loggedKey struct {
	root.BaseTrustedMaterial
	*root.TrustedPublicKeyMaterial
	logs map[string]*root.TransparencyLog
}

func (l *loggedKey) RekorLogs() map[string]*root.TransparencyLog { return l.logs }

func (l *loggedKey) PublicKeyVerifier(hint string) (root.TimeConstrainedVerifier, error) {
	return l.TrustedPublicKeyMaterial.PublicKeyVerifier(hint)
}

func (l *loggedKey) CTLogs() map[string]*root.TransparencyLog { return nil }

func (l *loggedKey) FulcioCertificateAuthorities() []root.CertificateAuthority { return nil }

func (l *loggedKey) TimestampingAuthorities() []root.TimestampingAuthority { return nil }

func BenchmarkJudgeKeyRekor(b *testing.B) {
	key, sigstore := bundletest.NewKey(b), bundletest.NewSigstore(b)
	signed := bundletest.Sign(b, key, subject, tagged)
	sigstore.Record(b, signed, key.PEM(b), time.Now())
	requirement := key.Requirement(b)
	requirement["rekorPublicKeyData"] = sigstore.LogPEM(b)
	benchmarkJudge(b, required(b, requirement), newSample(b, manifest, signed.JSON(b)), bare{
		&loggedKey{TrustedPublicKeyMaterial: byKey(b, key), logs: logs(b, sigstore.LogPEM(b))},
		[]verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithNoObserverTimestamps()},
		verify.NewPolicy(artifact(b), verify.WithKey()),
	})
}

// logs never expire.
func logs(b *testing.B, key []byte) map[string]*root.TransparencyLog {
	b.Helper()
	block, _ := pem.Decode(key)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		b.Fatal(err)
	}
	id := sha256.Sum256(block.Bytes)
	return map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
		PublicKey: public, SignatureHashFunc: crypto.SHA256, ValidityPeriodStart: time.Unix(1, 0),
	}}
}

func BenchmarkJudgeKeyless(b *testing.B) {
	sigstore := bundletest.NewSigstore(b)
	identity, err := verify.NewShortCertificateIdentity(builder.Issuer, "", builder.Email, "")
	if err != nil {
		b.Fatal(err)
	}
	benchmarkJudge(b, required(b, sigstore.Requirement(b, builder)),
		newSample(b, manifest, sigstore.Sign(b, builder, subject, tagged).JSON(b)),
		bare{
			sigstore,
			[]verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithIntegratedTimestamps(1)},
			verify.NewPolicy(artifact(b), verify.WithCertificateIdentity(identity)),
		})
}

// BenchmarkJudgeTrustedRoot compares a bundle with an entry of Rekor v2 and a timestamp.
func BenchmarkJudgeTrustedRoot(b *testing.B) {
	d := newDeployment(b)
	identity, err := verify.NewShortCertificateIdentity(builder.Issuer, "", builder.Email, "")
	if err != nil {
		b.Fatal(err)
	}
	trusted, err := root.NewTrustedRootFromJSON(d.file.JSON(b))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkJudge(b, required(b, d.rooted(b)), newSample(b, manifest, d.full(b).JSON(b)), bare{
		trusted,
		[]verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)},
		verify.NewPolicy(artifact(b), verify.WithCertificateIdentity(identity)),
	})
}
