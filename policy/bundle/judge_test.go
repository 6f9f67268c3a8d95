package bundle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

func TestWhatCosignSignsIsAccepted(t *testing.T) {
	key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
	logged := bundletest.Sign(t, key, subject, repository)
	sigstore.Record(t, logged, key.PEM(t), time.Now())
	timestamped := sigstore.Sign(t, builder, subject, repository)
	sigstore.Timestamp(t, timestamped)
	second := sigstore.Sign(t, builder, subject, repository)
	sigstore.RecordSecond(t, second)
	byKey, keyless := key.Requirement(t), sigstore.Requirement(t, builder)
	byKeyAndLog := key.Requirement(t)
	byKeyAndLog["rekorPublicKeyData"] = sigstore.LogPEM(t)
	byKeyAndLogs := key.Requirement(t)
	byKeyAndLogs["rekorPublicKeyDatas"] = [][]byte{bundletest.NewSigstore(t).LogPEM(t), sigstore.LogPEM(t)}
	proven := logged.Clone()
	proven.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
	for name, test := range map[string]struct {
		requirement map[string]any
		bundle      bundletest.Bundle
	}{
		"by key":                                       {byKey, bundletest.Sign(t, key, subject, repository)},
		"by key, with a tag in the name":               {byKey, bundletest.Sign(t, key, subject, tagged)},
		"by key, logged though not required":           {byKey, logged},
		"by key, in the log":                           {byKeyAndLog, logged},
		"by key, in one of two logs":                   {byKeyAndLogs, logged},
		"by key, in the log by a proof alone":          {byKeyAndLog, proven},
		"keyless":                                      {keyless, sigstore.Sign(t, builder, subject, repository)},
		"keyless, with a timestamp that is not needed": {keyless, timestamped},
		"keyless, in another log besides":              {keyless, second},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, manifest, test.bundle.JSON(t))
			wantFinding(t, app.judge(t, required(t, test.requirement)), policy.Accepted, "")
		})
	}
}

func TestTheFindingOfASignatureWithoutANameHasTheSolutions(t *testing.T) {
	key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
	byKey := newSample(t, manifest, bundletest.Sign(t, key, subject, "").JSON(t))
	keyless := newSample(t, manifest, sigstore.Sign(t, builder, subject, "").JSON(t))
	with := func(requirement, identity map[string]any) *policy.Requirement {
		delete(requirement, "signedIdentity")
		if identity != nil {
			requirement["signedIdentity"] = identity
		}
		return required(t, requirement)
	}
	for name, test := range map[string]struct {
		app         sample
		requirement *policy.Requirement
		want        string
	}{
		"by key": {byKey, with(key.Requirement(t), nil), "by the right key, but it names no repository"},
		"the name, by default": {
			byKey, with(key.Requirement(t), nil), `"cosign sign -a docker-reference=registry.example/team/app:v1 …"`,
		},
		"the name of a repository": {
			byKey, with(key.Requirement(t), map[string]any{"type": "matchRepository"}),
			`"cosign sign -a docker-reference=registry.example/team/app …"`,
		},
		"the name in the policy": {
			byKey, with(key.Requirement(t), map[string]any{"type": "exactRepository", "dockerRepository": "upstream.example/a"}),
			`"cosign sign -a docker-reference=upstream.example/a …"`,
		},
		"the reference in the policy": {
			byKey, with(key.Requirement(t), map[string]any{"type": "exactReference", "dockerReference": "upstream.example/a:2"}),
			`"cosign sign -a docker-reference=upstream.example/a:2 …"`,
		},
		"the remapped name": {
			byKey, with(key.Requirement(t), map[string]any{
				"type": "remapIdentity", "prefix": "registry.example", "signedPrefix": "upstream.example/x",
			}),
			`"cosign sign -a docker-reference=upstream.example/x/team/app:v1 …"`,
		},
		"the other way out": {byKey, with(key.Requirement(t), nil), `identity = "digest" under [bundles] in config.toml`},
		"for one namespace": {byKey, with(key.Requirement(t), nil), `[bundles.namespaces]`},
		"keyless": {
			keyless, required(t, sigstore.Requirement(t, builder)), "by the right identity, but it names no repository",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.requirement.Problem != "" {
				t.Fatal(test.requirement.Problem)
			}
			wantFinding(t, test.app.judge(t, test.requirement), nameless, test.want)
		})
	}
}

// TestWithoutBundlesTheFindingIsNotRejected: each way to have no bundles, or not to be able to read them.
func TestWithoutBundlesTheFindingIsNotRejected(t *testing.T) {
	key := bundletest.NewKey(t)
	good := bundletest.Sign(t, key, subject, tagged).JSON(t)
	for name, test := range map[string]struct {
		change func(*sample, *policy.Requirement)
		want   policy.Reason
		detail string
	}{
		"as it is":       {func(*sample, *policy.Requirement) {}, policy.Accepted, ""},
		"nothing known":  {func(s *sample, _ *policy.Requirement) { s.evidence.State = policy.Unknown }, policy.Pending, ""},
		"a state beyond": {func(s *sample, _ *policy.Requirement) { s.evidence.State = 17 }, policy.Pending, ""},
		"looking failed": {func(s *sample, _ *policy.Requirement) {
			s.evidence.State, s.evidence.Detail = policy.Failed, "503"
		}, policy.Unavailable, "503"},
		"none": {
			func(s *sample, _ *policy.Requirement) { s.evidence.State = policy.None }, policy.Unsigned, "no bundle of sha256:",
		},
		"none that can be read": {
			func(s *sample, _ *policy.Requirement) {
				s.evidence.State, s.evidence.Unusable, s.evidence.Detail = policy.None, true, "2 GiB"
			}, policy.Rejected, "can be read: 2 GiB",
		},
		"no bundles": {
			func(s *sample, _ *policy.Requirement) { s.evidence.Bundles = 0 }, policy.Unsigned, "no bundle of sha256:",
		},
		"fewer than none": {func(s *sample, _ *policy.Requirement) { s.evidence.Bundles = -1 }, policy.Unsigned, ""},
		"an instance of an index": {
			func(s *sample, _ *policy.Requirement) { s.evidence.Instance = subject }, policy.Unsigned, "no bundle",
		},
		"one more is expected than exists": {
			func(s *sample, _ *policy.Requirement) { s.evidence.Bundles = 2 }, policy.Unavailable, "bundle-2.json",
		},
		"more than are read": {
			func(s *sample, _ *policy.Requirement) { s.evidence.Bundles = 65 }, policy.Unavailable, "the maximum is 64",
		},
		"a directory that does not exist": {
			func(s *sample, _ *policy.Requirement) { s.evidence.Directory += "x" }, policy.Unavailable, "no such file",
		},
		"another digest than the bytes'": {
			func(s *sample, _ *policy.Requirement) { s.manifest.Digest = digest.FromString("x") }, policy.Internal, "has digest",
		},
		"no digest": {func(s *sample, _ *policy.Requirement) { s.manifest.Digest = "" }, policy.Internal, "digest"},
		"a requirement that nothing meets": {
			func(_ *sample, r *policy.Requirement) { r.Problem = "no key" }, policy.InvalidPolicy, "no key",
		},
		"a requirement that is none": {
			func(_ *sample, r *policy.Requirement) { r.JSON = []byte("{}") }, policy.Internal, "type",
		},
		"a requirement with more than is known": {
			func(_ *sample, r *policy.Requirement) {
				r.JSON = []byte(strings.Replace(string(r.JSON), "{", `{"keyPath":"/etc/key.pub",`, 1))
			}, policy.Internal, "keyPath",
		},
		"a requirement of a key": {
			func(_ *sample, r *policy.Requirement) { r.Kind = "signedBy" }, policy.Unsigned, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, requirement := newSample(t, manifest, good), required(t, key.Requirement(t))
			test.change(&app, requirement)
			wantFinding(t, app.judge(t, requirement), test.want, test.detail)
		})
	}
}

// TestRequirementsOfOtherKindsAreUnsigned: the finding is merged with that of package signature.
func TestRequirementsOfOtherKindsAreUnsigned(t *testing.T) {
	app := newSample(t, manifest, []byte("{}"))
	for _, kind := range []policy.Kind{
		"signedBy", "reject", "insecureAcceptAnything", "signedBaseLayer", "", "sigstoresigned",
	} {
		finding := app.judge(t, &policy.Requirement{ID: "sha256:1", Kind: kind, JSON: []byte("{}")})
		if finding != (policy.Finding{Reason: policy.Unsigned}) {
			t.Errorf("the finding for %q is %+v", kind, finding)
		}
	}
}

func TestACancelledContextIsUnavailable(t *testing.T) {
	key := bundletest.NewKey(t)
	app := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	finding := bundle.NewJudge().Judge(ctx, app.request(required(t, key.Requirement(t)), named(t, tagged)))
	wantFinding(t, finding, policy.Unavailable, "canceled")
}

func TestAReferenceWithoutAnIdentityIsInternal(t *testing.T) {
	key := bundletest.NewKey(t)
	app := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
	for _, name := range []string{tagged + "@" + subject.String(), repository} {
		ref, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		finding := bundle.NewJudge().Judge(t.Context(), app.request(required(t, key.Requirement(t)), ref))
		wantFinding(t, finding, policy.Internal, "no policy identity")
	}
}

// TestASchema1ManifestIsRefused: see docs/decisions/0010.
func TestASchema1ManifestIsRefused(t *testing.T) {
	key := bundletest.NewKey(t)
	raw := []byte(`{"schemaVersion":1,"signatures":[{"protected":"e30"}]}`)
	app := newSample(t, raw, bundletest.Sign(t, key, digest.FromBytes(raw), tagged).JSON(t))
	wantFinding(t, app.judge(t, required(t, key.Requirement(t))), policy.Rejected, "is schema 1")
}

// TestAManifestMayHaveAnyDigest of its bytes, as in containers/image.
func TestAManifestMayHaveAnyDigest(t *testing.T) {
	key := bundletest.NewKey(t)
	requirement := required(t, key.Requirement(t))
	for _, by := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		for _, signed := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
			app := newSample(t, manifest, bundletest.Sign(t, key, signed.FromBytes(manifest), tagged).JSON(t))
			app.manifest.Digest = by.FromBytes(manifest)
			wantFinding(t, app.judge(t, requirement), policy.Accepted, "")
		}
	}
}
