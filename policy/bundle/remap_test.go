package bundle_test

import (
	"crypto"
	"testing"

	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestRemapRepositoryAcceptsMirroredBundles: a bundle names a repository, with or without a tag.
func TestRemapRepositoryAcceptsMirroredBundles(t *testing.T) {
	key := bundletest.NewKey(t)
	members := key.Requirement(t)
	members["signedIdentity"] = map[string]any{
		"type": "remapRepository", "prefix": "mirror.example/docker", "signedPrefix": "docker.io",
	}
	requirement := required(t, members)
	for name, test := range map[string]struct {
		reference, signed string
		want              bool
	}{
		"the repository": {"mirror.example/docker/library/nginx:v1", "docker.io/library/nginx", true},
		"another tag":    {"mirror.example/docker/library/nginx:v1", "docker.io/library/nginx:v2", true},
		"by digest": {
			"mirror.example/docker/library/nginx@" + subject.String(), "docker.io/library/nginx", true,
		},
		"another image": {"mirror.example/docker/library/nginx:v1", "docker.io/library/redis", false},
		"the mirror's own name": {
			"mirror.example/docker/library/nginx:v1", "mirror.example/docker/library/nginx", false,
		},
		"a longer name":                 {"mirror.example/docker2/library/nginx:v1", "docker.io/library/nginx", false},
		"an image that is not mirrored": {tagged, repository, true},
		"another, not mirrored":         {tagged, "docker.io/team/app", false},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, manifest, bundletest.Sign(t, key, subject, test.signed).JSON(t))
			finding := bundle.NewJudge().Judge(t.Context(), app.request(requirement, named(t, test.reference)))
			if finding.Met != test.want {
				t.Errorf("%t: %s", finding.Met, finding.Detail)
			}
		})
	}
}

// TestTheFieldHashIsThatOfRSAKeys: a requirement accepts one hash.
func TestTheFieldHashIsThatOfRSAKeys(t *testing.T) {
	for signed, key := range map[string]*bundletest.Key{
		"": bundletest.NewRSA(t, 2048, false), "sha384": bundletest.NewRSAWith(t, crypto.SHA384),
		"sha512": bundletest.NewRSAWith(t, crypto.SHA512),
	} {
		app := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
		for _, hash := range []string{"", "sha384", "sha512"} {
			members := key.Requirement(t)
			if hash != "" {
				members["hash"] = hash
			}
			if finding := app.judge(t, required(t, members)); finding.Met != (hash == signed) {
				t.Errorf("signed with %q, required %q: %t: %s", signed, hash, finding.Met, finding.Detail)
			}
		}
	}
}
