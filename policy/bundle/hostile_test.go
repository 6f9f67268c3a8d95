package bundle_test

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"runtime"
	"strings"
	"testing"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// hugeKey is a public key without a private one. Verifying with it would take long.
func hugeKey(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits)
	return &rsa.PublicKey{N: n.Sub(n, big.NewInt(1)), E: 65537}
}

// TestHugeKeysAreNotUsed: whoever adds a certificate, a log entry or a chain chooses its keys.
func TestHugeKeysAreNotUsed(t *testing.T) {
	ours, key := newCompany(t), bundletest.NewKey(t)
	huge := ours.certify(t, hugeKey(16384), nil)
	leaf := ours.certify(t, key.Public(), nil)
	between := ours.certify(t, hugeKey(16384), nil)
	between.IsCA = true
	requirement := required(t, ours.requirement(builder.Email, ""))
	app := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).Certified(huge).JSON(t))
	wantFinding(t, app.judge(t, requirement), policy.Rejected, "more than 8192 bits")
	chained := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).Certified(leaf, between).JSON(t))
	wantFinding(t, chained.judge(t, requirement), policy.Rejected, "")
}

// TestALogsParserVerifiesNothing: Rekor's parser of a hashedrekord verifies its signature with the key next to it,
// which the attacker chooses.
func TestALogsParserVerifiesNothing(t *testing.T) {
	key, sigstore, ours := bundletest.NewKey(t), bundletest.NewSigstore(t), newCompany(t)
	huge := pemOf(ours.certify(t, hugeKey(50_000), nil).Raw)
	body := func(kind string) []byte {
		return []byte(data(map[string]any{
			"apiVersion": "0.0.1", "kind": kind,
			"spec": map[string]any{
				"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": subject.Encoded()}},
				"signature": map[string]any{"content": make([]byte, 6250), "publicKey": map[string]any{"content": huge}},
				"proposedContent": map[string]any{
					"envelope": data(map[string]any{
						"payload": "e30=", "payloadType": bundletest.PayloadType,
						"signatures": []any{map[string]any{"sig": make([]byte, 6250)}},
					}),
					"verifiers": [][]byte{huge},
				},
			},
		}))
	}
	good := sigstore.Sign(t, builder, subject, tagged)
	for kind, detail := range map[string]string{"hashedrekord": "but the entry is", "dsse": "it is a proposal"} {
		hostile := good.Clone()
		entry := hostile.VerificationMaterial.TlogEntries[0]
		entry.CanonicalizedBody = body(kind)
		sigstore.Promise(t, entry)
		app := newSample(t, manifest, hostile.JSON(t))
		wantFinding(t, app.judge(t, required(t, sigstore.Requirement(t, builder))), policy.Rejected, detail)
	}
	// A requirement without a log ignores an invalid log entry.
	logged := bundletest.Sign(t, key, subject, tagged)
	logged.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{{CanonicalizedBody: body("hashedrekord")}}
	app := newSample(t, manifest, logged.JSON(t))
	wantFinding(t, app.judge(t, required(t, key.Requirement(t))), policy.Accepted, "")
}

// TestLargeBundlesTakeLittleMemory: sixty-four bundles of a megabyte of any kind.
func TestLargeBundlesTakeLittleMemory(t *testing.T) {
	key := bundletest.NewKey(t)
	good := bundletest.Sign(t, key, subject, tagged)
	fill := func(part string) string { return strings.Repeat(part, (1<<20-4096)/len(part)) }
	statement := bundletest.NewStatement(subject, tagged).JSON(t)
	predicate := func(by string) []byte {
		large := bytes.Replace(statement, []byte(`"predicate":{}`), []byte(`"predicate":`+by), 1)
		return bundletest.SignStatement(t, key, large).JSON(t)
	}
	quarters := strings.Repeat("[],", 1<<18)
	entries := good.Clone()
	for range 30 {
		entries.VerificationMaterial.TlogEntries = append(entries.VerificationMaterial.TlogEntries,
			&rekor.TransparencyLogEntry{CanonicalizedBody: []byte(strings.Repeat("[[],[]],", 3000))})
	}
	replace := func(by string) []byte {
		return bytes.Replace(good.JSON(t), []byte(`"dsseEnvelope"`), []byte(by+`"dsseEnvelope"`), 1)
	}
	for name, raw := range map[string][]byte{
		"elements in a predicate": predicate("[" + quarters + "[]]"),
		"a deep predicate":        predicate(strings.Repeat("[", 300_000) + strings.Repeat("]", 300_000)),
		"entries of a log":        replace(`"x":[` + fill("{},") + `{}],`),
		"a deep bundle":           replace(`"x":` + fill("[") + `,`),
		"bodies of entries":       entries.JSON(t),
		"spaces":                  replace(fill(" ")),
		"a long text":             replace(`"mediaType":"` + fill("x") + `",`),
	} {
		t.Run(name, func(t *testing.T) {
			var all [][]byte
			for range 64 {
				all = append(all, raw[:min(len(raw), 1<<20)])
			}
			app := newSample(t, manifest, all...)
			judge, requirement, ref := bundle.NewJudge(), required(t, key.Requirement(t)), named(t, tagged)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			finding := judge.Judge(t.Context(), app.request(requirement, ref))
			runtime.ReadMemStats(&after)
			if finding.Reason == policy.Unavailable || finding.Reason == policy.Internal {
				t.Errorf("%s: %s", finding.Reason, finding.Detail)
			}
			// Four times the size of the files.
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<20 {
				t.Errorf("judging it took %d MiB", allocated>>20)
			}
		})
	}
}

// TestTheCacheIsBounded for any amount of evidence.
func TestTheCacheIsBounded(t *testing.T) {
	key := bundletest.NewKey(t)
	statement := bundletest.NewStatement(subject, strings.Repeat("x", 60_000))
	raw := bundletest.SignStatement(t, key, statement.JSON(t)).JSON(t)
	judge, requirement, ref := bundle.NewJudge(), required(t, key.Requirement(t)), named(t, tagged)
	app := newSample(t, manifest, raw, raw, raw, raw)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for generation := range uint64(100) {
		app.evidence.Generation = generation + 1
		judge.Judge(t.Context(), app.request(requirement, ref))
	}
	if grown := heap() - min(before, heap()); grown > 24<<20 {
		t.Errorf("the cache has %d MiB", grown>>20)
	}
	runtime.KeepAlive(judge)
}

// TestAPanicIsInternal: a parser that panics fails the verdict, not the process.
func TestAPanicIsInternal(t *testing.T) {
	key := bundletest.NewKey(t)
	app := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
	var judge *bundle.Judge
	finding := judge.Judge(t.Context(), app.request(required(t, key.Requirement(t)), named(t, tagged)))
	wantFinding(t, finding, policy.Internal, "panic in a judge of bundles")
}
