package signature_test

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	containersreference "go.podman.io/image/v5/docker/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/signedidentity"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// FuzzSignedIdentity compares package signedidentity with containers/image: which signed names each of the six standard
// kinds of signedIdentity accepts for which references. remapRepository, which containers/image does not know, is
// compared with its exactRepository of the remapped name.
func FuzzSignedIdentity(f *testing.F) {
	for _, identity := range []string{
		"", `{"type":"matchExact"}`, `{"type":"matchRepoDigestOrExact"}`, `{"type":"matchRepository"}`,
		`{"type":"exactReference","dockerReference":"a.example/x:1"}`, `{"type":"exactRepository","dockerRepository":"x"}`,
		`{"type":"remapIdentity","prefix":"a.example","signedPrefix":"docker.io/library"}`,
		`{"type":"remapRepository","prefix":"a.example/x","signedPrefix":"b.example"}`,
	} {
		for _, intended := range []string{"a.example/x:1", "a.example/x/y@" + digest.FromString("x").String(), "x:1"} {
			for _, claimed := range []string{"a.example/x:1", "a.example/x", "x", "x:1", "b.example/y:2", "[::1]/x:1"} {
				f.Add(identity, intended, claimed)
			}
		}
	}
	key, manifest, judge := signaturetest.NewKey(f), signaturetest.Manifest("x"), signature.NewJudge()
	parser := signature.NewParser(signature.Kinds(nil))
	f.Fuzz(func(t *testing.T, identity, intended, claimed string) {
		image, err := policy.Normalize(intended)
		if err != nil || !utf8.ValidString(claimed) {
			t.Skip() // JSON has no such text.
		}
		members := map[string]any{"type": "sigstoreSigned", "keyData": signaturetest.PublicPEM(t, key.Public())}
		if identity != "" {
			members["signedIdentity"] = json.RawMessage(identity)
		}
		raw, err := json.Marshal(map[string]any{"default": []any{members}})
		if err != nil {
			t.Skip()
		}
		document, err := parser.Parse(raw, func(string) ([]byte, error) { return nil, errors.New("no files here") })
		if err != nil {
			t.Skip()
		}
		parsed, err := signedidentity.Parse([]byte(identity))
		if err != nil {
			t.Fatalf("%s is in a document that loads: %v", identity, err)
		}
		described, evidence := signaturetest.Image(t, manifest, [][]byte{
			signaturetest.Sign(t, key, claimed, digest.FromBytes(manifest)).File(t),
		}, nil)
		described.Repositories = []string{image.Name()}
		theirs := judge.Judge(t.Context(), policy.JudgeRequest{
			Requirement: document.Default[0], Reference: image, Manifest: described, Evidence: evidence,
		})
		ours := parsed.Accepts(image, claimed)
		if ours == theirs.Met {
			return
		}
		// Its grammar has no IPv6 addresses and no hosts in capitals, so that it only refuses such names.
		for _, name := range []string{image.String(), claimed} {
			if _, err := containersreference.ParseNormalizedNamed(name); err != nil && ours {
				return
			}
		}
		t.Errorf("%s for %s, signed as %q: ours %t, containers/image %t: %s",
			identity, image, claimed, ours, theirs.Met, theirs.Detail)
	})
}
