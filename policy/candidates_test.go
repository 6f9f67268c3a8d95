package policy_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

func TestTheReferenceToJudgeIsBorneOutByAnOriginalOne(t *testing.T) {
	index, foreign := digestOf("index"), digestOf("foreign")
	manifest := digestOf("manifest of " + tagged)
	config := digestOf("config").String()
	other := digestOf("manifest of evil.example/app:v1")
	cases := map[string]struct {
		reference string
		originals []string
		want      policy.Reason
		judged    string
	}{
		"the pod's own": {tagged, []string{tagged}, policy.Accepted, tagged},
		"the pod's own, not normalised": {
			"nginx", []string{"nginx"}, policy.Accepted, "docker.io/library/nginx:latest",
		},
		"another tag of the same repository": {repository + ":v2", []string{tagged}, policy.Accepted, repository + ":v2"},
		"a digest that is a manifest's": {
			repository + "@" + manifest.String(), []string{tagged}, policy.Accepted, repository + "@" + manifest.String(),
		},
		"a digest that is an index's": {
			repository + "@" + index.String(), []string{tagged}, policy.Accepted, repository + "@" + index.String(),
		},
		"a tag beside a digest": {
			tagged + "@" + index.String(), []string{tagged}, policy.Accepted, repository + "@" + index.String(),
		},
		"a digest that is no manifest of it": {
			repository + "@" + foreign.String(), []string{tagged}, policy.UnknownOrigin, "",
		},
		"a digest that is the config's": {repository + "@" + config, []string{tagged}, policy.UnknownOrigin, ""},
		"a digest, but another repository": {
			"evil.example/app@" + manifest.String(), []string{tagged}, policy.UnknownOrigin, "",
		},
		"a manifest of another repository": {
			repository + "@" + other.String(),
			[]string{tagged, "evil.example/app:v1"},
			policy.Accepted,
			repository + "@" + other.String(),
		},
		"another repository":                 {"registry.example/other:v1", []string{tagged}, policy.UnknownOrigin, ""},
		"a repository above it":              {"registry.example/app/sub:v1", []string{tagged}, policy.UnknownOrigin, ""},
		"the same path on another port":      {"registry.example:5000/app:v1", []string{tagged}, policy.UnknownOrigin, ""},
		"no original at all":                 {tagged, nil, policy.UnknownOrigin, ""},
		"a reference that is none":           {"App?", []string{tagged}, policy.BadRequest, ""},
		"the full image ID":                  {config, []string{tagged}, policy.Accepted, tagged},
		"a prefix of the image ID":           {config[:12], []string{tagged}, policy.Accepted, tagged},
		"the image ID without its algorithm": {config[7:], []string{tagged}, policy.Accepted, tagged},
		"another image's ID":                 {foreign.String(), []string{tagged}, policy.UnknownOrigin, ""},
		"a prefix of another image's ID":     {"sha256:" + notPrefix(config), []string{tagged}, policy.UnknownOrigin, ""},
		"the manifest's digest as image ID":  {manifest.String(), []string{tagged}, policy.UnknownOrigin, ""},
		"an image ID and no original":        {config, nil, policy.UnknownOrigin, ""},
		"a repository whose name is sha256": {
			"sha256:latest", []string{"docker.io/library/sha256:latest"}, policy.Accepted, "docker.io/library/sha256:latest",
		},
		"sha256:latest of another repository": {"sha256:latest", []string{tagged}, policy.UnknownOrigin, ""},
		"an image ID wins over that name": {
			"sha256:" + notPrefix(config), []string{"docker.io/library/sha256:" + notPrefix(config)}, policy.UnknownOrigin, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, acceptAnything())
			image := imageOf(t, c.originals...)
			image.Manifests = append(image.Manifests, policy.Manifest{Digest: index, Repositories: []string{repository}})
			n.runs(image)
			got := decide(t, n, c.reference)
			wantReason(t, got, c.want)
			if got.Reference != c.judged {
				t.Errorf("judged as %q, want %q", got.Reference, c.judged)
			}
		})
	}
}

// notPrefix returns two hexadecimal digits that the digest does not begin with.
func notPrefix(config string) string {
	if strings.HasPrefix(config, "sha256:00") {
		return "11"
	}
	return "00"
}

func TestAnImageIDIsJudgedUnderEachOriginalReferenceAndOneIsEnough(t *testing.T) {
	const good, evil = "good.example/app:v1", "evil.example/app:v1"
	scoped := document("/prod.json", rejectAll())
	scoped.Scopes = map[string][]*policy.Requirement{"good.example": {signedBy("alice")}}
	cases := map[string]struct {
		originals []string
		signed    map[string]string
		want      policy.Reason
		judged    string
	}{
		"the second is accepted": {[]string{evil, good}, map[string]string{good: "alice"}, policy.Accepted, good},
		"the first is accepted":  {[]string{good, evil}, map[string]string{good: "alice"}, policy.Accepted, good},
		"none is accepted":       {[]string{evil, good}, nil, policy.Rejected, evil},
		"one that may still be":  {[]string{evil, good}, map[string]string{good: "?", evil: "?"}, policy.Pending, good},
		"one that could not be looked": {
			[]string{evil, good}, map[string]string{good: "!", evil: "!"}, policy.Unavailable, good,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.set.Store(&policy.Set{System: policy.Source{Document: scoped}})
			n.runs(imageOf(t, c.originals...))
			n.signed(c.signed)
			got := decide(t, n, digestOf("config").String())
			wantReason(t, got, c.want)
			if got.Reference != c.judged {
				t.Errorf("judged as %q, want %q", got.Reference, c.judged)
			}
		})
	}
}

func TestAnImageThatIsNotTheOneAskedAboutIsDenied(t *testing.T) {
	cases := map[string]*policy.Image{
		"no image and no error": nil,
		"the zero image":        {},
		"no manifest":           {Config: digestOf("config"), Originals: imageOf(t, tagged).Originals, Confirmed: true},
		"another image": func() *policy.Image {
			i := imageOf(t, tagged)
			i.Config = digest.FromString("other")
			return i
		}(),
	}
	for name, image := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, acceptAnything())
			n.runs(image)
			got := decide(t, n, tagged)
			wantReason(t, got, policy.Internal)
			if strings.Contains(got.Detail, "panic") {
				t.Errorf("detail = %s, want what is wrong with the image", got.Detail)
			}
		})
	}
}
