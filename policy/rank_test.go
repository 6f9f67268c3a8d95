package policy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// crowded is an image with 1,000 manifests that a tenant has put around its config, all of which sort before its own.
type crowded struct {
	*policy.Image
	own policy.Manifest
}

// crowd returns such an image. It was obtained as tagged, and the tenant's manifests from a repository, each under a
// name of its own.
func crowd(t testing.TB, from string) crowded {
	t.Helper()
	c := crowded{&policy.Image{Config: digestOf("config"), Confirmed: true}, imageOf(t, tagged).Manifests[0]}
	names := map[string]digest.Digest{tagged: c.own.Digest}
	for i := range 1000 {
		name := fmt.Sprintf("%s:%d", from, i)
		ref := normalized(t, name)
		names[ref.String()] = digestOf("manifest of " + name)
		c.PulledAs = append(c.PulledAs, ref)
		c.Manifests = append(c.Manifests, policy.Manifest{
			Digest: digestOf("manifest of " + name), Repositories: []string{ref.Name()},
		})
	}
	c.PulledAs = append(c.PulledAs, normalized(t, tagged))
	c.Manifests = append(c.Manifests, c.own)
	c.Own = func(ref reference.Named) []digest.Digest {
		if own, ok := names[ref.String()]; ok {
			return []digest.Digest{own}
		}
		return nil
	}
	return c
}

// looked counts the manifests of which a node was asked for evidence.
func (n *node) looked() func() []digest.Digest {
	var all []digest.Digest
	kept := n.kept
	n.kept = func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
		for _, manifest := range manifests {
			all = append(all, manifest.Digest)
		}
		return kept(manifests, ref)
	}
	return func() []digest.Digest { return slices.Clone(all) }
}

func TestASignedManifestIsFoundHoweverManyOthersPutAroundItsConfig(t *testing.T) {
	id := digestOf("config").String()
	digested := repository + "@" + digestOf("manifest of "+tagged).String()
	const elsewhere = "aaa.example/app"
	cases := map[string]struct {
		from      string
		reference string
		forget    bool // what each reference leads to is not known
		most      int  // manifests of which evidence is looked up
	}{
		"by name, in another repository":                     {elsewhere, tagged, false, 64},
		"by digest, in another repository":                   {elsewhere, digested, false, 64},
		"by ID, in another repository":                       {elsewhere, id, false, 1001},
		"by another tag, in another repository":              {elsewhere, repository + ":v2", false, 64},
		"by name, in its own":                                {repository, tagged, false, 64},
		"by digest, in its own":                              {repository, digested, false, 64},
		"by ID, in its own":                                  {repository, id, false, 1001},
		"by another tag, in its own":                         {repository, repository + ":v2", false, 1001},
		"by name, in its own, which leads to what is hidden": {repository, tagged, true, 1001},
		"by ID, in its own, which leads to what is hidden":   {repository, id, true, 1 << 20},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.signed(map[string]string{tagged: "alice"})
			looked := n.looked()
			image := crowd(t, c.from)
			if c.forget {
				image.Own = nil
			}
			n.runs(image.Image)
			verdict := decide(t, n, c.reference)
			wantReason(t, verdict, policy.Accepted)
			if verdict.Digest != image.own.Digest {
				t.Errorf("admitted by %s, want %s", verdict.Digest, image.own.Digest)
			}
			if got := len(looked()); got > c.most {
				t.Errorf("evidence of %d manifests was looked up, want at most %d", got, c.most)
			}
		})
	}
}

func TestEveryManifestIsJudgedBeforeAnImageIsRefused(t *testing.T) {
	for _, ref := range []string{tagged, digestOf("config").String()} {
		n := newNode(t, signedBy("alice"))
		looked := n.looked()
		n.runs(crowd(t, repository).Image)
		wantReason(t, decide(t, n, ref), policy.Unsigned)
		if got := n.judged.Load(); got != 1001 {
			t.Errorf("%s: %d manifests were judged, want 1001", ref, got)
		}
		if got := len(looked()); got != 1001 {
			t.Errorf("%s: evidence of %d manifests was looked up, want 1001", ref, got)
		}
	}
}

// TestEvidenceThatIsStoredComesFirst: what others put around a config has no evidence that they could not have signed.
func TestEvidenceThatIsStoredComesFirst(t *testing.T) {
	for _, ref := range []string{repository + ":v2", digestOf("config").String()} {
		n := newNode(t, signedBy("alice"))
		n.signed(map[string]string{tagged: "alice"})
		kept := n.kept
		looked := n.looked()
		n.runs(crowd(t, repository).Image)
		sources := n.sources()
		sources.Stored = kept
		wantReason(t, newDecider(t, sources).Decide(t.Context(), ask(ref)), policy.Accepted)
		if got := len(looked()); got != 1 {
			t.Errorf("%s: evidence of %d manifests was looked up, want 1", ref, got)
		}
	}
}

// TestNoMoreThan64FetchesWaitForOneQuestion: each lookup of a manifest of which nothing is known starts a fetch.
func TestNoMoreThan64FetchesWaitForOneQuestion(t *testing.T) {
	for _, ref := range []string{tagged, digestOf("config").String()} {
		n := newNode(t, signedBy("alice"))
		known := map[digest.Digest]bool{}
		n.kept = func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
			found := make(policy.StoredEvidence, len(manifests))
			for i, manifest := range manifests {
				found[i] = policy.Evidence{Manifest: manifest.Digest, Generation: 1, State: policy.Unknown}
				if known[manifest.Digest] {
					found[i].State = policy.None
				}
				known[manifest.Digest] = true
			}
			return found
		}
		n.runs(crowd(t, repository).Image)
		decider := n.decider(t)
		for round := 1; len(known) < 1001; round++ {
			before := len(known)
			wantReason(t, decider.Decide(t.Context(), ask(ref)), policy.Pending)
			if more := len(known) - before; more == 0 || more > 2*policy.MaxManifests {
				t.Fatalf("%s: %d fetches were started in round %d", ref, more, round)
			}
		}
		wantReason(t, decider.Decide(t.Context(), ask(ref)), policy.Unsigned)
	}
}

// TestAReferenceOfWhichADocumentSpeaksComesFirst: of an image ID, anybody can add references for which it has no scope.
func TestAReferenceOfWhichADocumentSpeaksComesFirst(t *testing.T) {
	n := newNode(t)
	scoped := document("/prod.json", signedBy("alice"))
	scoped.Scopes = map[string][]*policy.Requirement{
		"registry.example": {signedBy("bob")}, repository: {signedBy("alice")},
	}
	n.store(scoped)
	n.runs(imageOf(t, "aaa.example/app:v1", "registry.example/aaa:v1", tagged))
	n.signed(map[string]string{tagged: "alice"})
	looked := n.looked()
	wantReason(t, decide(t, n, digestOf("config").String()), policy.Accepted)
	if got := looked(); len(got) == 0 || got[0] != digestOf("manifest of "+tagged) {
		t.Errorf("evidence was looked up of %v", got)
	}
}

func TestBytesAreReadOnlyForAJudgeWhoNeedsThem(t *testing.T) {
	const other = "other.example/app:v1"
	type signed = map[string]string
	alice := signedBy("alice")
	torn := "manifest of " + other
	cases := map[string]struct {
		requirement *policy.Requirement
		signed      signed
		want        policy.Reason
		read        int
	}{
		"nothing is required":             {acceptAnything(), nil, policy.Accepted, 0},
		"everything is rejected":          {rejectAll(), nil, policy.Rejected, 0},
		"nobody signed":                   {alice, nil, policy.Unsigned, 0},
		"nothing is known yet":            {alice, signed{tagged: "?"}, policy.Pending, 0},
		"the first one is signed":         {alice, signed{tagged: "alice", other: "bob"}, policy.Accepted, 1},
		"the one that cannot be read is":  {alice, signed{other: "alice"}, policy.Unavailable, 1},
		"another has signed both of them": {alice, signed{tagged: "bob", other: "bob"}, policy.Unavailable, 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, c.requirement)
			n.signed(c.signed)
			read := 0
			image := imageOf(t, tagged, other)
			for i := range image.Manifests {
				image.Manifests[i].Read = func(_ context.Context, d digest.Digest) ([]byte, error) {
					read++
					if d == digestOf(torn) {
						return nil, errors.New("input/output error")
					}
					return []byte("the bytes of " + d), nil
				}
			}
			judge := n.judge
			n.judge = func(ctx context.Context, request policy.JudgeRequest) policy.Finding {
				m := request.Manifest
				if request.Evidence.State == policy.Found && string(m.Bytes) != "the bytes of "+string(m.Digest) {
					t.Errorf("a judge got %q for %s", m.Bytes, m.Digest)
				}
				return judge(ctx, request)
			}
			n.runs(image)
			wantReason(t, decide(t, n, tagged), c.want)
			if read != c.read {
				t.Errorf("%d manifests were read, want %d", read, c.read)
			}
		})
	}
}
