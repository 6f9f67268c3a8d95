package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const (
	sample     = "192.168.64.2:5000/cosign-signed-single-sample"
	repository = `"signedIdentity":{"type":"matchRepository"}`
)

func sigstoreKey(key, identity string) string {
	return fmt.Sprintf(`{"type":"sigstoreSigned","keyPath":"$FIXTURES/%s",%s}`, key, identity)
}

func fulcio(ca, email, rekor string) string {
	return fmt.Sprintf(`{"type":"sigstoreSigned","fulcio":{"caPath":"$FIXTURES/%s",`+
		`"oidcIssuer":"https://github.com/login/oauth","subjectEmail":%q},"rekorPublicKeyPath":"$FIXTURES/%s",%s}`,
		ca, email, rekor, repository)
}

const pki = `{"type":"sigstoreSigned","pki":{"caRootsPath":"$FIXTURES/pki_root_crts.pem",` +
	`"caIntermediatesPath":"$FIXTURES/pki_intermediate_crts.pem","subjectEmail":"qiwan@redhat.com",` +
	`"subjectHostname":"myhost.example.com"},` + repository + `}`

const gpg = `{"type":"signedBy","keyType":"GPGKeys","keyPath":"$FIXTURES/public-key.gpg"}`

// TestCheckFixtures evaluates the test data of containers/image with check, and expects the verdicts of
// containers/image.
func TestCheckFixtures(t *testing.T) {
	tests := map[string]struct {
		manifest   string
		signatures []string
		reference  string
		policy     string
		status     int
		reason     string
	}{
		"an image signed by the key is admitted": {
			"cosign-valid", []string{"cosign-valid"}, sample, sigstoreKey("cosign.pub", repository), 0, "accepted",
		},
		"two signatures are as good as one": {
			"cosign-valid",
			[]string{"cosign-valid", "cosign-valid-2"},
			sample,
			sigstoreKey("cosign.pub", repository), 0, "accepted",
		},
		"a bad signature before a good one is ignored": {
			"cosign-valid",
			[]string{"unknown-cosign-key", "cosign-valid"},
			sample,
			sigstoreKey("cosign.pub", repository), 0, "accepted",
		},
		"another key is rejected": {
			"cosign-valid", []string{"cosign-valid"}, sample, sigstoreKey("cosign2.pub", repository), 1, "rejected",
		},
		"the signature of another repository is rejected": {
			"cosign-valid",
			[]string{"cosign-valid"},
			"192.168.64.2:5000/another",
			sigstoreKey("cosign.pub", repository), 1, "rejected",
		},
		"cosign's identity without a tag does not match exactly": {
			"cosign-valid",
			[]string{"cosign-valid"},
			sample,
			sigstoreKey("cosign.pub", `"signedIdentity":{"type":"matchExact"}`), 1, "rejected",
		},
		"a changed manifest is rejected": {
			"cosign-modified", []string{"cosign-valid"}, sample, sigstoreKey("cosign.pub", repository), 1, "rejected",
		},
		"an attachment that is not a signature is ignored": {
			"cosign-valid", []string{"cosign-other-attachment"}, sample, sigstoreKey("cosign.pub", repository), 1, "rejected",
		},
		"a signed tag is admitted under that tag": {
			"cosign-valid-with-tag",
			[]string{"cosign-valid-with-tag"},
			"192.168.64.2:5000/skopeo-signed:tag",
			sigstoreKey("cosign.pub", `"signedIdentity":{"type":"matchExact"}`), 0, "accepted",
		},
		"a signed tag is rejected under another": {
			"cosign-valid-with-tag",
			[]string{"cosign-valid-with-tag"},
			"192.168.64.2:5000/skopeo-signed:othertag",
			sigstoreKey("cosign.pub", `"signedIdentity":{"type":"matchExact"}`), 1, "rejected",
		},
		"an identity from Fulcio with an entry in Rekor is admitted": {
			"cosign-fulcio-rekor-valid",
			[]string{"cosign-fulcio-rekor-valid"},
			"192.168.64.2:5000/cosign-signed/fulcio-rekor-1",
			fulcio("fulcio_v1.crt.pem", "mitr@redhat.com", "rekor.pub"), 0, "accepted",
		},
		"another identity from Fulcio is rejected": {
			"cosign-fulcio-rekor-valid",
			[]string{"cosign-fulcio-rekor-valid"},
			"192.168.64.2:5000/cosign-signed/fulcio-rekor-1",
			fulcio("fulcio_v1.crt.pem", "someone@else.example", "rekor.pub"), 1, "rejected",
		},
		"a certificate from a private PKI is admitted": {
			"cosign-pki-valid", []string{"cosign-pki-valid"}, "localhost:5000/test", pki, 0, "accepted",
		},
		"a GPG signature is admitted": {
			"image", []string{"valid"}, "testing/manifest:latest", gpg, 0, "accepted",
		},
		"a GPG signature of another tag is rejected": {
			"image", []string{"valid"}, "testing/manifest:notlatest", gpg, 1, "rejected",
		},
		"an image without signatures is unsigned": {
			"image", nil, "testing/manifest:latest", gpg, 1, "unsigned",
		},
		"bytes that are not a signature are ignored": {
			"cosign-valid", []string{"invalid-blob"}, sample, sigstoreKey("cosign.pub", repository), 1, "rejected",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			directory := writeLayout(t, test.manifest, test.signatures)
			system := filepath.Join(t.TempDir(), "policy.json")
			fixtures, err := filepath.Abs(fixtureDirectory)
			if err != nil {
				t.Fatal(err)
			}
			document := os.Expand(`{"default":[`+test.policy+`]}`, func(string) string { return fixtures })
			if err := os.WriteFile(system, []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			status := execute([]string{
				"countersign", "check", "--config", emptyConfig(t), "--system-policy", system, "--policy-dir", t.TempDir(),
				"--image", "dir:" + directory, "-o", "json", test.reference,
			}, &stdout, &stderr)
			var result checkResult
			if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
				t.Fatalf("%v: %s%s", err, stdout.Bytes(), stderr.Bytes())
			}
			if status != test.status || result.Reason != test.reason || result.Allowed != (test.status == 0) {
				t.Errorf("exit status %d and %+v; want %d and %s", status, result, test.status, test.reason)
			}
		})
	}
}

// writeLayout writes an image in the layout of the dir: transport.
func writeLayout(t *testing.T, manifest string, signatures []string) string {
	t.Helper()
	directory := t.TempDir()
	files := map[string]string{"manifest.json": manifest + ".manifest.json"}
	for i, signature := range signatures {
		files[fmt.Sprintf("signature-%d", i+1)] = signature + ".signature"
	}
	for name, fixture := range files {
		contents, err := os.ReadFile(filepath.Join(fixtureDirectory, fixture))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	version := []byte("Directory Transport Version: 1.1\n")
	if err := os.WriteFile(filepath.Join(directory, "version"), version, 0o600); err != nil {
		t.Fatal(err)
	}
	return directory
}

func emptyConfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
