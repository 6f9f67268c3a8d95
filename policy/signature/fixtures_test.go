package signature_test

import (
	"strings"
	"testing"

	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

const matchRepository = `{"type":"matchRepository"}`

// fixtureCase is one of containers/image's test images, judged by one requirement.
type fixtureCase struct {
	manifest    string
	signatures  string
	reference   string
	requirement string
	// want is the reason of the finding, and Accepted if the requirement is met.
	want policy.Reason
}

const (
	sampleRepository = "192.168.64.2:5000/cosign-signed-single-sample"
	rekorRepository  = "192.168.64.2:5000/cosign-signed/key-1"
	fulcioRepository = "192.168.64.2:5000/cosign-signed/fulcio-rekor-1"
)

func keyPath(name string) string { return `"keyPath":"` + fixturePath(name) + `"` }

func keyPaths(names ...string) string {
	for i, name := range names {
		names[i] = fixturePath(name)
	}
	return `"keyPaths":` + data(names)
}

func rekor(name string) string { return `,"rekorPublicKeyPath":"` + fixturePath(name) + `"` }

func fulcio(ca, issuer, email string) string {
	return `"fulcio":` + data(map[string]string{"caPath": fixturePath(ca), "oidcIssuer": issuer, "subjectEmail": email})
}

func pki(members ...string) string {
	object := make(map[string]string)
	for i := 0; i < len(members); i += 2 {
		object[members[i]] = members[i+1]
		if strings.HasSuffix(members[i], "Path") {
			object[members[i]] = fixturePath(members[i+1])
		}
	}
	return `"pki":` + data(object)
}

func sigstoreFixtures() map[string]fixtureCase {
	const (
		valid = "cosign-valid.manifest.json"
		one   = "cosign-valid.signature"
		two   = "cosign-valid.signature cosign-valid-2.signature"
		mixed = "unknown-cosign-key.signature cosign-valid.signature"
		tag   = "../skopeo/manifest.json"
		login = "https://github.com/login/oauth"
	)
	key := sigstoreSigned(keyPath("cosign.pub"), matchRepository)
	logKey := sigstoreSigned(keyPath("cosign2.pub")+rekor("rekor.pub"), matchRepository)
	exact := sigstoreSigned(keyPath("cosign.pub"), `{"type":"matchExact"}`)
	keyless := func(ca, issuer, email, log string) string {
		return sigstoreSigned(fulcio(ca, issuer, email)+rekor(log), matchRepository)
	}
	return map[string]fixtureCase{
		"signed by the key": {valid, one, sampleRepository, key, policy.Accepted},
		"signed by one of two keys": {
			valid, one, sampleRepository, sigstoreSigned(keyPaths("cosign2.pub", "cosign.pub"), matchRepository),
			policy.Accepted,
		},
		"another key": {valid, one, sampleRepository, sigstoreSigned(keyPath("cosign2.pub"),
			matchRepository), policy.Rejected},
		"another repository":      {valid, one, "192.168.64.2:5000/other", key, policy.Rejected},
		"the identity has no tag": {valid, one, sampleRepository, sigstoreSigned(keyPath("cosign.pub"), ""), policy.Rejected},
		"the log is missing": {
			valid, one, sampleRepository, sigstoreSigned(keyPath("cosign.pub")+rekor("rekor.pub"), matchRepository),
			policy.Rejected,
		},
		"two signatures, both good":   {valid, two, sampleRepository, key, policy.Accepted},
		"a bad one before the good":   {valid, mixed, sampleRepository, key, policy.Accepted},
		"another manifest":            {"cosign-modified.manifest.json", one, sampleRepository, key, policy.Rejected},
		"a manifest of no digest":     {"v2s1-invalid-signatures.manifest.json", one, sampleRepository, key, policy.Rejected},
		"an attachment, no signature": {valid, "cosign-other-attachment.signature", sampleRepository, key, policy.Rejected},
		"unsigned":                    {valid, "", sampleRepository, key, policy.Unsigned},
		"the signed tag, exactly": {
			tag, "../skopeo/signature-1", "192.168.64.2:5000/skopeo-signed:tag", exact,
			policy.Accepted,
		},
		"the signed tag": {
			tag, "../skopeo/signature-1", "192.168.64.2:5000/skopeo-signed:tag",
			sigstoreSigned(keyPath("cosign.pub"),
				""), policy.Accepted,
		},
		"another tag": {tag, "../skopeo/signature-1", "192.168.64.2:5000/skopeo-signed:othertag", exact, policy.Rejected},
		"a key and the log": {
			"cosign-key-rekor-valid.manifest.json", "cosign-key-rekor-valid.signature", rekorRepository, logKey,
			policy.Accepted,
		},
		"a key and another log": {
			"cosign-key-rekor-valid.manifest.json", "cosign-key-rekor-valid.signature", rekorRepository,
			sigstoreSigned(keyPath("cosign2.pub")+rekor("cosign.pub"), matchRepository), policy.Rejected,
		},
		"a key, the log not required": {
			"cosign-key-rekor-valid.manifest.json", "cosign-key-rekor-valid.signature", rekorRepository,
			sigstoreSigned(keyPath("cosign2.pub"), matchRepository), policy.Accepted,
		},
		"keyless": {
			"cosign-fulcio-rekor-valid.manifest.json", "cosign-fulcio-rekor-valid.signature", fulcioRepository,
			keyless("fulcio_v1.crt.pem", login, "mitr@redhat.com", "rekor.pub"), policy.Accepted,
		},
		"keyless, another person": {
			"cosign-fulcio-rekor-valid.manifest.json", "cosign-fulcio-rekor-valid.signature", fulcioRepository,
			keyless("fulcio_v1.crt.pem", login, "eve@redhat.com", "rekor.pub"), policy.Rejected,
		},
		"keyless, another issuer": {
			"cosign-fulcio-rekor-valid.manifest.json", "cosign-fulcio-rekor-valid.signature", fulcioRepository,
			keyless("fulcio_v1.crt.pem", "https://example.com", "mitr@redhat.com", "rekor.pub"), policy.Rejected,
		},
		"keyless, another authority": {
			"cosign-fulcio-rekor-valid.manifest.json", "cosign-fulcio-rekor-valid.signature", fulcioRepository,
			keyless("pki_root_crts.pem", login, "mitr@redhat.com", "rekor.pub"), policy.Rejected,
		},
		"keyless, another log": {
			"cosign-fulcio-rekor-valid.manifest.json", "cosign-fulcio-rekor-valid.signature", fulcioRepository,
			keyless("fulcio_v1.crt.pem", login, "mitr@redhat.com", "cosign.pub"), policy.Rejected,
		},
	}
}

func pkiFixtures() map[string]fixtureCase {
	const (
		manifest = "cosign-pki-valid.manifest.json"
		one      = "cosign-pki-valid.signature"
		roots    = "pki_root_crts.pem"
		between  = "pki_intermediate_crts.pem"
	)
	certified := func(members ...string) string { return sigstoreSigned(pki(members...), matchRepository) }
	return map[string]fixtureCase{
		"certified for a person and a host": {
			manifest, one, "localhost:5000/test", certified("caRootsPath", roots,
				"caIntermediatesPath", between, "subjectEmail", "qiwan@redhat.com", "subjectHostname", "myhost.example.com"),
			policy.Accepted,
		},
		"certified, the chain is in the signature": {
			manifest, one, "localhost:5000/test",
			certified("caRootsPath", roots, "subjectEmail", "qiwan@redhat.com"), policy.Accepted,
		},
		"certified for another person": {
			manifest, one, "localhost:5000/test",
			certified("caRootsPath", roots, "caIntermediatesPath", between, "subjectEmail", "eve@redhat.com"), policy.Rejected,
		},
		"certified for another host": {
			manifest, one, "localhost:5000/test",
			certified("caRootsPath", roots, "caIntermediatesPath", between, "subjectHostname", "other.example.com"),
			policy.Rejected,
		},
		"certified by another authority": {
			manifest, one, "localhost:5000/test",
			certified("caRootsPath", "fulcio_v1.crt.pem", "subjectEmail", "qiwan@redhat.com"), policy.Rejected,
		},
	}
}

// TestFixtures judges the test images of containers/image. It compares the findings with those written here, and with
// containers/image.
func TestFixtures(t *testing.T) {
	for _, table := range []map[string]fixtureCase{sigstoreFixtures(), pkiFixtures(), gpgFixtures()} {
		for name, test := range table {
			t.Run(name, func(t *testing.T) { test.run(t) })
		}
	}
}

func (c fixtureCase) run(t *testing.T) {
	t.Helper()
	var signatures [][]byte
	for name := range strings.FieldsSeq(c.signatures) {
		signatures = append(signatures, fixture(t, name))
	}
	sample := newSample(t, fixture(t, c.manifest), signatures...)
	ref := named(t, c.reference)
	document, err := containers.NewPolicyFromBytes([]byte(`{"default":[` + c.requirement + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	theirs := bare(t.Context(), document, ref, sample)
	if met := c.want == policy.Accepted; met != (theirs == nil) {
		t.Fatalf("containers/image: %v", theirs)
	}
	finding := judgeAll(t, signature.NewJudge(), parse(t, c.requirement), ref, sample)
	if got := reason(finding); got != c.want {
		t.Errorf("%s: %s; want %s (containers/image: %v)", got, finding.Detail, c.want, theirs)
	}
}
