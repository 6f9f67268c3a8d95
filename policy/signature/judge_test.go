package signature_test

import (
	"bytes"
	"compress/flate"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

const appReference = "registry.example:5000/team/app:v1"

// signedApp is an image that a new key has signed as appReference, and a requirement of that key.
func signedApp(t testing.TB) (sample, *policy.Requirement) {
	t.Helper()
	key := newKey(t)
	manifest := manifestOf("app")
	app := newSample(t, manifest, cosigned(t, key, appReference, digest.FromBytes(manifest)))
	return app, parse(t, sigstoreSigned(`"keyData":`+data(publicPEM(t, key.Public())), ""))[0]
}

// TestWhatIsKnownOfSignatures: "could not find out" is never an answer, and never a refusal either.
func TestWhatIsKnownOfSignatures(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*testing.T, *policy.Evidence)
		want   policy.Reason
	}{
		"there is a good one":         {func(*testing.T, *policy.Evidence) {}, policy.Accepted},
		"nothing is known":            {func(_ *testing.T, e *policy.Evidence) { e.State = policy.Unknown }, policy.Pending},
		"a state that is none":        {func(_ *testing.T, e *policy.Evidence) { e.State = 77 }, policy.Pending},
		"looked and failed":           {func(_ *testing.T, e *policy.Evidence) { e.State = policy.Failed }, policy.Unavailable},
		"looked and there is none":    {func(_ *testing.T, e *policy.Evidence) { e.State = policy.None }, policy.Unsigned},
		"one is said to be there too": {func(_ *testing.T, e *policy.Evidence) { e.Signatures = 2 }, policy.Unavailable},
		"the directory has gone":      {func(_ *testing.T, e *policy.Evidence) { e.Directory += "/gone" }, policy.Unavailable},
		"the directory is a file": {
			func(_ *testing.T, e *policy.Evidence) { e.Directory = filepath.Join(e.Directory, "manifest.json") }, policy.Unavailable,
		},
		"no directory is named": {func(_ *testing.T, e *policy.Evidence) { e.Directory = "" }, policy.Unavailable},
		"found, but none at all": {
			func(t *testing.T, e *policy.Evidence) { e.Directory, e.Signatures = t.TempDir(), 0 }, policy.Unsigned,
		},
		"the file is a directory": {
			func(t *testing.T, e *policy.Evidence) {
				e.Directory = t.TempDir()
				if err := os.Mkdir(filepath.Join(e.Directory, "signature-1"), 0o700); err != nil {
					t.Fatal(err)
				}
			}, policy.Unavailable,
		},
		"the file is cut short": {
			func(t *testing.T, e *policy.Evidence) {
				write(t, filepath.Join(e.Directory, "signature-1"), []byte("\x00sigstore-json\n{\"mime"))
			}, policy.Unavailable,
		},
		"the file is empty": {
			func(t *testing.T, e *policy.Evidence) { write(t, filepath.Join(e.Directory, "signature-1"), nil) }, policy.Unavailable,
		},
		"a second file cannot be read": {
			func(t *testing.T, e *policy.Evidence) {
				write(t, filepath.Join(e.Directory, "signature-2"), []byte("junk"))
				e.Signatures = 2
			}, policy.Unavailable,
		},
		"the instance is another": {
			func(_ *testing.T, e *policy.Evidence) { e.Instance = digest.FromString("other") }, policy.Unavailable,
		},
		"the instance is no digest": {
			func(_ *testing.T, e *policy.Evidence) { e.Instance = "../../etc/passwd" }, policy.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, requirement := signedApp(t)
			test.change(t, &app.evidence)
			finding := signature.NewJudge().Judge(t.Context(), requirement, named(t, appReference), app.manifest, app.evidence)
			if got := reason(finding); got != test.want {
				t.Errorf("%s: %s; want %s", got, finding.Detail, test.want)
			}
		})
	}
}

// TestInstancesOfAnIndex: an index copied whole has each manifest's signatures beside it under the manifest's name.
func TestInstancesOfAnIndex(t *testing.T) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		t.Run(algorithm.String(), func(t *testing.T) {
			key := newKey(t)
			raw := manifestOf("instance")
			instance := algorithm.FromBytes(raw)
			app := newSample(t, raw)
			// containers/image knows the names of instances, and signatures, by SHA-256 alone.
			prefix := instance.Encoded()
			if algorithm != digest.SHA256 {
				prefix = algorithm.String() + "-" + prefix
			}
			write(t, filepath.Join(app.evidence.Directory, prefix+".signature-1"),
				cosigned(t, key, appReference, digest.FromBytes(raw)))
			app.manifest.Digest = instance
			app.evidence.Instance, app.evidence.Signatures = instance, 1
			requirement := sigstoreSigned(`"keyData":`+data(publicPEM(t, key.Public())), "")
			finding := judgeAll(t, signature.NewJudge(), parse(t, requirement), named(t, appReference), app)
			if !finding.Met {
				t.Errorf("%s: %s", finding.Reason, finding.Detail)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	key := newKey(t)
	raw := manifestOf("app")
	right := digest.FromBytes(raw)
	list := parse(t, sigstoreSigned(`"keyData":`+data(publicPEM(t, key.Public())), ""))
	for name, test := range map[string]struct {
		signed digest.Digest
		change func(*policy.Manifest)
		ref    string
		want   policy.Reason
	}{
		"the tag is asked for":              {right, nil, appReference, policy.Accepted},
		"the digest is asked for":           {right, nil, "registry.example:5000/team/app@" + right.String(), policy.Accepted},
		"another repository by digest":      {right, nil, "registry.example:5000/team/other@" + right.String(), policy.Rejected},
		"the signature is on another image": {digest.FromString("other"), nil, appReference, policy.Rejected},
		"the bytes are others": {
			right, func(m *policy.Manifest) { m.Bytes = manifestOf("other") }, appReference, policy.Internal,
		},
		"the bytes are others, signed themselves": {
			digest.FromBytes(manifestOf("other")), func(m *policy.Manifest) { m.Bytes = manifestOf("other") }, appReference, policy.Internal,
		},
		"there are no bytes":        {right, func(m *policy.Manifest) { m.Bytes = nil }, appReference, policy.Internal},
		"the digest is none":        {right, func(m *policy.Manifest) { m.Digest = "" }, appReference, policy.Internal},
		"the digest is of no known": {right, func(m *policy.Manifest) { m.Digest = "md5:0123" }, appReference, policy.Internal},
		"a manifest known by SHA-512": {
			right, func(m *policy.Manifest) { m.Digest = digest.SHA512.FromBytes(raw) }, appReference, policy.Accepted,
		},
		"a signature on the SHA-512": {
			digest.SHA512.FromBytes(raw), func(m *policy.Manifest) { m.Digest = digest.SHA512.FromBytes(raw) },
			appReference, policy.Rejected,
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, cosigned(t, key, appReference, test.signed))
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

// TestASchema1ManifestHidesAnother: the digest that containers/image gives to a manifest of schema 1 is that of a text
// which a field of it holds. Here that text is the manifest that was signed, and the other fields are the attacker's.
func TestASchema1ManifestHidesAnother(t *testing.T) {
	key := newKey(t)
	genuine := manifestOf("genuine")
	protected := data(map[string]any{"formatLength": 0, "formatTail": rawURL(genuine), "time": "2026-01-01T00:00:00Z"})
	forged := []byte(data(map[string]any{
		"schemaVersion": 1,
		"config":        map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest.FromString("evil"), "size": 4},
		"layers":        []any{},
		"signatures":    []any{map[string]any{"protected": rawURL([]byte(protected)), "signature": "", "header": map[string]any{"alg": "ES256"}}},
	}))
	app := newSample(t, forged, cosigned(t, key, appReference, digest.FromBytes(genuine)))
	requirement := sigstoreSigned(`"keyData":`+data(publicPEM(t, key.Public())), "")
	if err := bare(t.Context(), containersPolicy(t, list(requirement)), named(t, appReference), app); err != nil {
		t.Fatalf("containers/image has become wiser, and the rule may go: %v", err)
	}
	finding := judgeAll(t, signature.NewJudge(), parse(t, requirement), named(t, appReference), app)
	if reason(finding) != policy.Rejected {
		t.Errorf("%s: %s", reason(finding), finding.Detail)
	}
}

// TestQuestionsThatMakeNoSense are answered all the same, and nothing is met.
func TestQuestionsThatMakeNoSense(t *testing.T) {
	app, good := signedApp(t)
	ended, end := context.WithCancel(t.Context())
	end()
	ref := named(t, appReference)
	for name, test := range map[string]struct {
		ctx         context.Context
		requirement *policy.Requirement
		ref         string
		want        policy.Reason
	}{
		"the time is up":               {ended, good, appReference, policy.Unavailable},
		"a requirement of nothing":     {t.Context(), &policy.Requirement{}, appReference, policy.Internal},
		"a requirement in another way": {t.Context(), &policy.Requirement{Alternatives: [][]byte{[]byte(`{}`)}}, appReference, policy.Internal},
		"two requirements in one": {
			t.Context(), &policy.Requirement{Alternatives: [][]byte{[]byte(`{"type":"insecureAcceptAnything"}],"default":[{"type":"reject"}`)}},
			appReference, policy.Internal,
		},
		"a requirement with a problem": {
			t.Context(), &policy.Requirement{Type: "insecureAcceptAnything", Problem: "no key", Alternatives: [][]byte{[]byte(`{"type":"insecureAcceptAnything"}`)}},
			appReference, policy.InvalidPolicy,
		},
		// containers/image asks the image for its signatures, and there is nothing to ask.
		"a panic": {
			t.Context(), &policy.Requirement{Type: good.Type, Alternatives: good.Alternatives}, appReference, policy.Internal,
		},
		"accept":       {t.Context(), parse(t, `{"type":"insecureAcceptAnything"}`)[0], appReference, policy.Accepted},
		"reject":       {t.Context(), parse(t, `{"type":"reject"}`)[0], appReference, policy.Rejected},
		"a base layer": {t.Context(), parse(t, `{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}`)[0], appReference, policy.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := policy.Evidence{}
			if test.requirement.NeedsEvidence {
				evidence = app.evidence
			}
			finding := signature.NewJudge().Judge(test.ctx, test.requirement, ref, app.manifest, evidence)
			if got := reason(finding); got != test.want {
				t.Errorf("%s: %s; want %s", got, finding.Detail, test.want)
			}
		})
	}
	both, err := reference.ParseNormalizedNamed(appReference + "@" + app.manifest.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if finding := signature.NewJudge().Judge(t.Context(), good, both, app.manifest, app.evidence); reason(finding) != policy.Internal {
		t.Errorf("a tag beside a digest: %s: %s", reason(finding), finding.Detail)
	}
}

// TestKeyringsAreJoined: containers/image looks at the first key in all files that has the signature's ID, and at no
// other. A judge of file after file would accept what an earlier file says has expired or is revoked.
func TestKeyringsAreJoined(t *testing.T) {
	then := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	key := newGPGKey(t, &packet.Config{Time: then})
	sound := keyring(t, key)
	manifest := manifestOf("app")
	app := newSample(t, manifest, gpgSigned(t, key, nil, appReference, digest.FromBytes(manifest)))
	if err := key.RevokeKey(packet.KeyCompromised, "stolen", nil); err != nil {
		t.Fatal(err)
	}
	revoked := keyring(t, key)
	other := keyring(t, newGPGKey(t, nil))
	for name, test := range map[string]struct {
		files [][]byte
		met   bool
	}{
		"one ring":                          {[][]byte{sound}, true},
		"one armored ring":                  {[][]byte{armored(t, sound)}, true},
		"the second of two":                 {[][]byte{other, sound}, true},
		"the second of two, both armored":   {[][]byte{armored(t, other), armored(t, sound)}, true},
		"an empty file before it":           {[][]byte{{}, sound}, true},
		"revoked":                           {[][]byte{revoked}, false},
		"revoked, and sound in a later one": {[][]byte{revoked, sound}, false},
		"sound, and revoked in a later one": {[][]byte{sound, revoked}, true},
		"another key":                       {[][]byte{other}, false},
		"no ring beside it":                 {[][]byte{sound, []byte("-----BEGIN NOTHING-----")}, false},
		"an empty file":                     {[][]byte{{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			var paths []string
			for i, file := range test.files {
				paths = append(paths, filepath.Join(directory, string(rune('a'+i))))
				write(t, paths[i], file)
			}
			requirement := signedBy(`"keyPaths":`+data(paths), "")
			theirs := bare(t.Context(), containersPolicy(t, list(requirement)), named(t, appReference), app)
			finding := judgeAll(t, signature.NewJudge(), parse(t, requirement), named(t, appReference), app)
			if finding.Met != test.met || (theirs == nil) != test.met {
				t.Errorf("met: %t, want %t (%s; containers/image says: %v)", finding.Met, test.met, finding.Detail, theirs)
			}
		})
	}
}

// TestCompressedSignaturesAreNotInflated: a message of some kilobytes holds 64 MiB.
func TestCompressedSignaturesAreNotInflated(t *testing.T) {
	key := newGPGKey(t, nil)
	manifest := manifestOf("app")
	good := gpgSigned(t, key, nil, appReference, digest.FromBytes(manifest))
	large := bomb(t, 64<<20)
	app := newSample(t, manifest, large)
	requirement := parse(t, signedBy(`"keyData":`+data(keyring(t, key)), ""))
	ref := named(t, appReference)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	finding := judgeAll(t, signature.NewJudge(), requirement, ref, app)
	runtime.ReadMemStats(&after)
	if reason(finding) != policy.Rejected {
		t.Errorf("%s: %s", reason(finding), finding.Detail)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<20 {
		t.Errorf("judging it took %d MiB", allocated>>20)
	}
	both := newSample(t, manifest, large, good)
	if finding := judgeAll(t, signature.NewJudge(), requirement, ref, both); !finding.Met {
		t.Errorf("a good signature beside it is not seen: %s", finding.Detail)
	}
}

// bomb is a compressed OpenPGP message that says nothing, at length.
func bomb(t testing.TB, size int) []byte {
	t.Helper()
	var compressed bytes.Buffer
	writer, err := flate.NewWriter(&compressed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	// A one-pass signature, then literal data: format, no file name, no date, and a length in four octets.
	inner := []byte{0xc4, 13, 3, 0, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1}
	length := size + 6
	inner = append(inner, 0xcb, 0xff, byte(length>>24), byte(length>>16), byte(length>>8), byte(length), 'b', 0, 0, 0, 0, 0)
	if _, err := writer.Write(inner); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for written := 0; written < size; written += len(zeros) {
		if _, err := writer.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	// A compressed data packet in the old format, without a length, and the algorithm ZIP.
	return append([]byte{0xa3, 1}, compressed.Bytes()...)
}

// TestDetailsAreBounded: what a hostile signature makes containers/image say goes into a log.
func TestDetailsAreBounded(t *testing.T) {
	app, requirement := signedApp(t)
	app = newSample(t, app.manifest.Bytes, bytes.Repeat([]byte{0}, 0))
	directory := app.evidence.Directory
	write(t, filepath.Join(directory, "signature-1"), append([]byte("\x00"), strings.Repeat("x", 1<<20)+"\n"...))
	finding := signature.NewJudge().Judge(t.Context(), requirement, named(t, appReference), app.manifest, app.evidence)
	if len(finding.Detail) > 5000 || finding.Detail == "" {
		t.Errorf("the detail is %d bytes long", len(finding.Detail))
	}
}
