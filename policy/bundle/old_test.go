package bundle_test

import (
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// judgeOld judges a signature of the old format with containers/image, through package signature.
func judgeOld(
	t testing.TB, requirement *policy.Requirement, ref string, manifest []byte, old signaturetest.Signature,
) policy.Finding {
	t.Helper()
	s := newSample(t, manifest)
	signaturetest.Write(t, filepath.Join(s.evidence.Directory, "signature-1"), old.File(t))
	s.evidence.Signatures = 1
	return signature.NewJudge().Judge(t.Context(), s.request(requirement, named(t, ref)))
}
