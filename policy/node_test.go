package policy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// node is a node as a Decider sees it: signatures are plain text in Evidence.Directory, because the tests of other
// packages use real ones. It counts calls.
type node struct {
	set        atomic.Pointer[policy.Set]
	image      policy.ImageFunc
	kept       policy.LookupFunc
	judge      policy.JudgeFunc
	generation atomic.Uint64
	// mu guards kept, which decisions in the background read as well.
	mu sync.Mutex

	images, looks, judged, asked, confirmed atomic.Int64
}

const (
	repository = "registry.example/app"
	tagged     = repository + ":v1"
)

func digestOf(s string) digest.Digest { return digest.FromString(s) }

// newNode returns a node on which that list of requirements applies to every namespace. Its one image was pulled as
// tagged, has one manifest, and is not signed.
func newNode(t testing.TB, requirements ...*policy.Requirement) *node {
	t.Helper()
	n := &node{judge: readSigners}
	n.set.Store(&policy.Set{System: policy.Source{Document: document("/system.json", requirements...)}})
	n.runs(imageOf(t, tagged))
	n.signed(map[string]string{})
	return n
}

func document(name string, requirements ...*policy.Requirement) *policy.Document {
	return &policy.Document{Name: name, Default: requirements}
}

func (n *node) runs(image *policy.Image) {
	n.image = func(context.Context, policy.Question) (*policy.Image, error) { return image, nil }
}

// imageOf returns an image with a manifest for each reference, all with the same config, confirmed.
func imageOf(t testing.TB, originals ...string) *policy.Image {
	t.Helper()
	image := &policy.Image{Config: digestOf("config"), Confirmed: true}
	for _, original := range originals {
		ref := normalized(t, original)
		image.PulledAs = append(image.PulledAs, ref)
		image.Manifests = append(image.Manifests, policy.Manifest{
			Digest: digestOf("manifest of " + original), Repositories: []string{ref.Name()},
		})
	}
	return image
}

func normalized(t testing.TB, s string) reference.Named {
	t.Helper()
	ref, err := policy.Normalize(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// signed sets, for each original reference's manifest, the names of its signers. A manifest that is not in the map has
// no signature; "?" means not known, and "!" that fetching failed.
func (n *node) signed(signers map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
		kept := make(policy.StoredEvidence, len(manifests))
		for i, manifest := range manifests {
			kept[i] = policy.Evidence{Manifest: manifest.Digest, Generation: 1, State: policy.None}
			for original, names := range signers {
				if manifest.Digest == digestOf("manifest of "+original) {
					kept[i] = evidenceOf(manifest.Digest, names)
				}
			}
		}
		return kept
	}
}

func evidenceOf(manifest digest.Digest, signers string) policy.Evidence {
	evidence := policy.Evidence{Manifest: manifest, Generation: 1, State: policy.Found, Directory: signers}
	switch signers {
	case "?":
		evidence.State = policy.Unknown
	case "!":
		evidence.State, evidence.Detail = policy.Failed, "the registry answers 503"
	}
	return evidence
}

// signedBy returns a requirement that a manifest with that signer's signature meets.
func signedBy(name string) *policy.Requirement {
	return &policy.Requirement{
		ID: digestOf("signed by " + name), Kind: policy.SignedBy, JSON: []byte(name), NeedsEvidence: true,
	}
}

func acceptAnything() *policy.Requirement {
	return &policy.Requirement{ID: digestOf("accept"), Kind: policy.InsecureAcceptAnything}
}

func rejectAll() *policy.Requirement {
	return &policy.Requirement{ID: digestOf("reject"), Kind: policy.Reject}
}

// readSigners is a judge of the requirements above.
func readSigners(_ context.Context, request policy.JudgeRequest) policy.Finding {
	switch {
	case request.Requirement.Kind == policy.InsecureAcceptAnything:
		return policy.Finding{Met: true}
	case request.Requirement.Kind == policy.Reject:
		return policy.Finding{Reason: policy.Rejected, Detail: "the policy rejects everything"}
	case request.Evidence.State == policy.None:
		return policy.Finding{Reason: policy.Unsigned, Detail: "no signature"}
	case slices.Contains(strings.Fields(request.Evidence.Directory), string(request.Requirement.JSON)):
		return policy.Finding{Met: true}
	default:
		return policy.Finding{Reason: policy.Rejected, Detail: "not signed by " + string(request.Requirement.JSON)}
	}
}

// kindsOf returns a table of the kinds that the tests use, all with the same judges.
func kindsOf(judges ...policy.JudgeFunc) policy.Kinds {
	kinds := policy.Kinds{}
	for _, kind := range []policy.Kind{policy.SignedBy, policy.InsecureAcceptAnything, policy.Reject} {
		for i, judge := range judges {
			kinds.AddJudge(kind, policy.Judge{Name: fmt.Sprint("judge ", i+1), Func: judge})
		}
	}
	return kinds
}

// sources returns the node's sources, which count calls.
func (n *node) sources() policy.Sources {
	return policy.Sources{
		Documents: n.set.Load,
		Image: func(ctx context.Context, q policy.Question) (*policy.Image, error) {
			n.images.Add(1)
			return n.image(ctx, q)
		},
		Confirm: func(policy.Question) { n.confirmed.Add(1) },
		Lookup: func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
			n.looks.Add(1)
			n.mu.Lock()
			kept := n.kept
			n.mu.Unlock()
			return kept(manifests, ref)
		},
		Refetch: func(policy.Check) { n.asked.Add(1) },
		Kinds: kindsOf(func(ctx context.Context, request policy.JudgeRequest) policy.Finding {
			n.judged.Add(1)
			return n.judge(ctx, request)
		}),
		Generations: []func() uint64{n.generation.Load},
	}
}

func (n *node) decider(t testing.TB) *policy.Decider {
	t.Helper()
	return newDecider(t, n.sources())
}

func newDecider(t testing.TB, sources policy.Sources) *policy.Decider {
	t.Helper()
	decider, err := policy.NewDecider(sources)
	if err != nil {
		t.Fatal(err)
	}
	return decider
}

// ask returns the question of namespace prod about the node's image under that reference.
func ask(ref string) policy.Question {
	return policy.Question{Namespace: "prod", Reference: ref, Config: digestOf("config")}
}

func decide(t testing.TB, n *node, ref string) policy.Verdict {
	t.Helper()
	return n.decider(t).Decide(t.Context(), ask(ref))
}

// wantReason fails unless the verdict has that reason, and admits if and only if the reason is accepted.
func wantReason(t testing.TB, got policy.Verdict, want policy.Reason) {
	t.Helper()
	if got.Reason != want {
		t.Errorf("reason = %q (%s), want %q", got.Reason, got.Detail, want)
	}
	if got.Admitted() != (want == policy.Accepted) {
		t.Errorf("outcome = %v with reason %q (%s)", got.Outcome, got.Reason, got.Detail)
	}
}
