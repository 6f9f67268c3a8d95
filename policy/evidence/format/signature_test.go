package format_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.podman.io/image/v5/directory" //nolint:depguard // The tests prove that it reads what we accept.
	"go.podman.io/image/v5/image"     //nolint:depguard // The same.

	"github.com/countersign/countersign/policy/evidence/format"
)

// signature returns the n-th of many signature files.
func signature(t testing.TB, n int) []byte {
	t.Helper()
	file, err := format.SignatureFile(format.SimpleSigning, fmt.Appendf(nil, `{"n":%d}`, n),
		map[string]string{"dev.cosignproject.cosign/signature": fmt.Sprintf("MEUC%d==", n)})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

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

// sigstoreFile returns a signature file with that JSON.
func sigstoreFile(document string) []byte { return []byte("\x00sigstore-json\n" + document) }

// signatureFiles are files of every kind and what resembles one, with the error of those that are refused.
func signatureFiles(t testing.TB) map[string]struct {
	file []byte
	want string
} {
	t.Helper()
	large := bytes.Repeat([]byte{'x'}, format.MaxFile+1)
	payload, err := json.Marshal(map[string]any{"mimeType": "x", "payload": large})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		file []byte
		want string
	}{
		"sigstore's":                       {signature(t, 1), ""},
		"OpenPGP":                          {[]byte("\x90message"), ""},
		"OpenPGP that is marked":           {[]byte("\x00simple-signing\nmessage"), ""},
		"OpenPGP in armour":                {[]byte("-----BEGIN PGP MESSAGE-----"), "neither"},
		"of an unknown kind":               {[]byte("\x00other\nx"), "an unknown kind"},
		"of a kind that is no ASCII":       {[]byte("\x00sigst\xffre-json\n{}"), "an unknown kind"},
		"without an end of its kind":       {[]byte("\x00sigstore-json"), "not a signature of sigstore's"},
		"of nothing":                       {sigstoreFile("{}"), "a signature of nothing"},
		"of no media type":                 {sigstoreFile(`{"payload":"eA=="}`), "a signature of nothing"},
		"no JSON":                          {sigstoreFile("{"), "not a signature of sigstore's"},
		"null":                             {sigstoreFile("null"), "a signature of nothing"},
		"followed by more":                 {append(signature(t, 1), '}'), "not a signature of sigstore's"},
		"with a payload of another kind":   {sigstoreFile(`{"mimeType":"x","payload":7}`), "not a signature of sigstore's"},
		"with a payload that is too large": {sigstoreFile(string(payload)), "its payload has 1048577 bytes"},
		"empty":                            {nil, "neither"},
		"a zero byte":                      {[]byte{0}, "an unknown kind"},
		"OpenPGP that is marked and empty": {[]byte("\x00simple-signing\n"), "its OpenPGP message has 0 bytes"},
		"OpenPGP that is too large":        {append([]byte{0x90}, large...), "its OpenPGP message has 1048578 bytes"},
		"too large":                        {make([]byte, format.MaxSignatureFile+1), "it has 4194305 bytes"},
	}
}

func TestAnAcceptedSignatureIsReadByContainersImage(t *testing.T) {
	path := t.TempDir()
	for name, test := range signatureFiles(t) {
		t.Run(name, func(t *testing.T) {
			parsed, err := format.ParseSignature(test.file)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 200 {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := parsed.File()
			if err != nil {
				t.Fatal(err)
			}
			if !readable(t, path, test.file) || !readable(t, path, again) {
				t.Error("containers/image does not read it")
			}
		})
	}
}

func TestASignatureFileIsWrittenAsItWasRead(t *testing.T) {
	for _, file := range [][]byte{signature(t, 1), []byte("\x90message")} {
		parsed, err := format.ParseSignature(file)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parsed.File(); err != nil || !bytes.Equal(file, again) {
			t.Errorf("%q became %q, %v", file, again, err)
		}
	}
}

func TestTheKindsOfSignaturesAreDistinguished(t *testing.T) {
	for name, test := range map[string]struct {
		file []byte
		want format.Signature
	}{
		"sigstore's": {
			sigstoreFile(`{"mimeType":"x","payload":"eQ==","annotations":{"a":"b"}}`),
			format.Signature{MediaType: "x", Payload: []byte("y"), Annotations: map[string]string{"a": "b"}},
		},
		"OpenPGP":                {[]byte("\x90message"), format.Signature{Payload: []byte("\x90message")}},
		"OpenPGP that is marked": {[]byte("\x00simple-signing\nmessage"), format.Signature{Payload: []byte("message")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.ParseSignature(test.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseSignature(f *testing.F) {
	for _, test := range signatureFiles(f) {
		if len(test.file) < 1<<10 {
			f.Add(test.file)
		}
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

func FuzzSignatureFile(f *testing.F) {
	f.Add([]byte("payload"), "key", "value")
	f.Add([]byte(nil), "", "\x00\n\xff\"")
	f.Fuzz(func(t *testing.T, payload []byte, name, value string) {
		file, err := format.SignatureFile(format.SimpleSigning, payload, map[string]string{name: value})
		if err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutPrefix(string(file), "\x00sigstore-json\n")
		if !ok || strings.Contains(body, "\n") {
			t.Fatalf("%q", file)
		}
		var back struct{ Payload []byte }
		if err := json.Unmarshal([]byte(body), &back); err != nil || string(back.Payload) != string(payload) {
			t.Errorf("%q came back as %q, %v", payload, back.Payload, err)
		}
	})
}
