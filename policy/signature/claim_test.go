package signature_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/signature"
)

func TestReadClaim(t *testing.T) {
	got, err := signature.ReadClaim(fixture(t, "valid.signature"))
	if err != nil {
		t.Fatal(err)
	}
	want := signature.Claim{
		Reference: "testing/manifest:latest",
		Manifest:  "sha256:20bf21ed457b390829cdbeec8795a7bea1626991fda603e0d01b4e7f60427e55",
		KeyID:     "E932F44B23E8DD43",
		Creator:   got.Creator, Time: got.Time,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Time.After(time.Now()) {
		t.Errorf("it was made at %v", got.Time)
	}
}

func TestReadClaimRejectsOtherMessages(t *testing.T) {
	for name, message := range map[string][]byte{
		"nothing":    nil,
		"no message": []byte("hello"),
		"a bomb":     bomb(t, 64<<20),
	} {
		if claim, err := signature.ReadClaim(message); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s claims %+v: %v", name, claim, err)
		}
	}
}
