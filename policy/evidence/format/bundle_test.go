package format_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/evidence/format"
)

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundle returns the n-th of many bundles.
func bundle(n int) []byte { return fmt.Appendf(nil, `{"mediaType":%q,"n":%d}`, bundleType, n) }

// enveloped is a bundle with a statement in its envelope.
func enveloped(statement string) []byte {
	return fmt.Appendf(nil, `{"mediaType":%q,"dsseEnvelope":{"payload":%q}}`,
		bundleType, base64.StdEncoding.EncodeToString([]byte(statement)))
}

func TestBundlesAreParsedOrRefused(t *testing.T) {
	for name, test := range map[string]struct {
		raw  []byte
		want format.Bundle
		err  string
	}{
		"with a key": {
			fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":"x"}}}`, bundleType),
			format.Bundle{MediaType: bundleType, Hint: "x"},
			"",
		},
		"with a certificate": {
			fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"certificate":{"rawBytes":"eHk="}}}`, bundleType),
			format.Bundle{MediaType: bundleType, Certificate: []byte("xy")},
			"",
		},
		"with a statement": {
			enveloped(`{"predicateType":"a"}`),
			format.Bundle{MediaType: bundleType, PredicateType: "a", Payload: []byte(`{"predicateType":"a"}`)},
			"",
		},
		"with a payload that is not a statement": {
			enveloped(`no JSON`), format.Bundle{MediaType: bundleType, Payload: []byte(`no JSON`)}, "",
		},
		"of an older version": {
			[]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1"}`),
			format.Bundle{MediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1"},
			"",
		},
		"without a media type":  {[]byte(`{}`), format.Bundle{}, `its media type is ""`},
		"of another media type": {[]byte(`{"mediaType":"text/plain"}`), format.Bundle{}, `its media type is "text/plain"`},
		"of a long media type":  {fmt.Appendf(nil, `{"mediaType":%q}`, strings.Repeat("x", 9999)), format.Bundle{}, "xxx"},
		"null":                  {[]byte(`null`), format.Bundle{}, "not a Sigstore bundle"},
		"an array":              {[]byte(`[]`), format.Bundle{}, "not a Sigstore bundle: expected an object, found array"},
		"an object as media type": {
			[]byte(`{"mediaType":{}}`), format.Bundle{}, `not a Sigstore bundle: "mediaType": expected a string, found object`,
		},
		"empty":            {nil, format.Bundle{}, "not a Sigstore bundle"},
		"cut short":        {bundle(1)[:20], format.Bundle{}, "not a Sigstore bundle"},
		"followed by more": {append(bundle(1), '}'), format.Bundle{}, "not a Sigstore bundle"},
		"a payload of no base64": {
			fmt.Appendf(nil, `{"mediaType":%q,"dsseEnvelope":{"payload":"?"}}`, bundleType), format.Bundle{}, "not a",
		},
		"too large": {make([]byte, format.MaxFile+1), format.Bundle{}, "it has 1048577 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.ParseBundle(test.raw)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || len(err.Error()) > 500 {
					t.Errorf("error %v", err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAttestationsAreDistinguished(t *testing.T) {
	for statement, want := range map[string]bool{
		`{"predicateType":"https://sigstore.dev/cosign/sign/v1"}`: false,
		`{"predicateType":"https://slsa.dev/provenance/v1"}`:      true,
		`{}`:       false,
		`no JSON`:  false,
		`{"a":[1}`: false,
	} {
		parsed, err := format.ParseBundle(enveloped(statement))
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Attestation(); got != want {
			t.Errorf("%s: %t", statement, got)
		}
	}
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
