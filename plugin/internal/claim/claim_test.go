package claim_test

import (
	"os"
	"path/filepath"
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
