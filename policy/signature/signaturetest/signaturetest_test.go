package signaturetest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy/signature/signaturetest"
)

const repository = "registry.example:5000/team/app"

var (
	manifest = []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,` +
		`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`)
	builder = signaturetest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}
)

// allowed reports whether containers/image accepts an image under a requirement.
func allowed(t *testing.T, requirement map[string]any, sig signaturetest.Signature) error {
	t.Helper()
	store := t.TempDir()
	for name, contents := range map[string][]byte{"manifest.json": manifest, "signature-1": sig.File(t)} {
		if err := os.WriteFile(filepath.Join(store, name), contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(map[string]any{"default": []any{requirement}})
	if err != nil {
		t.Fatal(err)
	}
	document, err := signature.NewPolicyFromBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	named, err := reference.ParseNormalizedNamed(repository + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	identity, err := docker.NewReference(named)
	if err != nil {
		t.Fatal(err)
	}
	location, err := directory.NewReference(store)
	if err != nil {
		t.Fatal(err)
	}
	source, err := location.NewImageSource(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	judge, err := signature.NewPolicyContext(document)
	if err != nil {
		t.Fatal(err)
	}
	unparsed := image.UnparsedInstanceWithReference(image.UnparsedInstance(source, nil), identity)
	yes, err := judge.IsRunningImageAllowed(t.Context(), unparsed)
	if err == nil && !yes {
		return errors.New("denied without a reason")
	}
	return err
}

// TestContainersImageVerifies judges each signature with containers/image, and invalidates each part that it must
// verify once.
func TestContainersImageVerifies(t *testing.T) {
	ours, others := signaturetest.NewSigstore(t), signaturetest.NewSigstore(t)
	stranger := signaturetest.Identity{Email: "eve@example.com", Issuer: builder.Issuer}
	elsewhere := signaturetest.Identity{Email: builder.Email, Issuer: "https://elsewhere.example"}
	subject, issued := digest.FromBytes(manifest), time.Now().Add(-time.Hour)
	keyless := ours.Requirement(t, builder)
	key := signaturetest.NewKey(t)
	byKey := map[string]any{
		"type": "sigstoreSigned", "keyData": signaturetest.PublicPEM(t, key.Public()),
		"signedIdentity": map[string]any{"type": "matchRepository"},
	}
	byKeyLogged := maps.Clone(byKey)
	byKeyLogged["rekorPublicKeyData"] = keyless["rekorPublicKeyData"]
	signer := signaturetest.IssueIdentity(t, ours.Intermediate, issued, issued.Add(time.Hour), builder)
	bare := signaturetest.Sign(t, signer.Key, repository, subject)
	another := signaturetest.Sign(t, signer.Key, repository, subject)
	swapped := bare.Certified(signer, ours.Intermediate, ours.Root)
	swapped.Annotations["dev.sigstore.cosign/bundle"] = another.
		Logged(t, ours.Log, signer.PEM, issued).Annotations["dev.sigstore.cosign/bundle"]

	tests := map[string]struct {
		requirement map[string]any
		signature   signaturetest.Signature
		want        string // A part of the error; empty: allowed.
	}{
		"keyless": {keyless, ours.Sign(t, builder, repository, subject), ""},
		"keyless, by another person": {
			keyless, ours.Sign(t, stranger, repository, subject), `Required email "build@example.com" not found`,
		},
		"keyless, by another issuer": {
			keyless, ours.Sign(t, elsewhere, repository, subject), `Unexpected Fulcio OIDC issuer "https://elsewhere.example"`,
		},
		"keyless, certified by another authority": {
			others.Requirement(t, builder), bare.Certified(signer, ours.Intermediate, ours.Root).
				Logged(t, others.Log, signer.PEM, issued), "certificate signed by unknown authority",
		},
		"keyless, in another log": {
			keyless, bare.Certified(signer, ours.Intermediate, ours.Root).
				Logged(t, others.Log, signer.PEM, issued), "verification of Rekor SET failed",
		},
		"keyless, without the intermediate": {
			keyless, bare.Certified(signer, ours.Root).Logged(t, ours.Log, signer.PEM, issued), "unknown authority",
		},
		"keyless, in no log": {
			keyless, bare.Certified(signer, ours.Intermediate, ours.Root), "missing dev.sigstore.cosign/bundle",
		},
		"keyless, with the log's entry of another signature": {
			keyless, swapped, "signature in Rekor SET does not match",
		},
		"keyless, after the certificate had expired": {
			keyless, ours.SignAt(t, builder, repository, subject, issued, 11*time.Minute), "certificate has expired",
		},
		"keyless, for another repository": {
			keyless, ours.Sign(t, builder, "registry.example:5000/other", subject), "is not accepted",
		},
		"keyless, another image": {
			keyless, ours.Sign(t, builder, repository, digest.FromString("another")), "does not match",
		},
		"by key":         {byKey, signaturetest.Sign(t, key, repository, subject), ""},
		"by another key": {byKey, bare, "cryptographic signature verification failed"},
		"by key, in the log": {byKeyLogged, signaturetest.Sign(t, key, repository, subject).
			Logged(t, ours.Log, signaturetest.PublicPEM(t, key.Public()), issued), ""},
		"by key, not in the log": {
			byKeyLogged, signaturetest.Sign(t, key, repository, subject), "missing dev.sigstore.cosign/bundle",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := allowed(t, test.requirement, test.signature)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("containers/image: %v; want %q", err, test.want)
			}
		})
	}
}

// TestSignaturesHaveTheFormatOfCosign compares with a signature that cosign created with the public Fulcio and Rekor.
func TestSignaturesHaveTheFormatOfCosign(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "containers-image", "cosign-fulcio-rekor-valid.signature"))
	if err != nil {
		t.Fatal(err)
	}
	ours := signaturetest.NewSigstore(t).Sign(t, builder, repository, digest.FromBytes(manifest)).File(t)
	if diff := cmp.Diff(shape(t, raw), shape(t, ours)); diff != "" {
		t.Errorf("cosign's and ours differ in their members (-cosign +ours):\n%s", diff)
	}
}

// shape lists the members of a signature file, including documents within strings and base64.
func shape(t *testing.T, file []byte) []string {
	t.Helper()
	_, contents, _ := bytes.Cut(file, []byte("\n"))
	var signature struct {
		MIMEType    string            `json:"mimeType"`
		Payload     []byte            `json:"payload"`
		Annotations map[string]string `json:"annotations"`
	}
	var entry struct {
		SignedEntryTimestamp []byte
		Payload              json.RawMessage
	}
	var recorded struct {
		Body []byte `json:"body"`
	}
	for _, step := range []func() error{
		func() error { return json.Unmarshal(contents, &signature) },
		func() error {
			return json.Unmarshal([]byte(signature.Annotations["dev.sigstore.cosign/bundle"]), &entry)
		},
		func() error { return json.Unmarshal(entry.Payload, &recorded) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	found := []string{signature.MIMEType}
	for _, document := range [][]byte{
		contents, signature.Payload, []byte(signature.Annotations["dev.sigstore.cosign/bundle"]),
		entry.Payload, recorded.Body,
	} {
		var value any
		if err := json.Unmarshal(document, &value); err != nil {
			t.Fatal(err)
		}
		found = append(found, members("", value)...)
	}
	for _, name := range slices.Sorted(maps.Keys(signature.Annotations)) {
		chain := strings.Count(signature.Annotations[name], "BEGIN CERTIFICATE")
		found = append(found, strings.Repeat("certificate in ", chain)+name)
	}
	return found
}

func members(path string, value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return []string{path}
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		found = append(found, members(path+"/"+name, object[name])...)
	}
	return found
}
