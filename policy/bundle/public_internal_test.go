package bundle

import (
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// publicFile returns test data of cosign and sigstore-go, created with public authorities and logs.
func publicFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "public", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// publicRequirement requires a signature with an identity of the public Fulcio.
func publicRequirement(t *testing.T, roots, email, issuer string) *requirement {
	t.Helper()
	var trusted struct {
		TLogs []struct {
			PublicKey struct{ RawBytes []byte }
		}
		CertificateAuthorities []struct {
			CertChain struct{ Certificates []struct{ RawBytes []byte } }
		}
	}
	if err := json.Unmarshal(publicFile(t, roots), &trusted); err != nil {
		t.Fatal(err)
	}
	var authorities []byte
	for _, authority := range trusted.CertificateAuthorities {
		for _, certificate := range authority.CertChain.Certificates {
			authorities = append(authorities, pemBlock("CERTIFICATE", certificate.RawBytes)...)
		}
	}
	raw, err := json.Marshal(map[string]any{
		"type":               "sigstoreSigned",
		"fulcio":             map[string]any{"caData": authorities, "oidcIssuer": issuer, "subjectEmail": email},
		"rekorPublicKeyData": pemBlock("PUBLIC KEY", trusted.TLogs[0].PublicKey.RawBytes),
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := newRequirement(raw)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestAPublicBundleIsVerifiedByItsRealRoots: the test data of cosign and sigstore-go has no image signature by cosign 3
// for which a policy can be written, but an attestation of an image, by an e-mail address, with the public Fulcio and
// Rekor. It is verified like a signature, except for its predicate type.
func TestAPublicBundleIsVerifiedByItsRealRoots(t *testing.T) {
	const email, issuer = "cody@soyland.com", "https://github.com/login/oauth"
	const image = digest.Digest("sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4")
	for name, test := range map[string]struct {
		roots, email, issuer string
		subject              digest.Digest
		want                 string // A part of the error; empty: it is verified.
	}{
		"as it is":          {"public-good.json", email, issuer, image, ""},
		"another address":   {"public-good.json", "eve@example.com", issuer, image, "not for the e-mail address"},
		"another issuer":    {"public-good.json", email, "https://accounts.google.com", image, "the OIDC issuer"},
		"another image":     {"public-good.json", email, issuer, digest.FromString("x"), "does not match"},
		"another authority": {"scaffolding.json", email, issuer, image, "by another log"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := asSignature(t, publicFile(t, "oci-attestation.sigstore.json"))
			err := publicRequirement(t, test.roots, test.email, test.issuer).verify(bundle, test.subject)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}

// TestPublicBundlesAreNotSignatures: their predicates and formats are not those of cosign 3's image signatures.
func TestPublicBundlesAreNotSignatures(t *testing.T) {
	for name, want := range map[string]struct{ attestation, problem string }{
		"oci-attestation.sigstore.json": {`has predicate "https://cosign.sigstore.dev/attestation/v1"`, ""},
		"dsse.sigstore.json": {
			`has predicate "https://slsa.dev/provenance/v0.2"`, "it is a bundle v0.1, and a signature is one of v0.3",
		},
		"othername.sigstore.json": {"", "it contains a message signature"},
	} {
		bundle := parse(name, publicFile(t, name))
		if !strings.Contains(bundle.attestation, want.attestation) || !strings.Contains(bundle.problem, want.problem) ||
			bundle.attestation == "" && bundle.problem == "" {
			t.Errorf("%s: %q, %q", name, bundle.attestation, bundle.problem)
		}
	}
}

// asSignature parses a bundle without checking its predicate type.
func asSignature(t *testing.T, raw []byte) *signed {
	t.Helper()
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(raw, message); err != nil {
		t.Fatal(err)
	}
	s := &signed{log: message.VerificationMaterial.TlogEntries}
	message.VerificationMaterial.TlogEntries = nil
	checked, err := check(message)
	if err != nil {
		t.Fatal(err)
	}
	if s.content, err = checked.SignatureContent(); err != nil {
		t.Fatal(err)
	}
	if err := s.addSigner(checked); err != nil {
		t.Fatal(err)
	}
	return s
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestAPublicBundleIsVerifiedByItsTrustedRoot verifies the same bundle by the public Sigstore's trusted root, of the
// test data and of sigstore's own module, which is the current one.
func TestAPublicBundleIsVerifiedByItsTrustedRoot(t *testing.T) {
	const email, issuer = "cody@soyland.com", "https://github.com/login/oauth"
	const image = digest.Digest("sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4")
	current := moduleFile(t, "github.com/sigstore/sigstore", "pkg/tuf/repository/targets/trusted_root.json")
	for name, test := range map[string]struct {
		root  []byte
		email string
		tlog  string
		want  string // A part of the error; empty: it is verified.
	}{
		"as it is":        {publicFile(t, "public-good.json"), email, "required", ""},
		"the current one": {current, email, "required", ""},
		"another address": {current, "eve@example.com", "required", "not for the e-mail address"},
		"another Sigstore": {
			publicFile(t, "scaffolding.json"), email, "required", "by another log than the trusted root's",
		},
		"a timestamp required": {current, email, "none", "it has no timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(map[string]any{
				"type": "sigstoreSigned", "trustedRootData": test.root, "tlog": test.tlog,
				"fulcio": map[string]any{"oidcIssuer": issuer, "subjectEmail": test.email},
			})
			if err != nil {
				t.Fatal(err)
			}
			made, err := newRequirement(raw)
			if err != nil {
				t.Fatal(err)
			}
			err = made.verify(asSignature(t, publicFile(t, "oci-attestation.sigstore.json")), image)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
		})
	}
}

// moduleFile returns a file of a module on which we depend.
func moduleFile(t *testing.T, module, name string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
