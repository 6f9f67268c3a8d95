package bundle_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// fixture returns output of cosign 3.1.3, or the input from which it was made.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "cosign-3.1.3", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestSignaturesByCosign313AreAccepted judges bundles that cosign created.
func TestSignaturesByCosign313AreAccepted(t *testing.T) {
	byKey := func(key string) map[string]any {
		return map[string]any{"type": "sigstoreSigned", "keyData": fixture(t, key)}
	}
	byPKI := map[string]any{"type": "sigstoreSigned", "pki": map[string]any{
		"caRootsData": fixture(t, "pki-root.pem"), "caIntermediatesData": fixture(t, "pki-intermediate.pem"),
		"subjectEmail": "build@example.com", "subjectHostname": "build.example.com",
	}}
	byRoot := map[string]any{"type": "sigstoreSigned", "pki": map[string]any{
		"caRootsData": fixture(t, "pki-root.pem"), "subjectEmail": "build@example.com",
	}}
	for name, test := range map[string]struct {
		manifest, bundle string
		requirement      map[string]any
		want             policy.Reason
	}{
		"by key":                             {"manifest.json", "key.json", byKey("cosign.pub"), nameless},
		"by key, with a name":                {"manifest.json", "key-annotated.json", byKey("cosign.pub"), policy.Accepted},
		"by another key":                     {"manifest.json", "key-annotated.json", byKey("p384.pub"), policy.Rejected},
		"ECDSA P-384":                        {"manifest.json", "p384.json", byKey("p384.pub"), policy.Accepted},
		"ECDSA P-521":                        {"manifest.json", "p521.json", byKey("p521.pub"), policy.Accepted},
		"Ed25519":                            {"manifest.json", "ed25519.json", byKey("ed25519.pub"), policy.Accepted},
		"RSA 2048":                           {"manifest.json", "rsa2048.json", byKey("rsa2048.pub"), policy.Accepted},
		"RSA 3072":                           {"manifest.json", "rsa3072.json", byKey("rsa3072.pub"), policy.Accepted},
		"RSA 4096":                           {"manifest.json", "rsa4096.json", byKey("rsa4096.pub"), policy.Accepted},
		"an index, signed recursively":       {"index.json", "recursive-index.json", byKey("cosign.pub"), policy.Accepted},
		"what it lists, signed recursively":  {"manifest.json", "recursive-child.json", byKey("cosign.pub"), policy.Accepted},
		"what it lists, by the index's":      {"manifest.json", "recursive-index.json", byKey("cosign.pub"), policy.Rejected},
		"by a certificate":                   {"manifest.json", "pki.json", byPKI, policy.Accepted},
		"by a certificate, whose chain lack": {"manifest.json", "pki.json", byRoot, policy.Rejected},
		"by a certificate and its chain":     {"manifest.json", "pki-chain.json", byRoot, policy.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, fixture(t, test.manifest), fixture(t, test.bundle))
			wantFinding(t, app.judge(t, required(t, test.requirement)), test.want, "")
		})
	}
}

// TestBundlesHaveTheFormatOfCosign compares the bundles of this package's tests with cosign's: the same members in the
// same places, and the same texts except digests, keys and signatures.
func TestBundlesHaveTheFormatOfCosign(t *testing.T) {
	raw := fixture(t, "manifest.json")
	key, ours := bundletest.NewKey(t), newCompany(t)
	leaf := ours.certify(t, key.Public(), nil)
	for name, made := range map[string]bundletest.Bundle{
		"key.json":             bundletest.Sign(t, key, digest.FromBytes(raw), ""),
		"recursive-child.json": bundletest.Sign(t, key, digest.FromBytes(raw), tagged),
		"pki.json":             bundletest.Sign(t, key, digest.FromBytes(raw), tagged).Certified(leaf),
		"pki-chain.json": bundletest.Sign(t, key, digest.FromBytes(raw), tagged).
			Certified(leaf, ours.authority.Certificate),
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(shape(t, fixture(t, name)), shape(t, made.JSON(t))); diff != "" {
				t.Errorf("cosign's and ours differ (-cosign +ours):\n%s", diff)
			}
		})
	}
}

// TestKeylessBundlesHaveTheFormatOfCosign compares with a bundle that cosign created with the public Fulcio and Rekor.
func TestKeylessBundlesHaveTheFormatOfCosign(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "public", "oci-attestation.sigstore.json"))
	if err != nil {
		t.Fatal(err)
	}
	ours := bundletest.NewSigstore(t).Sign(t, builder, subject, tagged)
	for name, part := range map[string]func([]byte) []byte{
		"bundle": func(raw []byte) []byte { return raw },
		"body": func(raw []byte) []byte {
			var bundle struct {
				VerificationMaterial struct {
					TlogEntries []struct{ CanonicalizedBody []byte }
				}
			}
			if err := json.Unmarshal(raw, &bundle); err != nil {
				t.Fatal(err)
			}
			return bundle.VerificationMaterial.TlogEntries[0].CanonicalizedBody
		},
	} {
		theirs, made := names(t, part(raw)), names(t, part(ours.JSON(t)))
		// The test's log contains only one entry, so its index is 0 and its proof has no hashes.
		theirs = slices.DeleteFunc(theirs, func(name string) bool {
			return strings.HasSuffix(name, "inclusionProof/hashes") || strings.HasSuffix(name, "inclusionProof/logIndex")
		})
		if diff := cmp.Diff(theirs, made); diff != "" {
			t.Errorf("the %s of theirs and of ours differ in members (-theirs +ours):\n%s", name, diff)
		}
	}
}

// shape returns a bundle with its decoded statement, without values that differ between bundles.
func shape(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var bundle map[string]any
	if err := json.Unmarshal(raw, &bundle); err != nil {
		t.Fatal(err)
	}
	envelope := bundle["dsseEnvelope"].(map[string]any)
	var payload struct{ DSSEEnvelope struct{ Payload []byte } }
	if err := json.Unmarshal(raw, &payload); err != nil {
		t.Fatal(err)
	}
	envelope["payload"] = string(payload.DSSEEnvelope.Payload)
	envelope["signatures"].([]any)[0].(map[string]any)["sig"] = "…"
	blank(bundle["verificationMaterial"])
	return bundle
}

// blank replaces every text by a placeholder.
func blank(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if _, ok := member.(string); ok {
				value[name] = "…"
			}
			blank(member)
		}
	case []any:
		for _, element := range value {
			blank(element)
		}
	}
}

// names lists the paths of a document's members.
func names(t *testing.T, raw []byte) []string {
	t.Helper()
	var value any
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&value); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		found[path] = true
		switch value := value.(type) {
		case map[string]any:
			for name, member := range value {
				walk(path+"/"+name, member)
			}
		case []any:
			for _, element := range value {
				walk(path, element)
			}
		}
	}
	walk("", value)
	return slices.Sorted(maps.Keys(found))
}
