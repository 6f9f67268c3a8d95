package signature_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// mirrored is a signedIdentity for images that a mirror has copied with their signatures.
const mirrored = `{"type":"remapRepository","prefix":"mirror.example/docker","signedPrefix":"docker.io"}`

// TestRemapRepositoryAcceptsMirroredImages: the prefix is remapIdentity's, and the comparison matchRepository's.
func TestRemapRepositoryAcceptsMirroredImages(t *testing.T) {
	raw := signaturetest.Manifest("app")
	image, key := digest.FromBytes(raw), signaturetest.NewKey(t)
	byKey := `"keyData":` + data(signaturetest.PublicPEM(t, key.Public()))
	const pinned = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, test := range map[string]struct {
		reference, signed string
		want              bool
	}{
		"the repository, as cosign signs": {"mirror.example/docker/library/nginx:v1", "docker.io/library/nginx", true},
		"a tag":                           {"mirror.example/docker/library/nginx:v1", "docker.io/library/nginx:v1", true},
		"another tag":                     {"mirror.example/docker/library/nginx:v1", "docker.io/library/nginx:v2", true},
		"a digest": {
			"mirror.example/docker/library/nginx" + pinned, "docker.io/library/nginx", true,
		},
		"its short name": {"mirror.example/docker/library/nginx:v1", "nginx", true},
		"another image":  {"mirror.example/docker/library/nginx:v1", "docker.io/library/redis", false},
		"the mirror's own name": {
			"mirror.example/docker/library/nginx:v1", "mirror.example/docker/library/nginx", false,
		},
		"a longer name of the mirror":        {"mirror.example/docker2/library/nginx:v1", "docker.io/library/nginx", false},
		"a part of a name":                   {"mirror.example/dockerx/nginx:v1", "docker.io/x/nginx", false},
		"an image that is not mirrored":      {"registry.example/app:v1", "registry.example/app", true},
		"of another that is not mirrored":    {"registry.example/app:v1", "docker.io/library/app", false},
		"the signed host itself":             {"docker.io/library/nginx:v1", "docker.io/library/nginx", true},
		"a suffix of the mirror's host":      {"evil-mirror.example/docker/nginx:v1", "docker.io/library/nginx", false},
		"the prefix in the middle":           {"a.example/mirror.example/docker/nginx:v1", "docker.io/nginx", false},
		"no name":                            {"mirror.example/docker/library/nginx:v1", "", false},
		"the prefix alone":                   {"mirror.example/docker:v1", "docker.io", false},
		"a name that cannot be parsed":       {"mirror.example/docker/library/nginx:v1", "docker.io/library/NGINX", false},
		"the signed prefix without its rest": {"mirror.example/docker/library/nginx:v1", "docker.io/library", false},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, signaturetest.Sign(t, key, test.signed, image).File(t))
			requirement := parse(t, sigstoreSigned(byKey, mirrored))[0]
			finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, test.reference)))
			if finding.Met != test.want {
				t.Errorf("%s; want %t", show(finding), test.want)
			}
		})
	}
}

// TestRemapRepositoryIsCheckedLikeRemapIdentity: containers/image checks the fields.
func TestRemapRepositoryIsCheckedLikeRemapIdentity(t *testing.T) {
	const key, gpg = `"keyPath":"/key"`, `"type":"signedBy","keyType":"GPGKeys","keyPath":"/key"`
	for name, members := range map[string]string{
		"no prefix":             `"signedPrefix":"a.example"`,
		"no signed prefix":      `"prefix":"a.example"`,
		"an empty prefix":       `"prefix":"","signedPrefix":"a.example"`,
		"a prefix with a slash": `"prefix":"a.example/","signedPrefix":"b.example"`,
		"a prefix in capitals":  `"prefix":"a.example/B","signedPrefix":"b.example"`,
		"a prefix of a number":  `"prefix":7,"signedPrefix":"b.example"`,
		"a prefix with a tag":   `"prefix":"a.example/b:v1@x","signedPrefix":"b.example"`,
		"one more field":        `"prefix":"a.example","signedPrefix":"b.example","x":1`,
		"a prefix twice":        `"prefix":"a.example","prefix":"a.example","signedPrefix":"b.example"`,
		"the type twice":        `"type":"remapRepository","prefix":"a.example","signedPrefix":"b.example"`,
		"another type in front": `"prefix":"a.example","signedPrefix":"b.example","type":"matchRepository"`,
	} {
		for _, requirement := range []string{
			`{"type":"sigstoreSigned",` + key + `,"signedIdentity":{"type":"remapRepository",` + members + `}}`,
			`{` + gpg + `,"signedIdentity":{"type":"remapRepository",` + members + `}}`,
		} {
			if _, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(list(requirement)), noFiles); err == nil {
				t.Errorf("%s: it loads: %s", name, requirement)
			}
		}
	}
	for _, requirement := range []string{
		`{"type":"sigstoreSigned",` + keyPath("cosign.pub") + `,"signedIdentity":` + mirrored + `}`,
		`{"type":"signedBy","keyType":"GPGKeys",` + keyPath("public-key.gpg") + `,"signedIdentity":` + mirrored + `}`,
	} {
		if _, err := containers.NewPolicyFromBytes([]byte(list(requirement))); err == nil {
			t.Errorf("containers/image loads %s", requirement)
		}
		parsed := parse(t, requirement)[0]
		if parsed.Problem != "" || !slices.Equal(parsed.Extensions, []string{"signedIdentity.remapRepository"}) {
			t.Errorf("%s, %q", parsed.Problem, parsed.Extensions)
		}
		kinds := signature.Kinds(nil)
		if got := kinds.Describe(parsed); !strings.Contains(got, "the image's repository with docker.io instead of mirror.") {
			t.Errorf("it is described as %q", got)
		}
	}
	requirement := parse(t, `{"type":"sigstoreSigned",`+keyPath("cosign.pub")+`,"signedIdentity":`+mirrored+`}`)[0]
	advice := signature.Kinds(nil)[policy.SigstoreSigned].Advise(
		requirement, policy.NoSignature, named(t, "mirror.example/docker/library/nginx:v1"))
	if !strings.Contains(advice, "docker-reference=docker.io/library/nginx ") {
		t.Errorf("it advises %s", advice)
	}
}

// TestRemapRepositoryForGPG: GPG's signatures have a tag, which does not matter.
func TestRemapRepositoryForGPG(t *testing.T) {
	app := newSample(t, fixture(t, "image.manifest.json"), fixture(t, "valid.signature"))
	requirement := parse(t, signedBy(keyPath("public-key.gpg"), mirrored))[0]
	for reference, want := range map[string]bool{
		"mirror.example/docker/testing/manifest:v9": true, "testing/manifest:v9": true,
		"mirror.example/docker/testing/other:v9": false, "mirror.example/testing/manifest:latest": false,
	} {
		finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, reference)))
		if finding.Met != want {
			t.Errorf("%s: %s", reference, show(finding))
		}
	}
}
