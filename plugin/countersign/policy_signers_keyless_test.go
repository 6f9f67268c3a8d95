package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// claimsOf returns the extensions of a certificate of Fulcio: every one that Fulcio documents, except the name.
func claimsOf(workflow signaturetest.Workflow) map[int]string {
	claims := map[int]string{
		1: workflow.Issuer, 8: workflow.Issuer, 9: workflow.URI(), 11: "github-hosted", 12: workflow.Repository,
		14: workflow.Ref, 16: workflow.Owner, 20: "push",
	}
	for number := 2; number <= 22; number++ {
		// 7 is the kind of a name that workflows do not have.
		if _, ok := claims[number]; !ok && number != 7 {
			claims[number] = fmt.Sprintf("value %d", number)
		}
	}
	return claims
}

// signKeyless pushes an image, signed by a workflow whose certificate has every extension.
func (s *shop) signKeyless(
	t *testing.T, tag string, sigstore *signaturetest.Sigstore, workflow signaturetest.Workflow,
) {
	t.Helper()
	image := s.image(tag)
	s.push(tag, image)
	extensions := []pkix.Extension{signaturetest.AlternativeNames(t, asn1.RawValue{
		Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(workflow.URI()),
	})}
	for number, value := range claimsOf(workflow) {
		extension := signaturetest.Claim(t, number, value)
		if number <= 6 {
			extension.Value = []byte(value)
		}
		extensions = append(extensions, extension)
	}
	issued := time.Now().Add(-time.Hour)
	signer := signaturetest.IssueExtensions(t, sigstore.Intermediate, issued, issued.Add(10*time.Minute), extensions)
	signature := signaturetest.Sign(t, signer.Key, s.repository(), s.digest(image)).
		Certified(signer, sigstore.Intermediate, sigstore.Root).
		Logged(t, sigstore.Log, signer.PEM, issued.Add(time.Minute))
	s.push(strings.Replace(s.digest(image).String(), ":", "-", 1)+".sig", s.signatures(signature))
}

// writeTrustedRoot writes the trusted root of a Sigstore.
func writeTrustedRoot(t *testing.T, path string, sigstore *signaturetest.Sigstore) {
	t.Helper()
	key, err := x509.MarshalPKIXPublicKey(sigstore.Log.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(key)
	period := map[string]any{"start": time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)}
	raw, err := json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"certificateAuthorities": []any{map[string]any{
			"uri": "https://fulcio.example", "validFor": period,
			"certChain": map[string]any{"certificates": []any{
				map[string]any{"rawBytes": sigstore.Intermediate.Certificate.Raw},
				map[string]any{"rawBytes": sigstore.Root.Certificate.Raw},
			}},
		}},
		"tlogs": []any{map[string]any{
			"baseUrl": "https://rekor.example", "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": id[:]},
			"publicKey": map[string]any{
				"rawBytes": key, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": period,
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestARequirementFromAKeylessSignature shows every extension of a certificate. The requirement that is written from a
// signature accepts this image, and none that another workflow, ref or authority has signed.
func TestARequirementFromAKeylessSignature(t *testing.T) {
	shop, directory := newShop(t), t.TempDir()
	ours, theirs := signaturetest.NewSigstore(t), signaturetest.NewSigstore(t)
	workflow := signaturetest.NewWorkflow("acme", "app", "refs/tags/v1")
	for tag, by := range map[string]struct {
		sigstore *signaturetest.Sigstore
		workflow signaturetest.Workflow
	}{
		"ours":      {ours, workflow},
		"branch":    {ours, signaturetest.NewWorkflow("acme", "app", "refs/heads/main")},
		"other":     {ours, signaturetest.NewWorkflow("acme-fork", "app", "refs/tags/v1")},
		"authority": {theirs, workflow},
	} {
		shop.signKeyless(t, tag, by.sigstore, by.workflow)
	}
	if err := errors.Join(writeConfig(directory, "node.toml", "deny"), shop.policy(directory)); err != nil {
		t.Fatal(err)
	}
	root, document := filepath.Join(directory, "trusted_root.json"), filepath.Join(directory, "document.json")
	writeTrustedRoot(t, root, ours)
	run := func(want int, arguments ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := execute(append([]string{"countersign"}, arguments...), &stdout, &stderr); status != want {
			t.Errorf("%q: status %d, want %d: %s%s", arguments, status, want, stdout.String(), stderr.String())
		}
		return stdout.String()
	}
	config, image := filepath.Join(directory, "node.toml"), shop.repository()+":ours"
	shown := run(exitAdmitted, "policy", "show-signers", "--config", config, image)
	for number, value := range claimsOf(workflow) {
		if line := fmt.Sprintf("  1.3.6.1.4.1.57264.1.%d:", number); !strings.Contains(shown, line) {
			t.Errorf("extension %d is not shown", number)
		}
		if !strings.Contains(shown, fmt.Sprintf(" %q\n", value)) {
			t.Errorf("the value %q of extension %d is not shown", value, number)
		}
	}
	requirement := run(exitAdmitted, "policy", "show-signers", "--config", config, "--as-policy",
		"--trusted-root", root, image)
	if err := os.WriteFile(document, []byte(`{"default": [`+requirement+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]int{
		"ours": exitAdmitted, "branch": exitDenied, "other": exitDenied, "authority": exitDenied,
	} {
		run(want, "check", "--config", config, "--system-policy", document, "--image", "registry", shop.repository()+":"+tag)
	}
}
