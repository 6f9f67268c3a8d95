package claim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy/evidence/format"
)

const fixtures = "../../../policy/signature/testdata/containers-image"

// TestClaimsAreReadAndNotVerified: a file claims what it likes, and one that cannot be read has a problem.
func TestClaimsAreReadAndNotVerified(t *testing.T) {
	for name, test := range map[string]struct {
		file                    string
		kind, identity, problem string
	}{
		"cosign's format":      {"cosign-valid.signature", "sigstore", "192.168.64.2:5000/cosign-signed-single-sample", ""},
		"a GPG signature":      {"valid.signature", "simple-signing", "testing/manifest:latest", ""},
		"what is no signature": {"invalid-blob.signature", "simple-signing", "", "any"},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(fixtures, test.file))
			if err != nil {
				t.Fatal(err)
			}
			claims := claim.Of([]format.File{{Kind: format.KindSignature, Bytes: raw}})
			if len(claims) != 1 {
				t.Fatalf("%d claims", len(claims))
			}
			got := claims[0]
			if got.File != "signature-1" || got.Identity != test.identity || (got.Problem != "") != (test.problem != "") ||
				test.problem == "" && got.Kind != test.kind {
				t.Errorf("it claims %+v", got)
			}
		})
	}
	claims := claim.Of([]format.File{{Kind: format.KindBundle, Bytes: []byte("{")}})
	if len(claims) != 1 || claims[0].File != "bundle-1.json" || claims[0].Problem == "" {
		t.Errorf("a bundle that is not JSON claims %+v", claims)
	}
}

// TestABundleClaimsTheLogEntryThatItHas, and one whose entries or timestamps have another form has a problem.
func TestABundleClaimsTheLogEntryThatItHas(t *testing.T) {
	const recorded = "2023-11-14T22:13:20Z"
	for name, test := range map[string]struct{ material, logIndex, time, problem string }{
		"an entry":                   {`{"tlogEntries":[{"logIndex":"7","integratedTime":"1700000000"}]}`, "7", recorded, ""},
		"the first entry of a log":   {`{"tlogEntries":[{"integratedTime":"1700000000"}]}`, "0", recorded, ""},
		"an entry without a time":    {`{"tlogEntries":[{"logIndex":"7"}]}`, "7", "", ""},
		"none":                       {`{}`, "", "", ""},
		"an index of another form":   {`{"tlogEntries":[{"logIndex":true}]}`, "", "", "not those of a Sigstore bundle"},
		"timestamps of another form": {`{"timestampVerificationData":[]}`, "", "", "not those of a Sigstore bundle"},
	} {
		raw := fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":%s}`,
			test.material)
		got := claim.Of([]format.File{{Kind: format.KindBundle, Bytes: raw}})[0]
		if got.LogIndex != test.logIndex || got.Time != test.time || (got.Problem != "") != (test.problem != "") ||
			!strings.Contains(got.Problem, test.problem) || strings.Contains(got.Problem, "Go ") {
			t.Errorf("%s: it claims %+v", name, got)
		}
	}
}
