package daemon

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

const explainedReference = "registry.example/app:v1"

var (
	explainedConfig   = digest.FromString("config")
	explainedManifest = digest.FromString("manifest")
)

// newTestExplainer returns an explainer of a node with one image, which is signed by alice, where policies require
// what is given for namespace prod, and no container runs.
func newTestExplainer(t *testing.T, list ...*policy.Requirement) *explainer {
	t.Helper()
	named, err := policy.Normalize(explainedReference)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(_ context.Context, request policy.JudgeRequest) policy.Finding {
		switch {
		case request.Requirement.Kind == policy.Reject:
			return policy.Finding{Reason: policy.Rejected, Detail: "rejected by policy"}
		case string(request.Requirement.JSON) == request.Evidence.Source:
			return policy.Finding{Met: true}
		default:
			return policy.Finding{Reason: policy.Rejected, Detail: "another key"}
		}
	}
	row := policy.KindSpec{
		Judges:   []policy.Judge{{Name: "test", Func: judge}},
		Describe: func(r *policy.Requirement) string { return "a signature by " + string(r.JSON) },
		Advise: func(r *policy.Requirement, _ policy.Cause, _ reference.Named) string {
			return "have " + string(r.JSON) + " sign it"
		},
	}
	kinds := policy.Kinds{policy.SignedBy: row, policy.Reject: row}
	set := &policy.Set{
		Namespaces: map[string]policy.Source{
			"prod":   {Document: &policy.Document{Name: "/prod.json", Default: list}},
			"broken": {Name: "/broken.json", Err: errors.New("unexpected EOF")},
		},
		System: policy.Source{Err: errors.New("no such file")},
	}
	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return set },
		Image: func(_ context.Context, q policy.Question) (*policy.Image, error) {
			if q.Config != explainedConfig {
				return nil, policy.Refuse(policy.UnknownOrigin, "no image %s", q.Config)
			}
			return &policy.Image{
				Config: explainedConfig, Confirmed: true, PulledAs: []reference.Named{named},
				Manifests: []policy.Manifest{{
					Digest: explainedManifest, MediaType: "an image manifest", Repositories: []string{named.Name()},
				}},
			}, nil
		},
		Lookup: func([]policy.Manifest, reference.Named) policy.StoredEvidence {
			return policy.StoredEvidence{{
				Manifest: explainedManifest, State: policy.Found, Generation: 1, Source: "alice", Directory: t.TempDir(),
			}}
		},
		Kinds: kinds,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &explainer{
		decider: decider, decisions: newDecisions(), kinds: kinds,
		mode:    func(string) string { return "enforce" },
		foundBy: func() policy.FoundBy { return policy.FoundByConfig },
		running: func(context.Context) ([]containerd.Container, error) { return nil, nil },
		slots:   make(chan struct{}, 1),
	}
}

func signedByName(name string) *policy.Requirement {
	return &policy.Requirement{
		ID: digest.FromString(name), Kind: policy.SignedBy, JSON: []byte(name), NeedsEvidence: true,
	}
}

func TestAnExplanationHasTheStepsOfTheDecision(t *testing.T) {
	e := newTestExplainer(t, signedByName("alice"), signedByName("bob"), signedByName("carol"))
	got, err := e.answer(t.Context(), ExplainRequest{
		Subject: Subject{Namespace: "prod"}, Reference: explainedReference, Config: explainedConfig.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Allowed || got.Reason != "rejected" || got.Document != "/prod.json" || got.Advice != "have bob sign it" {
		t.Errorf("the verdict is %+v", got)
	}
	if len(got.Images) != 1 || len(got.Images[0].Scopes) != 1 {
		t.Fatalf("images %+v", got.Images)
	}
	image := got.Images[0]
	if image.Config != explainedConfig.String() || len(image.Manifests) != 1 || image.Obtained[0] != explainedReference {
		t.Errorf("the image is %+v", image)
	}
	var results []string
	for _, requirement := range image.Scopes[0].Requirements {
		line := requirement.Requires + ": " + requirement.Result
		for _, try := range requirement.Tried {
			line += ", from " + try.Source + ": " + try.Judgements[0].Judge + " " + try.Judgements[0].Detail
		}
		results = append(results, line)
	}
	want := "a signature by alice: met, from alice: test \n" +
		"a signature by bob: not met, from alice: test another key\n" +
		"a signature by carol: not evaluated"
	if strings.Join(results, "\n") != want {
		t.Errorf("the requirements are\n%s\nwant\n%s", strings.Join(results, "\n"), want)
	}
}

func TestAnExplanationOfAnAdmissionNamesTheSigner(t *testing.T) {
	e := newTestExplainer(t, signedByName("alice"))
	got, err := e.answer(t.Context(), ExplainRequest{
		Subject: Subject{Namespace: "prod"}, Reference: explainedReference, Config: explainedConfig.String(),
	})
	if err != nil || !got.Allowed || len(got.Signers) != 1 || got.Signers[0] != "a signature by alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheSubjectOfAnExplanationIsFound(t *testing.T) {
	web := containerd.Container{
		ID: "aaaa1111bbbb", Namespace: "prod", Pod: "web", Name: "app", Reference: explainedReference,
	}
	refused := audit.Record{
		Stage: audit.Creation, Pod: "web", Container: "app", ContainerID: "ffff0000",
		Question: policy.Question{Namespace: "prod", Reference: explainedReference, Config: explainedConfig},
		Verdict:  policy.Verdict{Reason: policy.Rejected},
	}
	origin := policy.Refuse(policy.UnknownOrigin, "other layers")
	for name, test := range map[string]struct {
		about   Subject
		past    bool
		running []containerd.Container
		listing error
		record  error
		content error
		// reason and rootFS are expected, or status that of the error.
		reason, rootFS string
		status         int
	}{
		"a refused container": {about: Subject{Namespace: "prod", Pod: "web"}, past: true, reason: "rejected"},
		"by its ID":           {about: Subject{ContainerID: "ffff0000"}, past: true, reason: "rejected"},
		"a running container": {
			about: Subject{Namespace: "prod", Pod: "web", Container: "app"}, running: []containerd.Container{web},
			reason: "rejected", rootFS: "yes",
		},
		"by its abbreviated ID": {
			about: Subject{ContainerID: "aaaa1111"}, running: []containerd.Container{web}, reason: "rejected", rootFS: "yes",
		},
		"it runs on other layers": {
			about: Subject{Namespace: "prod", Pod: "web"}, running: []containerd.Container{web}, content: origin,
			reason: "rejected", rootFS: "no",
		},
		"its layers are not known": {
			about: Subject{Namespace: "prod", Pod: "web"}, running: []containerd.Container{web},
			content: errors.New("connection refused"), reason: "rejected", rootFS: "unknown",
		},
		"it has no record": {
			about: Subject{Namespace: "prod", Pod: "web"}, running: []containerd.Container{web},
			record: errors.New("connection refused"), reason: "unavailable", rootFS: "unknown",
		},
		"another container of the pod": {
			about:   Subject{Namespace: "prod", Pod: "web", Container: "sidecar"},
			running: []containerd.Container{web}, status: http.StatusNotFound,
		},
		"nobody knows it": {about: Subject{Namespace: "prod", Pod: "api"}, status: http.StatusNotFound},
		"containerd does not answer": {
			about: Subject{ContainerID: "eeee"}, listing: errors.New("gone"), status: http.StatusNotFound,
		},
		"it does not answer, one is known": {
			about: Subject{ContainerID: "ffff"}, past: true, listing: errors.New("gone"), reason: "rejected",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestExplainer(t, &policy.Requirement{ID: "reject", Kind: policy.Reject})
			if test.past {
				e.decisions.add(refused)
			}
			e.running = func(context.Context) ([]containerd.Container, error) { return test.running, test.listing }
			e.record = func(context.Context, string) (policy.Record, error) {
				return policy.Record{Config: explainedConfig}, test.record
			}
			e.content = func(context.Context, policy.Container) ([]digest.Digest, error) { return nil, test.content }
			got, err := e.answer(t.Context(), ExplainRequest{Subject: test.about})
			if failed := (*socket.Error)(nil); errors.As(err, &failed) || test.status != 0 {
				if failed == nil || failed.Status != test.status {
					t.Errorf("%v, want status %d", err, test.status)
				}
				return
			}
			rootFS := ""
			if got.RootFS != nil {
				rootFS = got.RootFS.Result
			}
			if err != nil || got.Reason != test.reason || rootFS != test.rootFS {
				t.Errorf("%s, root filesystem %q, %v; want %s and %q", got.Reason, rootFS, err, test.reason, test.rootFS)
			}
			if got.Namespace != "prod" || got.Pod != "web" || got.Container != "app" || test.past != (len(got.Decisions) == 1) {
				t.Errorf("it is about %+v", got)
			}
		})
	}
}

func TestAnExplanationWithoutAnImageHasTheScope(t *testing.T) {
	for name, test := range map[string]struct {
		namespace, reference, config string
		reason                       policy.Reason
		scopes                       int
	}{
		"the image is not here":     {"prod", explainedReference, "", policy.Unavailable, 1},
		"the document is broken":    {"broken", explainedReference, explainedConfig.String(), policy.InvalidPolicy, 0},
		"another image":             {"prod", explainedReference, digest.FromString("x").String(), policy.UnknownOrigin, 1},
		"a reference that is empty": {"prod", "", explainedConfig.String(), policy.BadRequest, 0},
		"a config that is none":     {"prod", explainedReference, "sha256:1", policy.BadRequest, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestExplainer(t, &policy.Requirement{ID: "reject", Kind: policy.Reject})
			got, err := e.answer(t.Context(), ExplainRequest{
				Subject: Subject{Namespace: test.namespace}, Reference: test.reference, Config: test.config,
				Absent: "it is not on this node",
			})
			if err != nil || got.Reason != string(test.reason) || len(got.Images) != 1 ||
				len(got.Images[0].Scopes) != test.scopes {
				t.Errorf("%+v, %v; want %s and %d scopes", got, err, test.reason, test.scopes)
			}
		})
	}
}
