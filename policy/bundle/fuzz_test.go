package bundle_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

var update = flag.Bool("update", false, "make the logged bundles in testdata anew")

// logged is the content of testdata/logged: a bundle with a log entry, and the requirement that it meets.
type logged struct {
	Requirement json.RawMessage `json:"requirement"`
	Bundle      json.RawMessage `json:"bundle"`
}

// TestLoggedBundlesOfLongAgo judges bundles by package bundletest, keyless and by key, long after their certificates
// have expired. Fuzzing starts with them, so that its results do not depend on new keys.
func TestLoggedBundlesOfLongAgo(t *testing.T) {
	if *update {
		key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
		image := digest.FromBytes(fixture(t, "manifest.json"))
		byKey := bundletest.Sign(t, key, image, tagged)
		sigstore.Record(t, byKey, key.PEM(t), time.Now())
		keyRequirement := key.Requirement(t)
		keyRequirement["rekorPublicKeyData"] = sigstore.LogPEM(t)
		for name, made := range map[string]logged{
			"keyless": {
				[]byte(data(sigstore.Requirement(t, builder))), sigstore.Sign(t, builder, image, tagged).JSON(t),
			},
			"key": {[]byte(data(keyRequirement)), byKey.JSON(t)},
		} {
			signaturetest.Write(t, filepath.Join("testdata", "logged", name+".json"), []byte(data(made)))
		}
	}
	for _, name := range []string{"keyless", "key"} {
		kept := readLogged(t, name)
		app := newSample(t, fixture(t, "manifest.json"), kept.Bundle)
		wantFinding(t, app.judge(t, parse(t, string(kept.Requirement))), policy.Accepted, "")
	}
}

func readLogged(t testing.TB, name string) logged {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "logged", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var kept logged
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	return kept
}

// fuzzed returns the bundles to start with, and requirements of every kind of trust.
func fuzzed(t testing.TB) (bundles [][]byte, requirements []*policy.Requirement) {
	t.Helper()
	for _, name := range []string{
		"key", "key-annotated", "recursive-child", "recursive-index", "p384", "p521", "ed25519", "rsa2048",
		"pki", "pki-chain",
	} {
		bundles = append(bundles, fixture(t, name+".json"))
	}
	for _, name := range []string{"keyless", "key"} {
		kept := readLogged(t, name)
		bundles, requirements = append(bundles, kept.Bundle), append(requirements, parse(t, string(kept.Requirement)))
	}
	var keys [][]byte
	for _, name := range []string{"cosign", "p384", "p521", "ed25519", "rsa2048"} {
		keys = append(keys, fixture(t, name+".pub"))
	}
	return bundles, append(requirements,
		required(t, map[string]any{"type": "sigstoreSigned", "keyDatas": keys}),
		required(t, map[string]any{"type": "sigstoreSigned", "pki": map[string]any{
			"caRootsData": fixture(t, "pki-root.pem"), "subjectEmail": builder.Email,
		}}))
}

// FuzzJudge changes bundles that meet a requirement: a changed bundle that still meets it, or lacks only a name, has
// the payload of one of them, because a signature of another payload cannot be forged.
func FuzzJudge(f *testing.F) {
	bundles, requirements := fuzzed(f)
	payloads := make(map[string]bool)
	for _, raw := range bundles {
		f.Add(raw)
		payloads[payload(f, raw)] = true
	}
	raw, judge, ref := fixture(f, "manifest.json"), bundle.NewJudge(), named(f, tagged)
	// File access by the judges is not fuzzed.
	path := filepath.Join(f.TempDir(), "bundle-1.json")
	app := newSample(f, raw, nil)
	app.evidence.Directory = filepath.Dir(path)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<20 {
			t.Skip()
		}
		signaturetest.Write(t, path, raw)
		for _, requirement := range requirements {
			finding := judge.Judge(t.Context(), app.request(requirement, ref))
			if (finding.Met || finding.NoIdentity) && !payloads[payload(t, raw)] {
				t.Errorf("%s is met by an unsigned payload", requirement.JSON)
			}
			if !finding.Met && finding.Reason != policy.Rejected && finding.Reason != policy.Unsigned {
				t.Errorf("%s: %s: %s", requirement.JSON, finding.Reason, finding.Detail)
			}
		}
	})
}

// payload returns the payload of a bundle.
func payload(t testing.TB, raw []byte) string {
	t.Helper()
	message := new(protobundle.Bundle)
	if err := protojson.Unmarshal(raw, message); err != nil {
		t.Fatal(err)
	}
	return string(message.GetDsseEnvelope().GetPayload())
}

// FuzzStatement changes statements and signs them with the right key: accepted ones name the image and its repository.
func FuzzStatement(f *testing.F) {
	key := bundletest.NewKey(f)
	f.Add(bundletest.NewStatement(subject, tagged).JSON(f))
	f.Add(bundletest.NewStatement(subject, "").JSON(f))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"` +
		subject.Encoded() + `","sha1":"ab"},"annotations":{"a":[1,{"b":null}],"docker-reference":"` + tagged +
		`"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{"x":[]}}`))
	requirement, ref := required(f, key.Requirement(f)), named(f, tagged)
	judge := bundle.NewJudge()
	f.Fuzz(func(t *testing.T, statement []byte) {
		app := newSample(t, manifest, bundletest.SignStatement(t, key, statement).JSON(t))
		finding := judge.Judge(t.Context(), app.request(requirement, ref))
		if !finding.Met && finding.Reason != policy.Rejected && finding.Reason != policy.Unsigned {
			t.Errorf("%s: %s", finding.Reason, finding.Detail)
		}
		if !finding.Met && !finding.NoIdentity {
			return
		}
		// Another parser, which uses the last of duplicate members, must find none.
		var read struct {
			Type          string `json:"_type"`
			PredicateType string `json:"predicateType"`
			Subject       []struct {
				Digest      map[string]string
				Annotations map[string]any
			}
		}
		if err := json.Unmarshal(statement, &read); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		for _, of := range read.Subject {
			name, named := of.Annotations["docker-reference"]
			text, _ := name.(string)
			if of.Digest["sha256"] == subject.Encoded() && (finding.NoIdentity && !named || finding.Met && text != "") {
				return
			}
		}
		t.Errorf("%+v: accepted %s", finding, statement)
	})
}
