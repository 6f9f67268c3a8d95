package compile_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// trial chooses policies and images at random.
type trial struct {
	*rand.Rand
	keys [][]byte
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (r *trial) scopes() []v1alpha1.ImageScope {
	all := []v1alpha1.ImageScope{
		"corp.example", "corp.example/a", "corp.example/a/b", "corp.example/a/b:v1", "corp.example/a/b:v2",
		"corp.example/a/b@" + v1alpha1.ImageScope(digest.FromString("manifest")), "*.example", "x.corp.example/a:v1",
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+r.IntN(2)]
}

func (r *trial) spec() v1alpha1.ImagePolicySpec {
	made := pick(r.Rand, root(v1alpha1.AcceptType), root(v1alpha1.RejectType), signed(r.keys[0]), signed(r.keys[1]))
	return spec(made, r.scopes()...)
}

// system returns a system policy, in which requirements may be only audited.
func (r *trial) system() string {
	const accept, reject = `{"type":"insecureAcceptAnything"}`, `{"type":"reject"}`
	audited := `{"type":"reject","enforcement":"audit"}`
	enforced := pick(r.Rand, accept, reject)
	var scopes []string
	for _, scope := range append(r.scopes(), pick[v1alpha1.ImageScope](r.Rand, "", "quay.io")) {
		list := pick(r.Rand, accept, reject, audited, accept+","+audited)
		scopes = append(scopes, fmt.Sprintf("%q:[%s]", scope, list))
	}
	return fmt.Sprintf(`{"default":[%s],"transports":{"docker":{%s}}}`, enforced, strings.Join(scopes, ","))
}

func (r *trial) cluster(name string, spec v1alpha1.ImagePolicySpec) v1alpha1.ClusterImagePolicy {
	made := cluster(name, spec)
	if r.IntN(3) == 0 {
		made = selecting(made, map[string]string{"stage": pick(r.Rand, "prod", "dev")})
	}
	return made
}

// layers returns policies, some of them in audit mode.
func (r *trial) layers() (made layers, auditedCluster, auditedNamespace bool) {
	made = layers{system: r.system(), labels: map[string]string{"stage": "prod"}}
	for i := range r.IntN(3) {
		spec := r.spec()
		if r.IntN(3) == 0 {
			spec, auditedCluster = audited(spec), true
		}
		made.cluster = append(made.cluster, r.cluster(fmt.Sprint("c", i), spec))
	}
	for i := range r.IntN(3) {
		spec := r.spec()
		if r.IntN(3) == 0 {
			spec, auditedNamespace = audited(spec), true
		}
		made.namespaced = append(made.namespaced, namespaced(fmt.Sprint("n", i), spec))
	}
	return made, auditedCluster, auditedNamespace
}

// image returns an image that was obtained under one or two references.
func (r *trial) image() *policy.Image {
	image := &policy.Image{
		Config: digest.FromString("config"), Confirmed: true,
		Manifests: []policy.Manifest{{Digest: digest.FromString("manifest")}},
	}
	for range 1 + r.IntN(2) {
		image.PulledAs = append(image.PulledAs, r.reference())
	}
	return image
}

func (r *trial) reference() reference.Named {
	named, err := policy.Normalize(pick(r.Rand, "corp.example/a/b:v1", "corp.example/a/b:v2", "corp.example/a:v1",
		"corp.example/a/b@"+string(digest.FromString("manifest")), "x.corp.example/a:v1", "x.corp.example/a:v2"))
	if err != nil {
		panic(err)
	}
	return named
}

// decider returns a daemon's decisions about one image on a node with these policies. Its judge is a fake, for which
// the evidence is the key that signed: real signatures are verified elsewhere.
func (l layers) decider(t *testing.T, image *policy.Image, signer []byte) *policy.Decider {
	t.Helper()
	parse := func(raw []byte) policy.Source {
		if raw == nil {
			return policy.Source{}
		}
		parsed, err := signature.NewParser(signature.Kinds(nil)).Parse(raw, nil)
		if err != nil {
			t.Fatalf("the daemon does not load %s: %v", raw, err)
		}
		return policy.Source{Document: parsed}
	}
	ofCluster, ofNamespace := l.compile(t)
	set := &policy.Set{System: parse([]byte(l.system)), Cluster: parse(ofCluster.JSON)}
	if ofNamespace.JSON != nil {
		set.Namespaces = map[string]policy.Source{"team": parse(ofNamespace.JSON)}
	}
	kinds := policy.Kinds{}
	for _, kind := range []policy.Kind{policy.InsecureAcceptAnything, policy.Reject, policy.SigstoreSigned} {
		kinds.AddJudge(kind, policy.Judge{Name: "fake", Func: judge})
	}
	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return set }, Kinds: kinds,
		Image: func(context.Context, policy.Question) (*policy.Image, error) { return image, nil },
		Lookup: func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
			return policy.StoredEvidence{{
				Manifest: manifests[0].Digest, Generation: 1, State: policy.Found,
				Directory: base64.StdEncoding.EncodeToString(signer),
			}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return decider
}

func judge(_ context.Context, request policy.JudgeRequest) policy.Finding {
	switch {
	case request.Requirement.Kind == policy.InsecureAcceptAnything,
		request.Requirement.NeedsEvidence && strings.Contains(string(request.Requirement.JSON), request.Evidence.Directory):
		return policy.Finding{Met: true}
	default:
		return policy.Finding{Reason: policy.Rejected, Detail: string(request.Requirement.Kind)}
	}
}

// TestAddingAPolicyInAuditModeChangesNoVerdict compares decisions with and without a policy in audit mode, for random
// policies, images and references. It only adds reports: if no other policy of its layer is in audit mode, which it
// could replace, what was reported before still is.
func TestAddingAPolicyInAuditModeChangesNoVerdict(t *testing.T) {
	keys := [][]byte{newKey(t), newKey(t)}
	changes := map[string]int{}
	for seed := range uint64(3000) {
		random := &trial{rand.New(rand.NewPCG(seed, 1)), keys}
		before, auditsCluster, auditsNamespace := random.layers()
		after, addition, replaces := before, audited(random.spec()), auditsCluster || auditsNamespace
		if random.IntN(2) == 0 {
			after.cluster = append(slices.Clip(before.cluster), random.cluster("added", addition))
		} else {
			replaces = auditsNamespace
			after.namespaced = append(slices.Clip(before.namespaced),
				namespaced("added", addition))
		}
		image, signer := random.image(), pick(random.Rand, keys...)
		was, is := before.decider(t, image, signer), after.decider(t, image, signer)
		asked := []string{random.reference().String(), string(image.Config), image.PulledAs[0].String()}
		for _, q := range asked {
			for _, namespace := range []string{"team", "other"} {
				question := policy.Question{Namespace: namespace, Reference: q, Config: image.Config}
				old, made := was.Decide(t.Context(), question), is.Decide(t.Context(), question)
				if enforcedPart(old) != enforcedPart(made) || old.WouldDeny != nil && made.WouldDeny == nil && !replaces {
					t.Fatalf("seed %d: %s in %s, obtained as %v: %+v becomes %+v\n%+v\n%+v",
						seed, q, namespace, image.PulledAs, old, made, before, after)
				}
				changes[fmt.Sprint(old.Outcome, old.WouldDeny != nil, made.WouldDeny != nil)]++
			}
		}
		comparePulls(t, was, is, policy.PullQuestion{Reference: random.reference(), Image: image})
	}
	for _, kind := range []string{"deny false false", "admit false false", "admit false true", "admit true true"} {
		if changes[kind] < 100 {
			t.Errorf("there are %d cases of %q", changes[kind], kind)
		}
	}
}

func comparePulls(t *testing.T, was, is *policy.Decider, q policy.PullQuestion) {
	t.Helper()
	for _, q.Namespace = range []string{"team", "other", ""} {
		old, made := was.DecidePull(t.Context(), q), is.DecidePull(t.Context(), q)
		if q.Namespace == "" { // Several documents may have the same answer.
			old.Scope, made.Scope = "", ""
		}
		if enforcedPart(old) != enforcedPart(made) {
			t.Fatalf("pulling %s in %q: %+v becomes %+v", q.Reference, q.Namespace, old, made)
		}
	}
}

// enforcedPart is what is enforced of a verdict, and what is said about a refusal. The scope of an admission may be one
// that is audited, if that is met too.
func enforcedPart(v policy.Verdict) string {
	if v.Admitted() {
		return fmt.Sprint(v.Outcome, v.Reason)
	}
	return fmt.Sprint(v.Outcome, v.Reason, v.Reference, v.Scope, v.Detail)
}

// TestAScopeWithATagInAuditModeHidesNone: the image was not obtained under the tag, which what is enforced does not
// ask for.
func TestAScopeWithATagInAuditModeHidesNone(t *testing.T) {
	key := newKey(t)
	image := (&trial{rand.New(rand.NewPCG(1, 1)), nil}).image()
	image.PulledAs = image.PulledAs[:1]
	var err error
	if image.PulledAs[0], err = policy.Normalize("corp.example/a:v2"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		enforced  v1alpha1.ImagePolicySpec
		want      policy.Reason
		wantWould policy.Reason
	}{
		"a broader scope is met":     {spec(signed(key), "corp.example"), policy.Accepted, policy.UnknownOrigin},
		"a broader scope is not met": {spec(root(v1alpha1.RejectType), "corp.example"), policy.Rejected, ""},
		"the same scope is enforced": {spec(signed(key), "corp.example/a:v1"), policy.UnknownOrigin, ""},
	} {
		t.Run(name, func(t *testing.T) {
			policies := layers{system: acceptAll, namespaced: []v1alpha1.ImagePolicy{
				namespaced("enforced", test.enforced), namespaced("audited", audited(spec(signed(key), "corp.example/a:v1"))),
			}}
			q := policy.Question{Namespace: "team", Reference: "corp.example/a:v1", Config: image.Config}
			verdict := policies.decider(t, image, key).Decide(t.Context(), q)
			var would policy.Reason
			if verdict.WouldDeny != nil {
				would = verdict.WouldDeny.Reason
			}
			if verdict.Reason != test.want || would != test.wantWould {
				t.Errorf("%+v, would deny: %q", verdict, would)
			}
		})
	}
}
