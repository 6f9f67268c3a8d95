package evidence_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"go.podman.io/image/v5/directory" //nolint:depguard // The tests prove that it reads what we accept.
	"go.podman.io/image/v5/image"     //nolint:depguard // The same.

	"github.com/countersign/countersign/policy/evidence/format"
)

// readable reports whether containers/image reads a directory with that file as its only signature.
func readable(t testing.TB, path string, file []byte) bool {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path, "signature-1"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := directory.NewReference(path)
	if err != nil {
		t.Fatal(err)
	}
	source, err := ref.NewImageSource(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	signatures, err := image.UnparsedInstance(source, nil).UntrustedSignatures(t.Context())
	return err == nil && len(signatures) == 1
}

// signatureFiles are files of every kind, and what is nearly one.
func signatureFiles(t testing.TB) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"sigstore's":                       signed(1).file(t),
		"OpenPGP":                          []byte("\x90message"),
		"OpenPGP that is marked":           []byte("\x00simple-signing\nmessage"),
		"OpenPGP in armour":                []byte("-----BEGIN PGP MESSAGE-----"),
		"of an unknown kind":               []byte("\x00other\nx"),
		"of a kind that is no ASCII":       []byte("\x00sigst\xffre-json\n{}"),
		"without an end of its kind":       []byte("\x00sigstore-json"),
		"of nothing":                       []byte("\x00sigstore-json\n{}"),
		"no JSON":                          []byte("\x00sigstore-json\n{"),
		"followed by more":                 append(signed(1).file(t), '}'),
		"with a payload of another kind":   []byte("\x00sigstore-json\n" + `{"mimeType":"x","payload":7}`),
		"empty":                            nil,
		"a zero byte":                      {0},
		"OpenPGP that is marked and empty": []byte("\x00simple-signing\n"),
	}
}

func TestWhatIsAcceptedAsASignatureIsReadByContainersImage(t *testing.T) {
	path, accepted := t.TempDir(), 0
	for name, file := range signatureFiles(t) {
		parsed, err := format.ParseSignature(file)
		if err != nil {
			continue
		}
		accepted++
		again, err := parsed.File()
		if err != nil {
			t.Fatal(err)
		}
		if !readable(t, path, file) || !readable(t, path, again) {
			t.Errorf("%s: containers/image does not read it", name)
		}
	}
	if accepted != 3 {
		t.Errorf("%d are accepted", accepted)
	}
}

func TestASignatureIsKeptAsSkopeoWritesIt(t *testing.T) {
	for _, file := range [][]byte{signed(1).file(t), []byte("\x90message")} {
		parsed, err := format.ParseSignature(file)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parsed.File(); err != nil || !bytes.Equal(file, again) {
			t.Errorf("%q became %q, %v", file, again, err)
		}
	}
}

func FuzzParseSignature(f *testing.F) {
	for _, file := range signatureFiles(f) {
		f.Add(file)
	}
	path := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte) {
		parsed, err := format.ParseSignature(file)
		if err != nil {
			return
		}
		again, err := parsed.File()
		if err != nil {
			t.Fatal(err)
		}
		if !readable(t, path, file) || !readable(t, path, again) {
			t.Errorf("containers/image does not read %q", file)
		}
		if _, err := format.ParseSignature(again); err != nil {
			t.Errorf("written again it is %q: %v", again, err)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add(bundle(1))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":` +
		`{"hint":"x"}},"dsseEnvelope":{"payload":"eyJwcmVkaWNhdGVUeXBlIjoiYSJ9"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		parsed, err := format.ParseBundle(raw)
		if err == nil && parsed.MediaType == "" {
			t.Errorf("%q is a bundle of no media type", raw)
		}
	})
}

func TestAttestationsAreToldApart(t *testing.T) {
	for statement, want := range map[string]bool{
		`{"predicateType":"https://sigstore.dev/cosign/sign/v1"}`: false,
		`{"predicateType":"https://slsa.dev/provenance/v1"}`:      true,
		`{}`:       false,
		`no JSON`:  false,
		`{"a":[1}`: false,
	} {
		if got := (format.Bundle{PredicateType: predicateOf(t, statement)}).Attestation(); got != want {
			t.Errorf("%s: %t", statement, got)
		}
	}
}

// predicateOf puts a statement into a bundle and reads its predicate type.
func predicateOf(t *testing.T, statement string) string {
	t.Helper()
	parsed, err := format.ParseBundle(enveloped(statement))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.PredicateType
}
