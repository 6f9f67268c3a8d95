package policy_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

func TestTheReferenceToJudgeHasAnOriginalReference(t *testing.T) {
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
		"a tag and a digest": {
			tagged + "@" + index.String(), []string{tagged}, policy.Accepted, repository + "@" + index.String(),
		},
		"a digest that is not one of its manifests": {
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
		"an invalid reference":               {"App?", []string{tagged}, policy.BadRequest, ""},
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

// notPrefix returns two hexadecimal digits with which the digest does not begin.
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
		"one that may still be": {
			[]string{evil, good}, map[string]string{good: "?", evil: "?"}, policy.Pending, good,
		},
		"one whose evidence could not be fetched": {
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

// TestATagInAScopeMustBeATagTheImageWasObtainedUnder: for other scopes the repository suffices.
func TestATagInAScopeMustBeATagTheImageWasObtainedUnder(t *testing.T) {
	const v1, v2 = repository + ":v1", repository + ":v2"
	manifest := repository + "@" + digestOf("manifest of "+v1).String()
	cases := map[string]struct {
		scopes    []string
		reference string
		originals []string
		want      policy.Reason
	}{
		"the tag, obtained under it":             {[]string{v1}, v1, []string{v1}, policy.Accepted},
		"the tag, obtained under it and another": {[]string{v1}, v1, []string{v2, v1}, policy.Accepted},
		"the tag, obtained under another":        {[]string{v2}, v2, []string{v1}, policy.UnknownOrigin},
		"the tag, obtained by digest":            {[]string{v1}, v1, []string{manifest}, policy.UnknownOrigin},
		"the tag, obtained from another repository": {
			[]string{v1}, v1, []string{"evil.example/app:v1"}, policy.UnknownOrigin,
		},
		"the tag, and another scope for the repository": {
			[]string{v2, repository}, v2, []string{v1}, policy.UnknownOrigin,
		},
		"another tag, which the repository's governs": {
			[]string{v1, repository}, v2, []string{v1}, policy.Accepted,
		},
		"latest, left out by the pod": {
			[]string{repository + ":latest"}, repository, []string{v1}, policy.UnknownOrigin,
		},
		"latest, left out by the pod, obtained as such": {
			[]string{repository + ":latest"}, repository, []string{repository}, policy.Accepted,
		},
		"a digest, which no tag governs": {
			[]string{v1, repository}, manifest, []string{v1}, policy.Accepted,
		},
		"a tag and a digest, which no tag governs": {
			[]string{v1, repository}, v2 + strings.TrimPrefix(manifest, repository), []string{v1}, policy.Accepted,
		},
		"the digest that a scope names": {
			[]string{manifest}, manifest, []string{v1}, policy.Accepted,
		},
		"an image ID, obtained under the tag": {
			[]string{v1}, digestOf("config").String(), []string{v1}, policy.Accepted,
		},
		"an image ID, obtained under another": {
			[]string{v2}, digestOf("config").String(), []string{v1}, policy.Rejected,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			scoped := document("/prod.json", rejectAll())
			scoped.Scopes = map[string][]*policy.Requirement{}
			for _, scope := range c.scopes {
				scoped.Scopes[scope] = []*policy.Requirement{acceptAnything()}
			}
			n := newNode(t)
			n.set.Store(&policy.Set{System: policy.Source{Document: scoped}})
			n.runs(imageOf(t, c.originals...))
			got := decide(t, n, c.reference)
			wantReason(t, got, c.want)
			if got.Document != "/prod.json" && c.want != policy.UnknownOrigin {
				t.Errorf("decided by %q", got.Document)
			}
		})
	}
}

// TestTheRefusalNearestToAcceptanceIsReported: a valid signature that lacks only a name comes before one of another
// key, regardless of the order of references, documents and manifests.
func TestTheRefusalNearestToAcceptanceIsReported(t *testing.T) {
	const one, two = "one.example/app:v1", "two.example/app:v1"
	for _, signed := range []map[string]string{
		{one: "nameless", two: "mallory"}, {one: "mallory", two: "nameless"},
	} {
		for _, originals := range [][]string{{one, two}, {two, one}} {
			n := newNode(t, signedBy("alice"))
			n.runs(imageOf(t, originals...))
			n.signed(signed)
			sources := n.sources()
			sources.Kinds.AddJudge(policy.SignedBy, policy.Judge{Name: "bundle", Func: bundles})
			got := newDecider(t, sources).Decide(t.Context(), ask(digestOf("config").String()))
			if got.Reason != policy.Rejected || !got.NoIdentity || !strings.Contains(got.Detail, "names no repository") {
				t.Errorf("%v of %v: %s, nameless %v: %s", signed, originals, got.Reason, got.NoIdentity, got.Detail)
			}
		}
	}
}

func TestAnotherImageThanTheQuestionsIsDenied(t *testing.T) {
	cases := map[string]*policy.Image{
		"no image and no error": nil,
		"the zero image":        {},
		"no manifest":           {Config: digestOf("config"), PulledAs: imageOf(t, tagged).PulledAs, Confirmed: true},
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
				t.Errorf("detail = %s, want the problem of the image", got.Detail)
			}
		})
	}
}
