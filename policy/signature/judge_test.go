package signature_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

const appReference = "registry.example:5000/team/app:v1"

// signedApp is an image that a new key has signed as appReference, and a requirement for that key.
func signedApp(t testing.TB) (sample, *policy.Requirement) {
	t.Helper()
	key := signaturetest.NewKey(t)
	manifest := signaturetest.Manifest("app")
	app := newSample(t, manifest, signaturetest.Sign(t, key, appReference, digest.FromBytes(manifest)).File(t))
	return app, parse(t, sigstoreSigned(`"keyData":`+data(signaturetest.PublicPEM(t, key.Public())), ""))[0]
}

// TestStatesOfEvidence: if signatures could not be fetched or read, the finding is not a refusal.
func TestStatesOfEvidence(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*testing.T, *policy.Evidence)
		want   policy.Reason
	}{
		"there is a good one":  {func(*testing.T, *policy.Evidence) {}, policy.Accepted},
		"nothing is known":     {func(_ *testing.T, e *policy.Evidence) { e.State = policy.Unknown }, policy.Pending},
		"a state that is none": {func(_ *testing.T, e *policy.Evidence) { e.State = 77 }, policy.Pending},
		"the fetch failed": {
			func(_ *testing.T, e *policy.Evidence) { e.State = policy.Failed },
			policy.Unavailable,
		},
		"found, and none can be parsed": {
			func(_ *testing.T, e *policy.Evidence) { e.State, e.Unusable = policy.None, true }, policy.Rejected,
		},
		"there is none":        {func(_ *testing.T, e *policy.Evidence) { e.State = policy.None }, policy.Unsigned},
		"one more is expected": {func(_ *testing.T, e *policy.Evidence) { e.Signatures = 2 }, policy.Unavailable},
		"the directory was deleted": {
			func(_ *testing.T, e *policy.Evidence) { e.Directory += "/gone" },
			policy.Unavailable,
		},
		"the directory is a file": {
			func(_ *testing.T, e *policy.Evidence) { e.Directory = filepath.Join(e.Directory, "manifest.json") },
			policy.Unavailable,
		},
		"no directory is named": {func(_ *testing.T, e *policy.Evidence) { e.Directory = "" }, policy.Unavailable},
		"found, but none at all": {
			func(t *testing.T, e *policy.Evidence) {
				t.Helper()
				e.Directory, e.Signatures = t.TempDir(), 0
			}, policy.Unsigned,
		},
		"the file is a directory": {
			func(t *testing.T, e *policy.Evidence) {
				t.Helper()
				e.Directory = t.TempDir()
				if err := os.Mkdir(filepath.Join(e.Directory, "signature-1"), 0o700); err != nil {
					t.Fatal(err)
				}
			}, policy.Unavailable,
		},
		"the file is cut short": {
			func(t *testing.T, e *policy.Evidence) {
				t.Helper()
				signaturetest.Write(t, filepath.Join(e.Directory, "signature-1"), []byte("\x00sigstore-json\n{\"mime"))
			}, policy.Unavailable,
		},
		"the file is empty": {
			func(t *testing.T, e *policy.Evidence) {
				t.Helper()
				signaturetest.Write(t, filepath.Join(e.Directory, "signature-1"), nil)
			},
			policy.Unavailable,
		},
		"a second file cannot be read": {
			func(t *testing.T, e *policy.Evidence) {
				t.Helper()
				signaturetest.Write(t, filepath.Join(e.Directory, "signature-2"), []byte("junk"))
				e.Signatures = 2
			}, policy.Unavailable,
		},
		"the instance is another": {
			func(_ *testing.T, e *policy.Evidence) { e.Instance = digest.FromString("other") }, policy.Unavailable,
		},
		"the instance is not a digest": {
			func(_ *testing.T, e *policy.Evidence) { e.Instance = "../../etc/passwd" }, policy.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, requirement := signedApp(t)
			test.change(t, &app.evidence)
			finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, appReference)))
			if got := reason(finding); got != test.want {
				t.Errorf("%s: %s; want %s", got, finding.Detail, test.want)
			}
		})
	}
}

// TestInstancesOfAnIndex: an index that was copied whole has the signatures of each manifest under the manifest's name.
func TestInstancesOfAnIndex(t *testing.T) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		t.Run(algorithm.String(), func(t *testing.T) {
			key := signaturetest.NewKey(t)
			raw := signaturetest.Manifest("instance")
			instance := algorithm.FromBytes(raw)
			app := newSample(t, raw)
			// The default algorithm is not part of the name.
			prefix := instance.Encoded()
			if algorithm != digest.SHA256 {
				prefix = algorithm.String() + "-" + prefix
			}
			signaturetest.Write(t, filepath.Join(app.evidence.Directory, prefix+".signature-1"),
				signaturetest.Sign(t, key, appReference, digest.FromBytes(raw)).File(t))
			app.manifest.Digest = instance
			app.evidence.Instance, app.evidence.Signatures = instance, 1
			requirement := sigstoreSigned(`"keyData":`+data(signaturetest.PublicPEM(t, key.Public())), "")
			finding := judgeAll(t, signature.NewJudge(), parse(t, requirement), named(t, appReference), app)
			if !finding.Met {
				t.Errorf("%s: %s", finding.Reason, finding.Detail)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	key := signaturetest.NewKey(t)
	raw := signaturetest.Manifest("app")
	right := digest.FromBytes(raw)
	list := parse(t, sigstoreSigned(`"keyData":`+data(signaturetest.PublicPEM(t, key.Public())), ""))
	for name, test := range map[string]struct {
		signed digest.Digest
		change func(*policy.Manifest)
		ref    string
		want   policy.Reason
	}{
		"the pod has the tag": {right, nil, appReference, policy.Accepted},
		"the pod has the digest": {
			right, nil, "registry.example:5000/team/app@" + right.String(),
			policy.Accepted,
		},
		"another repository by digest": {
			right, nil, "registry.example:5000/team/other@" + right.String(),
			policy.Rejected,
		},
		"the signature is on another image": {digest.FromString("other"), nil, appReference, policy.Rejected},
		"the bytes are others": {
			right, func(m *policy.Manifest) { m.Bytes = signaturetest.Manifest("other") }, appReference, policy.Internal,
		},
		"the bytes are others, signed themselves": {
			digest.FromBytes(signaturetest.Manifest("other")),
			func(m *policy.Manifest) { m.Bytes = signaturetest.Manifest("other") },
			appReference, policy.Internal,
		},
		"there are no bytes": {right, func(m *policy.Manifest) { m.Bytes = nil }, appReference, policy.Internal},
		"the digest is none": {right, func(m *policy.Manifest) { m.Digest = "" }, appReference, policy.Internal},
		"the digest is of no known": {
			right, func(m *policy.Manifest) { m.Digest = "md5:0123" }, appReference,
			policy.Internal,
		},
		"a manifest known by SHA-512": {
			right, func(m *policy.Manifest) { m.Digest = digest.SHA512.FromBytes(raw) }, appReference, policy.Accepted,
		},
		"a signature on the SHA-512": {
			digest.SHA512.FromBytes(raw), func(m *policy.Manifest) { m.Digest = digest.SHA512.FromBytes(raw) },
			appReference, policy.Rejected,
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, signaturetest.Sign(t, key, appReference, test.signed).File(t))
			if test.change != nil {
				test.change(&app.manifest)
			}
			finding := judgeAll(t, signature.NewJudge(), list, named(t, test.ref), app)
			if got := reason(finding); got != test.want {
				t.Errorf("%s: %s; want %s", got, finding.Detail, test.want)
			}
		})
	}
}

// TestASchema1ManifestHidesAnother: for containers/image, the digest of a schema 1 manifest is that of a text in one of
// its fields. Here that text is the signed manifest, and the attacker wrote the other fields.
func TestASchema1ManifestHidesAnother(t *testing.T) {
	key := signaturetest.NewKey(t)
	genuine := signaturetest.Manifest("genuine")
	protected := data(map[string]any{"formatLength": 0, "formatTail": rawURL(genuine), "time": "2026-01-01T00:00:00Z"})
	forged := []byte(data(map[string]any{
		"schemaVersion": 1,
		"config": map[string]any{
			"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest.FromString("evil"),
			"size": 4,
		},
		"layers": []any{},
		"signatures": []any{map[string]any{
			"protected": rawURL([]byte(protected)), "signature": "",
			"header": map[string]any{"alg": "ES256"},
		}},
	}))
	app := newSample(t, forged, signaturetest.Sign(t, key, appReference, digest.FromBytes(genuine)).File(t))
	requirement := sigstoreSigned(`"keyData":`+data(signaturetest.PublicPEM(t, key.Public())), "")
	if err := bare(t.Context(), containersPolicy(t, list(requirement)), named(t, appReference), app); err != nil {
		t.Fatalf("containers/image has become wiser, and the rule may go: %v", err)
	}
	finding := judgeAll(t, signature.NewJudge(), parse(t, requirement), named(t, appReference), app)
	if reason(finding) != policy.Rejected {
		t.Errorf("%s: %s", reason(finding), finding.Detail)
	}
}

// TestARefusalOfSimpleSigningTellsWhichLookasideWasAsked: a lookaside is the only place of such signatures, and never
// has those of cosign.
func TestARefusalOfSimpleSigningTellsWhichLookasideWasAsked(t *testing.T) {
	const asked = "the lookaside that was asked is https://lookaside.example/team/app@sha256=00"
	gpg := signedBy(keyPath("public-key.gpg"), "")
	found := func(file string) policy.Evidence {
		return newSample(t, fixture(t, "image.manifest.json"), fixture(t, file)).evidence
	}
	long := found("unknown-key.signature")
	long.Lookaside = asked
	for name, test := range map[string]struct {
		requirement string
		evidence    policy.Evidence
		want        policy.Reason
		told        bool
	}{
		"no signature was found": {gpg, policy.Evidence{State: policy.None, Lookaside: asked}, policy.Unsigned, true},
		"none can be parsed": {
			gpg, policy.Evidence{State: policy.None, Unusable: true, Lookaside: asked}, policy.Rejected, true,
		},
		"one by another key":     {gpg, long, policy.Rejected, true},
		"it is not known yet":    {gpg, policy.Evidence{Lookaside: asked}, policy.Pending, false},
		"the fetch failed":       {gpg, policy.Evidence{State: policy.Failed, Lookaside: asked}, policy.Unavailable, false},
		"which one is not known": {gpg, policy.Evidence{State: policy.None}, policy.Unsigned, false},
		"a signature of cosign is required": {
			sigstoreSigned(keyPath("cosign.pub"), ""),
			policy.Evidence{State: policy.None, Lookaside: asked},
			policy.Unsigned,
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, fixture(t, "image.manifest.json"))
			finding := signature.NewJudge().Judge(t.Context(), policy.JudgeRequest{
				Requirement: parse(t, test.requirement)[0], Reference: named(t, "testing/manifest:latest"),
				Manifest: app.manifest, Evidence: test.evidence,
			})
			if got := reason(finding); got != test.want || strings.HasSuffix(finding.Detail, "; "+asked) != test.told {
				t.Errorf("%s: %s", got, finding.Detail)
			}
		})
	}
}

// TestDetailsAreBounded: hostile signatures determine the errors of containers/image, which are logged.
func TestDetailsAreBounded(t *testing.T) {
	app, requirement := signedApp(t)
	app = newSample(t, app.manifest.Bytes, nil)
	directory := app.evidence.Directory
	long := append([]byte("\x00"), strings.Repeat("x", 1<<20)+"\n"...)
	signaturetest.Write(t, filepath.Join(directory, "signature-1"), long)
	finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, appReference)))
	if len(finding.Detail) > 5000 || finding.Detail == "" {
		t.Errorf("the detail is %d bytes long", len(finding.Detail))
	}
}
