package signable_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/internal/signable"
)

func TestOnlyManifestsThatTheirDigestCoversAreSignable(t *testing.T) {
	const oci = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	const schema1 = `{"schemaVersion":1,"name":"x","signatures":[{"protected":"e30"}]}`
	for name, test := range map[string]struct {
		digest digest.Digest
		raw    string
		want   string // in the error; empty: none
		schema bool
	}{
		"a manifest":                 {digest.FromString(oci), oci, "", false},
		"by SHA-512":                 {digest.SHA512.FromString(oci), oci, "", false},
		"bytes that are not JSON":    {digest.FromString("x"), "x", "", false},
		"other bytes":                {digest.FromString(oci), oci + " ", "has digest sha256:", false},
		"no digest":                  {"", oci, `digest ""`, false},
		"an algorithm not supported": {"md5:d41d8cd98f00b204e9800998ecf8427e", "", "digest \"md5:", false},
		"schema 1 with signatures":   {digest.FromString(schema1), schema1, "is schema 1", true},
	} {
		err := signable.Check(test.digest, []byte(test.raw))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if errors.Is(err, signable.ErrSchema1) != test.schema {
			t.Errorf("%s: %v is of schema 1: %t", name, err, !test.schema)
		}
	}
}
