package signature_test

import (
	"os"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/signature"
)

// TestRequirementsAreDescribed: each description says who has to sign, and under which name.
func TestRequirementsAreDescribed(t *testing.T) {
	const key = `"keyPath":"testdata/containers-image/cosign.pub"`
	const fingerprint = "sha256:"
	for name, test := range map[string]struct {
		requirement string
		want        []string
	}{
		"everything": {`{"type":"insecureAcceptAnything"}`, []string{"accepts every image"}},
		"nothing":    {`{"type":"reject"}`, []string{"refuses every image"}},
		"what no tool checks": {
			`{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchRepository"}}`, []string{"no tool implements it"},
		},
		"a key, the default name": {
			`{"type":"sigstoreSigned",` + key + `}`,
			[]string{"a signature by " + fingerprint, " for the image's reference, or for a reference by digest its repository"},
		},
		"a key, any tag": {
			`{"type":"sigstoreSigned",` + key + `,"signedIdentity":{"type":"matchRepository"}}`,
			[]string{fingerprint, " for the image's repository, with any tag"},
		},
		"a key, the exact name": {
			`{"type":"sigstoreSigned",` + key + `,"signedIdentity":{"type":"matchExact"}}`,
			[]string{fingerprint, " for exactly the image's reference"},
		},
		"a key, one reference": {
			`{"type":"sigstoreSigned",` + key + `,"signedIdentity":{"type":"exactReference","dockerReference":"a.example/b:1"}}`,
			[]string{fingerprint, " for exactly a.example/b:1"},
		},
		"a key, one repository": {
			`{"type":"sigstoreSigned",` + key + `,"signedIdentity":{"type":"exactRepository","dockerRepository":"a.example/b"}}`,
			[]string{fingerprint, " for the repository a.example/b, with any tag"},
		},
		"a key, a mirror's name": {
			`{"type":"sigstoreSigned",` + key +
				`,"signedIdentity":{"type":"remapIdentity","prefix":"a.example","signedPrefix":"b.example"}}`,
			[]string{fingerprint, " for the image's reference with b.example instead of a.example"},
		},
		"a key and a log": {
			`{"type":"sigstoreSigned",` + key + `,"rekorPublicKeyPath":"testdata/containers-image/cosign.pub"}`,
			[]string{fingerprint, ", in a transparency log"},
		},
		"an identity of Fulcio": {
			`{"type":"sigstoreSigned","fulcio":{"caPath":"testdata/containers-image/fulcio_v1.crt.pem",` +
				`"oidcIssuer":"https://issuer.example","subjectEmail":"a@b.example"},` +
				`"rekorPublicKeyPath":"testdata/containers-image/rekor.pub"}`,
			[]string{"a signature by a@b.example, authenticated by https://issuer.example for ", ", in a transparency log"},
		},
		"a workflow": {extendedBy(workflowURI), []string{
			"a signature by https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1, authenticated by http",
		}},
		"workflows by pattern, with a claim": {extendedBy(releases + `,"buildTrigger":"push"`), []string{
			`a signature by a workflow whose URI matches https://github\.com/acme/.*, build trigger push, authenticated by `,
		}},
		"a build signer": {extendedBy(`"buildSignerURI":"https://github.com/acme/ci"`), []string{
			"a signature by a workflow built by https://github.com/acme/ci, authenticated by https://issuer.example",
		}},
		"an identity of a certificate authority": {
			`{"type":"sigstoreSigned","pki":{"caRootsPath":"testdata/containers-image/pki_root_crts.pem",` +
				`"subjectEmail":"a@b.example"}}`,
			[]string{"a signature by a@b.example, with a certificate from the requirement's authority for "},
		},
		"a trusted root that is not there": {
			rootRequirement(someRoot + `,"fulcio":{` + somebody + `}`), []string{"can never be met: reading key file"},
		},
		"a GPG key": {
			`{"type":"signedBy","keyType":"GPGKeys","keyPath":"testdata/containers-image/public-key.gpg"}`,
			[]string{"a GPG signature by 08CD26E446E2E95249B7A405E932F44B23E8DD43, ", " for the image's"},
		},
		"a key that is not there": {
			`{"type":"sigstoreSigned","keyPath":"/absent.pub"}`, []string{"can never be met: reading key file /absent.pub"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			kinds := signature.Kinds(nil)
			document, err := signature.NewParser(kinds).Parse([]byte(`{"default":[`+test.requirement+`]}`), os.ReadFile)
			if err != nil {
				t.Fatal(err)
			}
			got := kinds.Describe(document.Default[0])
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("it is %q, want %q", got, want)
				}
			}
			if strings.Contains(got, "\n") {
				t.Errorf("it is more than one line: %q", got)
			}
		})
	}
}
