package bundle_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestOneGoodBundleIsEnough: the order and the other bundles do not matter.
func TestOneGoodBundleIsEnough(t *testing.T) {
	key, other := bundletest.NewKey(t), bundletest.NewKey(t)
	attestation := bundletest.NewStatement(subject, tagged)
	attestation.PredicateType = "https://slsa.dev/provenance/v1"
	kinds := map[string][]byte{
		"good":        bundletest.Sign(t, key, subject, tagged).JSON(t),
		"nameless":    bundletest.Sign(t, key, subject, "").JSON(t),
		"elsewhere":   bundletest.Sign(t, key, subject, "registry.example/dev/app:v1").JSON(t),
		"other":       bundletest.Sign(t, other, subject, tagged).JSON(t),
		"image":       bundletest.Sign(t, key, digest.FromString("other"), tagged).JSON(t),
		"junk":        []byte("junk"),
		"empty":       {},
		"attestation": bundletest.SignStatement(t, key, attestation.JSON(t)).JSON(t),
	}
	requirement := required(t, key.Requirement(t))
	for mix, want := range map[string]policy.Reason{
		"good": policy.Accepted, "other good": policy.Accepted, "good other": policy.Accepted,
		"junk empty image other elsewhere nameless attestation good": policy.Accepted,
		"good attestation nameless elsewhere other image empty junk": policy.Accepted,
		"nameless good": policy.Accepted, "elsewhere good": policy.Accepted, "good good": policy.Accepted,
		"nameless": nameless, "nameless nameless": nameless, "junk other nameless elsewhere attestation": nameless,
		"elsewhere nameless": nameless, "nameless junk": nameless,
		"elsewhere": policy.Rejected, "other": policy.Rejected, "junk": policy.Rejected, "empty": policy.Rejected,
		"image other junk empty elsewhere attestation": policy.Rejected, "attestation junk": policy.Rejected,
		"attestation": policy.Unsigned, "attestation attestation": policy.Unsigned,
	} {
		t.Run(mix, func(t *testing.T) {
			var bundles [][]byte
			for kind := range strings.FieldsSeq(mix) {
				bundles = append(bundles, kinds[kind])
			}
			app := newSample(t, manifest, bundles...)
			finding := app.judge(t, requirement)
			wantFinding(t, finding, want, "")
			if want == policy.Rejected {
				for i := range bundles {
					name := fmt.Sprintf("bundle-%d.json: ", i+1)
					if !strings.Contains(mix, "attestation") && !strings.Contains(finding.Detail, name) {
						t.Errorf("the detail lacks %s: %s", name, finding.Detail)
					}
				}
			}
		})
	}
}

// TestRequirementsAreMetByDifferentBundles of one image.
func TestRequirementsAreMetByDifferentBundles(t *testing.T) {
	first, second, third := bundletest.NewKey(t), bundletest.NewKey(t), bundletest.NewKey(t)
	sigstore := bundletest.NewSigstore(t)
	app := newSample(t, manifest,
		bundletest.Sign(t, first, subject, tagged).JSON(t), []byte("junk"),
		sigstore.Sign(t, builder, subject, tagged).JSON(t), bundletest.Sign(t, second, subject, tagged).JSON(t))
	app.evidence.Generation = 1
	several := first.Requirement(t)
	delete(several, "keyData")
	several["keyDatas"] = [][]byte{third.PEM(t), second.PEM(t)}
	judge := bundle.NewJudge()
	for _, test := range []struct {
		requirement map[string]any
		want        policy.Reason
	}{
		{first.Requirement(t), policy.Accepted},
		{second.Requirement(t), policy.Accepted},
		{several, policy.Accepted},
		{sigstore.Requirement(t, builder), policy.Accepted},
		{third.Requirement(t), policy.Rejected},
	} {
		for range 2 {
			finding := judge.Judge(t.Context(), app.request(required(t, test.requirement), named(t, tagged)))
			wantFinding(t, finding, test.want, "")
		}
	}
}

// TestAKeyIsFoundWithoutItsHint among several.
func TestAKeyIsFoundWithoutItsHint(t *testing.T) {
	keys := []*bundletest.Key{bundletest.NewKey(t), bundletest.NewRSA(t, 2048, false), bundletest.NewEd25519(t, true)}
	requirement := keys[0].Requirement(t)
	delete(requirement, "keyData")
	var all [][]byte
	for _, key := range keys {
		all = append(all, key.PEM(t))
	}
	requirement["keyDatas"] = all
	for _, key := range keys {
		for _, hint := range []string{"", "our release key", "AAAA", key.Hint(t)} {
			signed := bundletest.Sign(t, key, subject, tagged)
			signed.VerificationMaterial.GetPublicKey().Hint = hint
			app := newSample(t, manifest, signed.JSON(t))
			wantFinding(t, app.judge(t, required(t, requirement)), policy.Accepted, "")
		}
	}
}

// TestSubjectsAreEvaluatedSeparately: only subjects that are this image count.
func TestSubjectsAreEvaluatedSeparately(t *testing.T) {
	key := bundletest.NewKey(t)
	here := func(name string) bundletest.Subject { return bundletest.NewSubject(subject, name) }
	other := bundletest.NewSubject(digest.FromString("other"), tagged)
	const elsewhere = "registry.example/dev/app:v1"
	for name, test := range map[string]struct {
		subjects []bundletest.Subject
		want     policy.Reason
	}{
		"the image among others":            {[]bundletest.Subject{other, here(tagged), other}, policy.Accepted},
		"the image under two names":         {[]bundletest.Subject{here(elsewhere), here(tagged)}, policy.Accepted},
		"the image without and with a name": {[]bundletest.Subject{here(""), here(tagged)}, policy.Accepted},
		"the image without a name":          {[]bundletest.Subject{other, here("")}, nameless},
		"without a name, and with another":  {[]bundletest.Subject{here(elsewhere), here("")}, policy.Rejected},
		"under other names":                 {[]bundletest.Subject{here(elsewhere), here("x"), other}, policy.Rejected},
		"other images":                      {[]bundletest.Subject{other, other}, policy.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			statement := bundletest.NewStatement(subject, "")
			statement.Subject = test.subjects
			app := newSample(t, manifest, bundletest.SignStatement(t, key, statement.JSON(t)).JSON(t))
			wantFinding(t, app.judge(t, required(t, key.Requirement(t))), test.want, "")
		})
	}
}

// TestTheJudgeIsSafeForConcurrentUse with shared requirements and bundles.
func TestTheJudgeIsSafeForConcurrentUse(t *testing.T) {
	key, sigstore, ours := bundletest.NewKey(t), bundletest.NewSigstore(t), newCompany(t)
	app := newSample(t, manifest,
		bundletest.Sign(t, key, subject, tagged).JSON(t), []byte("junk"),
		sigstore.Sign(t, builder, subject, tagged).JSON(t),
		bundletest.Sign(t, key, subject, tagged).
			Certified(ours.certify(t, key.Public(), nil), ours.authority.Certificate).JSON(t))
	app.evidence.Generation = 7
	requirements := []*policy.Requirement{
		required(t, key.Requirement(t)), required(t, sigstore.Requirement(t, builder)),
		required(t, ours.requirement(builder.Email, "")),
	}
	judge, ref := bundle.NewJudge(), named(t, tagged)
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			requirement := requirements[i%len(requirements)]
			if finding := judge.Judge(t.Context(), app.request(requirement, ref)); !finding.Met {
				t.Errorf("%s: %s", requirement.JSON, finding.Detail)
			}
		})
	}
	group.Wait()
}

// TestOnlyRegularFilesAreRead of a limited size.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	key := bundletest.NewKey(t)
	good := bundletest.Sign(t, key, subject, tagged).JSON(t)
	padded := func(size int) []byte { return append(good, []byte(strings.Repeat(" ", size-len(good)))...) }
	file := func(raw []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, raw, 0o600) }
	}
	for name, test := range map[string]struct {
		place  func(path string) error
		want   policy.Reason
		detail string
	}{
		"a file":              {file(good), policy.Accepted, ""},
		"of the maximum size": {file(padded(1 << 20)), policy.Accepted, ""},
		"too large":           {file(padded(1<<20 + 1)), policy.Unavailable, "1048577 bytes"},
		"missing":             {func(string) error { return nil }, policy.Unavailable, "no such file"},
		"a directory": {
			func(path string) error { return os.Mkdir(path, 0o700) }, policy.Unavailable, "not a regular file",
		},
		"a pipe without a writer": {
			func(path string) error { return syscall.Mkfifo(path, 0o600) }, policy.Unavailable, "not a regular file",
		},
		"a symbolic link": {func(path string) error {
			if err := os.WriteFile(path+".x", good, 0o600); err != nil {
				return err
			}
			return os.Symlink(path+".x", path)
		}, policy.Unavailable, "it is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, manifest)
			if err := test.place(filepath.Join(app.evidence.Directory, "bundle-1.json")); err != nil {
				t.Fatal(err)
			}
			app.evidence.Bundles = 1
			wantFinding(t, app.judge(t, required(t, key.Requirement(t))), test.want, test.detail)
		})
	}
}

// TestBundlesAreReadOnce for one generation of evidence, also with a second requirement.
func TestBundlesAreReadOnce(t *testing.T) {
	first, second := bundletest.NewKey(t), bundletest.NewKey(t)
	app := newSample(t, manifest, bundletest.Sign(t, first, subject, tagged).JSON(t),
		bundletest.Sign(t, second, subject, tagged).JSON(t))
	judge := bundle.NewJudge()
	ask := func(key *bundletest.Key, evidence policy.Evidence) policy.Reason {
		requirement := required(t, key.Requirement(t))
		return reason(judge.Judge(t.Context(), policy.JudgeRequest{
			Requirement: requirement, Reference: named(t, tagged), Manifest: app.manifest, Evidence: evidence,
		}))
	}
	unnumbered := app.evidence
	app.evidence.Generation = 3
	for _, evidence := range []policy.Evidence{unnumbered, app.evidence} {
		if got := ask(first, evidence); got != policy.Accepted {
			t.Fatal(got)
		}
	}
	if err := os.RemoveAll(app.evidence.Directory); err != nil {
		t.Fatal(err)
	}
	if got := ask(second, app.evidence); got != policy.Accepted {
		t.Errorf("read again: %s", got)
	}
	changed := app.evidence
	changed.Generation++
	for name, evidence := range map[string]policy.Evidence{"a new generation": changed, "no generation": unnumbered} {
		if got := ask(first, evidence); got != policy.Unavailable {
			t.Errorf("%s is not read: %s", name, got)
		}
	}
}

// TestDetailsAreOneShortLine for any bundle.
func TestDetailsAreOneShortLine(t *testing.T) {
	key := bundletest.NewKey(t)
	long := strings.Repeat("x\n\x1b[31m", 20_000)
	mediaType, err := json.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	statement := bundletest.NewStatement(subject, long)
	attestation := bundletest.NewStatement(subject, tagged)
	attestation.PredicateType = long
	bundles := [][]byte{
		[]byte(`{"mediaType":` + string(mediaType) + `,"verificationMaterial":{"publicKey":{}},"dsseEnvelope":{}}`),
		[]byte(`{` + string(mediaType) + `:1}`),
		bundletest.SignStatement(t, key, statement.JSON(t)).JSON(t),
		bundletest.SignStatement(t, key, attestation.JSON(t)).JSON(t),
	}
	var many [][]byte
	for range 16 {
		many = append(many, bundles...)
	}
	for _, app := range []sample{newSample(t, manifest, many...), newSample(t, manifest, bundles[3])} {
		finding := app.judge(t, required(t, key.Requirement(t)))
		if len(finding.Detail) > 4100 || strings.ContainsAny(finding.Detail, "\n\x1b") || finding.Detail == "" {
			t.Errorf("%d bytes: %q", len(finding.Detail), finding.Detail)
		}
	}
}
