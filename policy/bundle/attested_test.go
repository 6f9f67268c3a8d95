package bundle_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

const (
	slsa        = "https://slsa.dev/provenance/v1"
	vex         = "https://openvex.dev/ns"
	oldInToto   = "https://in-toto.io/Statement/v0.1"
	githubBuild = "https://github.com/actions/runner/github-hosted"
)

// attest returns an attestation of the image, as cosign attest makes it, changed by change.
func attest(t testing.TB, key *bundletest.Key, change func(*bundletest.Statement)) []byte {
	t.Helper()
	return bundletest.SignStatement(t, key, provenanceOf(t, change)).JSON(t)
}

func provenanceOf(t testing.TB, change func(*bundletest.Statement)) []byte {
	t.Helper()
	statement := bundletest.Statement{
		Type: oldInToto, PredicateType: slsa,
		Subject:   []bundletest.Subject{{Name: repository, Digest: map[string]string{"sha256": subject.Encoded()}}},
		Predicate: map[string]any{"runDetails": map[string]any{"builder": map[string]any{"id": githubBuild}}},
	}
	if change != nil {
		change(&statement)
	}
	return statement.JSON(t)
}

// attestedSample returns an image with attestations. Attestations of every type were looked for.
func attestedSample(t testing.TB, attestations ...[]byte) sample {
	t.Helper()
	made := newSample(t, manifest)
	for i, raw := range attestations {
		path := filepath.Join(made.evidence.Directory, fmt.Sprintf("attestation-%d.json", i+1))
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made.evidence.State, made.evidence.Predicates = policy.None, policy.NewPredicates(slsa, vex)
	if made.evidence.Attestations = len(attestations); len(attestations) > 0 {
		made.evidence.State = policy.Found
	}
	return made
}

func attestedRequirement(t testing.TB, key *bundletest.Key, more map[string]any) *policy.Requirement {
	t.Helper()
	members := map[string]any{"type": "attested", "predicateType": slsa, "keyData": key.PEM(t)}
	maps.Copy(members, more)
	return required(t, members)
}

func TestAttestationsMeetRequirements(t *testing.T) {
	key, other := bundletest.NewKey(t), bundletest.NewKey(t)
	good := attest(t, key, nil)
	builderIs := func(id string) map[string]any {
		return map[string]any{"where": fmt.Sprintf("predicate.runDetails.builder.id == %q", id)}
	}
	changed := func(change func(*bundletest.Statement)) []byte { return attest(t, key, change) }
	for name, test := range map[string]struct {
		attestations [][]byte
		more         map[string]any
		want         policy.Reason
		cause        policy.Cause
		detail       string
	}{
		"as cosign makes it": {attestations: [][]byte{good}, want: policy.Accepted},
		"of version 1": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Type = bundletest.StatementType })},
			want:         policy.Accepted,
		},
		"of another version": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Type = "https://in-toto.io/Statement/v2" })},
			want:         policy.Rejected, cause: policy.Malformed, detail: "its statement is of type",
		},
		"a true condition": {attestations: [][]byte{good}, more: builderIs(githubBuild), want: policy.Accepted},
		"a false condition": {
			attestations: [][]byte{good}, more: builderIs("https://example.com"),
			want: policy.Rejected, cause: policy.FalseCondition, detail: "the condition is not true for it",
		},
		"a condition about a field that is missing": {
			attestations: [][]byte{good}, more: map[string]any{"where": "predicate.other == 1"},
			want: policy.Rejected, cause: policy.FalseCondition, detail: "no such key: other",
		},
		"the second of two": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Predicate = map[string]any{} }), good},
			more:         builderIs(githubBuild), want: policy.Accepted,
		},
		"none": {want: policy.Unsigned, cause: policy.NoAttestation, detail: "no attestation of type " + slsa},
		"only of another type": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.PredicateType = vex })},
			want:         policy.Unsigned, cause: policy.NoAttestation, detail: `attestation-1.json has "` + vex + `"`,
		},
		"a type that was not looked for": {
			attestations: [][]byte{good}, more: map[string]any{"predicateType": "https://spdx.dev/Document"},
			want: policy.Pending, detail: "have not been looked for yet",
		},
		"by another key": {
			attestations: [][]byte{attest(t, other, nil)},
			want:         policy.Rejected, cause: policy.OtherKey, detail: "its hint names the key",
		},
		"by another key, with a true condition": {
			attestations: [][]byte{attest(t, other, nil)}, more: builderIs(githubBuild),
			want: policy.Rejected, cause: policy.OtherKey,
		},
		"of another image": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) {
				s.Subject[0].Digest["sha256"] = digest.FromString("other").Encoded()
			})},
			want: policy.Rejected, cause: policy.OtherImage, detail: "it is about another image",
		},
		"of another repository": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Subject[0].Name = "registry.example/team/other" })},
			want:         policy.Rejected, cause: policy.OtherName, detail: `for "registry.example/team/other"`,
		},
		"with a remapped name": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Subject[0].Name = "origin.example/app" })},
			more: map[string]any{"signedIdentity": map[string]any{
				"type": "exactRepository", "dockerRepository": "origin.example/app",
			}},
			want: policy.Accepted,
		},
		"that names a file": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Subject[0].Name = "image.tar" })},
			want:         "nameless", cause: policy.NoName, detail: "its subject names no repository",
		},
		"that names a package": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Subject[0].Name = "pkg:docker/app@v1" })},
			want:         "nameless", cause: policy.NoName,
		},
		"that names nothing, with a false condition": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) { s.Subject[0].Name = "" })},
			more:         builderIs("https://example.com"), want: policy.Rejected, cause: policy.FalseCondition,
		},
		"with cosign's annotation": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) {
				s.Subject[0].Annotations = map[string]any{"docker-reference": "registry.example/team/other"}
			})},
			want: policy.Rejected, cause: policy.OtherName,
		},
		"of a file and the image": {
			attestations: [][]byte{changed(func(s *bundletest.Statement) {
				file := bundletest.Subject{Name: "a", Digest: map[string]string{"sha256": strings.Repeat("0", 64)}}
				s.Subject = append([]bundletest.Subject{file}, s.Subject...)
			})},
			want: policy.Accepted,
		},
		"not JSON": {
			attestations: [][]byte{[]byte("{")},
			want:         policy.Rejected, cause: policy.Malformed, detail: "it is not a Sigstore bundle",
		},
		"modified": {
			attestations: [][]byte{modified(t, key)}, want: policy.Rejected, cause: policy.OtherKey,
		},
	} {
		t.Run(name, func(t *testing.T) {
			finding := attestedSample(t, test.attestations...).judge(t, attestedRequirement(t, key, test.more))
			if reason(finding) != test.want || finding.Cause != test.cause || !strings.Contains(finding.Detail, test.detail) {
				t.Errorf("%s, cause %q, want %s, %q: %s", reason(finding), finding.Cause, test.want, test.cause, finding.Detail)
			}
		})
	}
}

// modified returns an attestation whose predicate was changed after it was signed.
func modified(t testing.TB, key *bundletest.Key) []byte {
	t.Helper()
	signed := bundletest.SignStatement(t, key, provenanceOf(t, nil))
	signed.GetDsseEnvelope().Payload = provenanceOf(t, func(s *bundletest.Statement) { s.Predicate = map[string]any{} })
	return signed.JSON(t)
}

// TestSignaturesAreNotAttestations, nor the reverse.
func TestSignaturesAreNotAttestations(t *testing.T) {
	key := bundletest.NewKey(t)
	signed := bundletest.Sign(t, key, subject, repository).JSON(t)
	finding := attestedSample(t, signed).judge(t, attestedRequirement(t, key, nil))
	if finding.Met || finding.Reason != policy.Unsigned {
		t.Errorf("%+v", finding)
	}
	requirement := required(t, map[string]any{
		"type": "sigstoreSigned", "keyData": key.PEM(t), "signedIdentity": map[string]any{"type": "matchRepository"},
	})
	if finding := newSample(t, manifest, attest(t, key, nil)).judge(t, requirement); finding.Met {
		t.Errorf("%+v", finding)
	}
	// Files of attestations are no signatures, whatever they contain.
	if finding := attestedSample(t, signed).judge(t, requirement); finding.Met {
		t.Errorf("%+v", finding)
	}
}

// TestStatesOfEvidence: what is not known is not refused.
func TestAttestationsThatAreNotKnown(t *testing.T) {
	key := bundletest.NewKey(t)
	requirement := attestedRequirement(t, key, nil)
	for name, test := range map[string]struct {
		change func(*policy.Evidence)
		want   policy.Reason
	}{
		"nothing is known":       {func(e *policy.Evidence) { e.State = policy.Unknown }, policy.Pending},
		"the fetch failed":       {func(e *policy.Evidence) { e.State = policy.Failed }, policy.Unavailable},
		"signatures were found":  {func(e *policy.Evidence) { e.State, e.Signatures = policy.Found, 1 }, policy.Unsigned},
		"no type was looked for": {func(e *policy.Evidence) { e.Predicates = "" }, policy.Pending},
		"another type was looked for": {
			func(e *policy.Evidence) { e.Predicates = policy.NewPredicates(vex) }, policy.Pending,
		},
		"a file is missing": {func(e *policy.Evidence) { e.State, e.Attestations = policy.Found, 1 }, policy.Unavailable},
		"too many": {
			func(e *policy.Evidence) { e.State, e.Attestations = policy.Found, 65 }, policy.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := attestedSample(t)
			test.change(&image.evidence)
			if finding := image.judge(t, requirement); finding.Met || finding.Reason != test.want {
				t.Errorf("%+v, want %s", finding, test.want)
			}
		})
	}
}

// TestSixtyFourLargeAttestations are judged one at a time, each once.
func TestSixtyFourLargeAttestations(t *testing.T) {
	key := bundletest.NewKey(t)
	large := make([][]byte, 64)
	for i := range large {
		large[i] = attest(t, key, func(s *bundletest.Statement) {
			s.Predicate = map[string]any{"number": i, "padding": strings.Repeat("x", 1<<20)}
		})
	}
	image := attestedSample(t, large...)
	last := attestedRequirement(t, key, map[string]any{"where": "predicate.number == 63"})
	if finding := image.judge(t, last); !finding.Met {
		t.Errorf("%+v", finding)
	}
}

func FuzzAttestation(f *testing.F) {
	key := bundletest.NewKey(f)
	f.Add(provenanceOf(f, nil))
	f.Add(provenanceOf(f, func(s *bundletest.Statement) { s.Type = bundletest.StatementType }))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":7,"digest":{}}],` +
		`"predicateType":"x","predicate":[]}`))
	requirement := attestedRequirement(f, key, map[string]any{"where": "predicate.runDetails.builder.id != ''"})
	f.Fuzz(func(t *testing.T, statement []byte) {
		finding := attestedSample(t, bundletest.SignStatement(t, key, statement).JSON(t)).judge(t, requirement)
		if finding.Reason == policy.Internal {
			t.Fatalf("%+v", finding)
		}
		if !finding.Met {
			return
		}
		// What was accepted says so to an ordinary reader too.
		var read bundletest.Statement
		if err := json.Unmarshal(statement, &read); err != nil || read.PredicateType != slsa || len(read.Subject) == 0 {
			t.Fatalf("accepted %q: %v", statement, err)
		}
	})
}
