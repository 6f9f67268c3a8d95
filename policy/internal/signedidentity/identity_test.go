package signedidentity_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/internal/signedidentity"
)

const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// identity returns a signedIdentity with these members.
func identity(members ...string) string {
	all := map[string]string{"type": members[0]}
	for i := 1; i < len(members); i += 2 {
		all[members[i]] = members[i+1]
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// accepted are signed names and the references for which they count, by a signedIdentity. Package policy/signature
// compares Accepts with containers/image.
func accepted() map[string]struct {
	identity, intended, claimed string
	want                        bool
} {
	remap := func(kind, prefix, signed string) string {
		return identity(kind, "prefix", prefix, "signedPrefix", signed)
	}
	remapped := remap(signedidentity.RemapIdentity, "mirror.example", "a.example")
	mirrored := remap(signedidentity.RemapRepository, "mirror.example/hub", "docker.io")
	return map[string]struct {
		identity, intended, claimed string
		want                        bool
	}{
		"no identity, the same tag":         {"", "a.example/app:v1", "a.example/app:v1", true},
		"no identity, another tag":          {"", "a.example/app:v1", "a.example/app:v2", false},
		"no identity, only a repository":    {"", "a.example/app:v1", "a.example/app", false},
		"no identity, by digest":            {"", "a.example/app" + digest, "a.example/app:v2", true},
		"no identity, by digest, elsewhere": {"", "a.example/app" + digest, "b.example/app:v2", false},
		"the exact name":                    {identity("matchExact"), "a.example/app:v1", "a.example/app:v1", true},
		"another tag than the exact one":    {identity("matchExact"), "a.example/app:v1", "a.example/app:v2", false},
		"a tag, and the image by digest":    {identity("matchExact"), "a.example/app" + digest, "a.example/app:v1", false},
		"the repository":                    {identity("matchRepository"), "a.example/app:v1", "a.example/app", true},
		"a repository below it":             {identity("matchRepository"), "a.example/app:v1", "a.example/app/sub", false},
		"a name of Docker Hub":              {identity("matchRepository"), "docker.io/library/app:v1", "app", true},
		"a reference of the policy": {
			identity("exactReference", "dockerReference", "b.example/app:v1"), "a.example/app:v2", "b.example/app:v1", true,
		},
		"another tag of that reference": {
			identity("exactReference", "dockerReference", "b.example/app:v1"), "a.example/app:v2", "b.example/app:v2", false,
		},
		"a repository of the policy": {
			identity("exactRepository", "dockerRepository", "b.example/app"), "a.example/app:v2", "b.example/app:v9", true,
		},
		"the image's name, where the policy names another": {
			identity("exactRepository", "dockerRepository", "b.example/app"), "a.example/app:v2", "a.example/app:v2", false,
		},
		"a mirrored image with its tag": {
			remapped, "mirror.example/app:v1", "a.example/app:v1", true,
		},
		"a mirrored image without a tag": {
			remapped, "mirror.example/app:v1", "a.example/app", false,
		},
		"a mirrored repository":        {mirrored, "mirror.example/hub/library/app:v1", "docker.io/library/app", true},
		"the mirror's own name":        {mirrored, "mirror.example/hub/app:v1", "mirror.example/hub/app", false},
		"a name that only begins so":   {mirrored, "mirror.example/hubs/app:v1", "docker.ios/app", false},
		"an image that is no mirror's": {mirrored, "a.example/app:v1", "a.example/app", true},
		"a mirror whose name is invalid": {
			remap(signedidentity.RemapRepository, "a.example", "a b"), "a.example/app:v1", "a b/app", false,
		},
		"the prefix in the middle": {
			remap(signedidentity.RemapRepository, "hub", "b"), "mirror.example/hub/app:v1", "mirror.example/b/app", false,
		},
		"an address":        {identity("matchExact"), "[::1]:5000/app:v1", "[::1]:5000/app:v1", true},
		"a name with space": {identity("matchRepository"), "a.example/app:v1", " a.example/app", false},
		"no name":           {identity("matchRepository"), "a.example/app:v1", "", false},
		"a name that is too long": {
			identity("matchRepository"), "a.example/app:v1",
			"a.example/app:v1@sha256:" + strings.Repeat("a", signedidentity.MaxReference), false,
		},
	}
}

func TestAccepts(t *testing.T) {
	for name, test := range accepted() {
		t.Run(name, func(t *testing.T) {
			parsed, err := signedidentity.Parse([]byte(test.identity))
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed.Accepts(named(t, test.intended), test.claimed); got != test.want {
				t.Errorf("%s for %s, signed as %q: %t, want %t", test.identity, test.intended, test.claimed, got, test.want)
			}
		})
	}
}

// TestTheZeroIdentityAcceptsNothing: nothing is accepted by mistake.
func TestTheZeroIdentityAcceptsNothing(t *testing.T) {
	const name = "a.example/app:v1"
	if (signedidentity.Identity{}).Accepts(named(t, name), name) {
		t.Error("it accepts the image's own name")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ identity, problem string }{
		"no object":                       {`"matchExact"`, "reading signedIdentity"},
		"no type":                         {`{}`, `unknown type ""`},
		"an unknown type":                 {identity("matchAnything"), `unknown type "matchAnything"`},
		"an unknown member":               {identity("matchExact", "prefix2", "x"), "unknown field"},
		"a reference without a tag":       {identity("exactReference", "dockerReference", "a/b"), "neither a tag nor"},
		"no reference":                    {identity("exactReference"), "invalid reference format"},
		"a repository that is not a name": {identity("exactRepository", "dockerRepository", "A B"), "invalid reference"},
		"a remap without a prefix":        {identity("remapIdentity", "signedPrefix", "a.example"), "remaps"},
		"a remap to nothing":              {identity("remapRepository", "prefix", "a.example"), "remaps"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signedidentity.Parse([]byte(test.identity))
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: %v, want an error about %q", test.identity, err, test.problem)
			}
		})
	}
}

// FuzzIdentity: any identity accepts the name that it wants, each kind only names that it may, and none reads a name
// longer than references are.
func FuzzIdentity(f *testing.F) {
	for _, test := range accepted() {
		f.Add([]byte(test.identity), test.intended, test.claimed)
	}
	f.Fuzz(func(t *testing.T, raw []byte, intended, claimed string) {
		parsed, err := signedidentity.Parse(raw)
		if err != nil {
			t.Skip()
		}
		image, err := reference.ParseNormalizedNamed(intended)
		if err != nil || reference.IsNameOnly(image) {
			t.Skip()
		}
		// As for a decision: a reference has a tag or a digest.
		if digested, ok := image.(reference.Canonical); ok {
			image, err = reference.WithDigest(reference.TrimNamed(image), digested.Digest())
			if err != nil {
				t.Fatal(err)
			}
		}
		wanted := parsed.Wanted(image)
		if !parsed.Accepts(image, wanted) && wanted != "REPOSITORY" && len(wanted) <= signedidentity.MaxReference {
			t.Errorf("%s for %s wants %q and does not accept it", raw, image, wanted)
		}
		if !parsed.Accepts(image, claimed) {
			return
		}
		signed, err := reference.ParseNormalizedNamed(claimed)
		if err != nil || len(claimed) > signedidentity.MaxReference {
			t.Fatalf("%s for %s accepts %q", raw, image, claimed)
		}
		// Whatever is compared besides, the repository is that of the name that it wants.
		if want, err := reference.ParseNormalizedNamed(wanted); err != nil || want.Name() != signed.Name() {
			t.Errorf("%s for %s wants %q and accepts %q", raw, image, wanted, claimed)
		}
	})
}

func named(t *testing.T, name string) reference.Named {
	t.Helper()
	parsed, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
