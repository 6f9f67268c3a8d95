package pull_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// pullNode simulates a node, by its fields. Decisions are made by a real decider with real documents; evidence is only
// a state per manifest.
type pullNode struct {
	set    *policy.Set
	signed map[digest.Digest]policy.State
	// local is the image on the node, and remote the image in the registry.
	local, remote *policy.Image
	readErr       error
	fetchErr      error
	// fetchFinds are the states after a fetch.
	fetchFinds map[digest.Digest]policy.State
	hang       bool
	// If unasked is set, no document requires a signature; if auditing is set, some namespace is in audit mode.
	unasked, auditing bool
	// If panics is set, reading the registry's answer panics.
	panics bool
	// found is what FindImage returns.
	found func(digest.Digest) *policy.Image
	// gate is the gate that was created last.
	gate *pull.Gate

	// resolveErr is why the registry does not resolve a reference.
	resolveErr error

	mu       sync.Mutex
	reads    int
	resolved int
	// usernames are those of the credentials with which the registry was asked, "" without any.
	usernames []string
	// byNode counts how often an image was read with the node's credentials.
	byNode  int
	fetches []digest.Digest
	records []audit.Pull
}

const pullName = "registry.example/app:v1"

func manifestOf(content string) policy.Manifest {
	return policy.Manifest{
		Digest: digest.FromString(content), MediaType: "application/vnd.oci.image.manifest.v1+json", Bytes: []byte(content),
		Repositories: []string{"registry.example/app"},
	}
}

func pulledImage(contents ...string) *policy.Image {
	image := &policy.Image{Config: digest.FromString("config"), Confirmed: true}
	for _, content := range contents {
		image.Manifests = append(image.Manifests, manifestOf(content))
	}
	return image
}

// pullKinds returns a table of the kinds that these tests use.
func pullKinds() policy.Kinds {
	kinds := policy.Kinds{}
	for _, kind := range []policy.Kind{
		policy.SigstoreSigned, policy.InsecureAcceptAnything, policy.Reject, policy.SignedBy,
	} {
		kinds.AddJudge(kind, policy.Judge{Name: "pull", Func: judgePull})
	}
	return kinds
}

func requirement(kind policy.Kind, needsEvidence bool) *policy.Requirement {
	return &policy.Requirement{ID: digest.FromString(string(kind)), Kind: kind, NeedsEvidence: needsEvidence}
}

func oneDocument(requirements ...*policy.Requirement) *policy.Set {
	return &policy.Set{System: policy.Source{
		Document: &policy.Document{Name: "/etc/containers/policy.json", Default: requirements},
	}}
}

func signedDocument() *policy.Set { return oneDocument(requirement("sigstoreSigned", true)) }

// endpoint returns the endpoint of a new gate of the node.
func (n *pullNode) endpoint(t *testing.T) *pull.VerifierEndpoint {
	t.Helper()
	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return n.set },
		Image:     func(context.Context, policy.Question) (*policy.Image, error) { return nil, errors.New("not asked") },
		Lookup:    n.kept,
		Kinds:     pullKinds(),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.gate = pull.NewGate(pull.Config{
		RequiresSignature: func(q policy.PullQuestion) bool {
			return !n.unasked && decider.RequiresSignatureFor(q)
		},
		Audits: decider.AuditsFor,
		Decide: decider.DecidePull,
		FindImage: func(_ context.Context, target digest.Digest, _ reference.Named) *policy.Image {
			if n.found == nil {
				return nil
			}
			return n.found(target)
		},
		Image: func(context.Context, policy.Question) (*policy.Image, error) {
			if n.local == nil {
				return nil, policy.Refuse(policy.UnknownOrigin, "no such image")
			}
			return n.local, nil
		},
		Registry: func(credentials registry.CredentialFunc) fetch.Registry {
			if credentials == nil {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.byNode++
			}
			return fetch.Registry{
				Resolve: func(context.Context, reference.Named) (digest.Digest, error) { return n.resolve(credentials) },
				Image: func(ctx context.Context, ref reference.Named, target digest.Digest) (*policy.Image, error) {
					n.use(credentials)
					return n.read(ctx, ref, target)
				},
			}
		},
		Lookup: n.kept,
		Named:  func(registry string) bool { return registry == "named.example" },
		Fetch: func(credentials registry.CredentialFunc) fetch.Func {
			return func(ctx context.Context, manifest digest.Digest, ref reference.Named) error {
				n.use(credentials)
				return n.fetch(ctx, manifest, ref)
			}
		},
		Report: func(p audit.Pull) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.records = append(n.records, p)
		},
		Audit: func(namespace string) bool {
			return n.auditing && (namespace == "" || namespace == "audited")
		},
		NoIdentity: func(string) bool { return false },
	})
	return &pull.VerifierEndpoint{Gate: n.gate, Timeout: func() time.Duration { return 8 * time.Second }}
}

func judgePull(_ context.Context, request policy.JudgeRequest) policy.Finding {
	kind, evidence := request.Requirement.Kind, request.Evidence
	if kind == policy.SignedBy && evidence.State == policy.Found {
		// The signature of somebody else.
		return policy.Finding{Reason: policy.Rejected, Detail: "another key has signed"}
	}
	switch {
	case kind == "insecureAcceptAnything", evidence.State == policy.Found && evidence.Signatures > 0:
		return policy.Finding{Met: true}
	case kind == "reject", evidence.State == policy.Found:
		return policy.Finding{Reason: policy.Rejected, Detail: "the key /etc/keys/prod.pub says no"}
	default:
		return policy.Finding{Reason: policy.Unsigned, Detail: "no signature"}
	}
}

func (n *pullNode) kept(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := make(policy.StoredEvidence, len(manifests))
	for i, manifest := range manifests {
		state := n.signed[manifest.Digest]
		kept[i] = policy.Evidence{Manifest: manifest.Digest, State: state}
		if state == policy.Found {
			kept[i].Signatures = 1
		}
	}
	return kept
}

// use records the credentials of a request to the registry.
func (n *pullNode) use(credentials registry.CredentialFunc) {
	username := ""
	if credentials != nil {
		username, _, _ = credentials("registry.example")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.usernames = append(n.usernames, username)
}

func (n *pullNode) resolve(credentials registry.CredentialFunc) (digest.Digest, error) {
	n.use(credentials)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resolved++
	return digest.FromString("index"), n.resolveErr
}

func (n *pullNode) read(ctx context.Context, _ reference.Named, _ digest.Digest) (*policy.Image, error) {
	n.mu.Lock()
	n.reads++
	n.mu.Unlock()
	if n.panics {
		panic("out of order")
	}
	if n.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return n.remote, n.readErr
}

func (n *pullNode) fetch(ctx context.Context, manifest digest.Digest, _ reference.Named) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fetches = append(n.fetches, manifest)
	if n.fetchErr != nil {
		return n.fetchErr
	}
	if n.signed == nil {
		n.signed = map[digest.Digest]policy.State{}
	}
	n.signed[manifest] = policy.None
	if state, ok := n.fetchFinds[manifest]; ok {
		n.signed[manifest] = state
	}
	return ctx.Err()
}

func pullRequest() socket.PullRequest {
	return socket.PullRequest{
		Name: pullName, Digest: digest.FromString("index").String(), MediaType: "application/vnd.oci.image.index.v1+json",
	}
}

func TestPullsAreAnswered(t *testing.T) {
	index := manifestOf("index").Digest
	signedLater := map[digest.Digest]policy.State{index: policy.Found}
	remote := pulledImage("manifest", "index")
	mixed := signedDocument()
	mixed.Namespaces = map[string]policy.Source{"dev": oneDocument(requirement("insecureAcceptAnything", false)).System}
	broken := signedDocument()
	broken.Namespaces = map[string]policy.Source{"dev": {Name: "/dev.json", Err: errors.New("no JSON")}}
	rewrapped := pulledImage("manifest", "index", "signed before")
	for name, test := range map[string]struct {
		node           *pullNode
		refused        bool
		reason         policy.Reason
		reads, fetches int
		says           string
	}{
		"nothing is required, and everything admitted": {
			node: &pullNode{set: oneDocument(requirement("insecureAcceptAnything", false))}, reason: policy.Accepted,
			says: "a policy on this node admits it",
		},
		"every policy rejects it": {
			node: &pullNode{set: oneDocument(requirement("reject", false))}, refused: true, reason: policy.Rejected,
			says: "no policy on this node admits it (rejected)",
		},
		"it is signed": {
			node:   &pullNode{set: signedDocument(), remote: remote, fetchFinds: signedLater},
			reason: policy.Accepted, reads: 1, fetches: 2,
		},
		"its evidence is stored": {
			node:   &pullNode{set: signedDocument(), remote: remote, signed: signedLater},
			reason: policy.Accepted, reads: 1,
		},
		"it is not signed": {
			node: &pullNode{set: signedDocument(), remote: remote}, refused: true, reason: policy.Unsigned,
			reads: 1, fetches: 2, says: "a signature is required and none was found (unsigned)",
		},
		"one document admits what another requires a signature of": {
			node: &pullNode{set: mixed, remote: remote, fetchFinds: signedLater}, reason: policy.Accepted, reads: 1, fetches: 2,
		},
		"not signed, and a document cannot be used": {
			node: &pullNode{set: broken, remote: remote}, reason: policy.InvalidPolicy, reads: 1, fetches: 2,
			says: "not determined yet",
		},
		"its registry does not answer": {
			node: &pullNode{set: signedDocument(), readErr: errors.New("connection refused")}, reason: policy.Unavailable,
			reads: 1, says: "not determined yet",
		},
		"its evidence cannot be fetched": {
			node:   &pullNode{set: signedDocument(), remote: remote, fetchErr: errors.New("503")},
			reason: policy.Unavailable, reads: 1, fetches: 2,
		},
		"it had no evidence, and now it cannot be fetched": {
			node: &pullNode{
				set: signedDocument(), remote: remote, fetchErr: errors.New("503"),
				signed: map[digest.Digest]policy.State{index: policy.None, manifestOf("manifest").Digest: policy.None},
			},
			reason: policy.Unavailable, reads: 1, fetches: 2,
		},
		"another of its manifests is on the node and signed": {
			node: &pullNode{
				set: signedDocument(), remote: remote, local: rewrapped,
				fetchFinds: map[digest.Digest]policy.State{manifestOf("signed before").Digest: policy.Found},
			},
			reason: policy.Accepted, reads: 1, fetches: 3,
		},
		"no policy is loaded": {node: &pullNode{set: nil}, reason: policy.InvalidPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := test.node.endpoint(t).Answer(t.Context(), pullRequest())
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.Check(); err != nil {
				t.Error(err)
			}
			if got := answer.Decision == socket.Refuse; got != test.refused {
				t.Errorf("refused: %t, want %t: %s", got, test.refused, answer.Message)
			}
			if !strings.Contains(answer.Message, test.says) || !strings.Contains(answer.Message, pullName) {
				t.Errorf("it says %q, want %q", answer.Message, test.says)
			}
			for _, secret := range []string{"/etc", "prod", "dev", "503"} {
				if strings.Contains(answer.Message, secret) {
					t.Errorf("the message contains %s: %s", secret, answer.Message)
				}
			}
			if test.node.reads != test.reads || len(test.node.fetches) != test.fetches {
				t.Errorf("%d reads and %d fetches, want %d and %d",
					test.node.reads, len(test.node.fetches), test.reads, test.fetches)
			}
			wantRecord(t, test.node, test.refused, test.reason)
		})
	}
}

func wantRecord(t *testing.T, n *pullNode, refused bool, reason policy.Reason) {
	t.Helper()
	if len(n.records) != 1 {
		t.Fatalf("%d records, want one", len(n.records))
	}
	record := n.records[0]
	if record.Verdict.Reason != reason || (record.Outcome == policy.Deny) != refused || record.Name != pullName {
		t.Errorf("the record says %s, %s (%s), want %s",
			record.Outcome, record.Verdict.Reason, record.Verdict.Detail, reason)
	}
}

func TestANamespaceInAuditModeCouldAdmitAnything(t *testing.T) {
	n := pullNode{set: oneDocument(requirement("reject", false))}
	endpoint := n.endpoint(t)
	n.auditing = true
	answer, err := endpoint.Answer(t.Context(), pullRequest())
	if err != nil || answer.Decision != socket.Admit || !strings.Contains(answer.Message, "audit mode") {
		t.Errorf("%+v, %v", answer, err)
	}
	wantRecord(t, &n, false, policy.Rejected)
	if record := n.records[0]; !record.WouldDeny() || record.Mode != audit.Audit {
		t.Errorf("the record does not report that it would have been refused: %+v", record)
	}
}

func TestAnImageOnTheNodeNeedsTheRegistryForNewSignaturesOnly(t *testing.T) {
	here := pulledImage("manifest", "index")
	n := pullNode{set: signedDocument(), signed: map[digest.Digest]policy.State{here.Manifests[0].Digest: policy.Found}}
	endpoint := n.endpoint(t)
	n.found = func(target digest.Digest) *policy.Image {
		if target != here.Manifests[1].Digest {
			t.Errorf("asked for %s", target)
		}
		return here
	}
	if answer, err := endpoint.Answer(t.Context(), pullRequest()); err != nil || answer.Decision != socket.Admit {
		t.Errorf("%+v, %v", answer, err)
	}
	if n.reads+len(n.fetches) != 0 {
		t.Errorf("%d reads and %d fetches, want none", n.reads, len(n.fetches))
	}
}

func TestInvalidRequestsAreAllowedAndRecorded(t *testing.T) {
	for name, request := range map[string]socket.PullRequest{
		"no name":                 {Digest: digest.FromString("index").String()},
		"an invalid name":         {Name: "Registry/App:", Digest: digest.FromString("index").String()},
		"no digest":               {Name: pullName},
		"an invalid digest":       {Name: pullName, Digest: "sha256:00"},
		"an algorithm not linked": {Name: pullName, Digest: "md5:d41d8cd98f00b204e9800998ecf8427e"},
	} {
		t.Run(name, func(t *testing.T) {
			n := pullNode{set: oneDocument(requirement("reject", false))}
			answer, err := n.endpoint(t).Answer(t.Context(), request)
			if err != nil || answer.Decision != socket.Admit || n.records[0].Verdict.Reason != policy.BadRequest {
				t.Errorf("%+v, %v, %+v", answer, err, n.records)
			}
		})
	}
}

func TestAfterAPanicThePullIsAllowedAndRecorded(t *testing.T) {
	n := pullNode{set: signedDocument()}
	endpoint := n.endpoint(t)
	n.panics = true
	answer, err := endpoint.Answer(t.Context(), pullRequest())
	if err != nil || answer.Decision != socket.Admit {
		t.Errorf("%+v, %v", answer, err)
	}
	wantRecord(t, &n, false, policy.Internal)
}

func TestARegistryThatHangsDelaysAPullUntilItsTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		within int64
		want   time.Duration
	}{
		"as configured":                      {0, 7 * time.Second},
		"as the verifier says":               {1000, 750 * time.Millisecond},
		"never longer than it is configured": {60_000, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := pullNode{set: signedDocument(), hang: true}
				request := pullRequest()
				request.Within = test.within
				started := time.Now()
				answer, err := n.endpoint(t).Answer(t.Context(), request)
				if err != nil || answer.Decision != socket.Admit {
					t.Errorf("%+v, %v", answer, err)
				}
				if took := time.Since(started); took != test.want {
					t.Errorf("answered after %s, want %s", took, test.want)
				}
				wantRecord(t, &n, false, policy.Pending)
			})
		})
	}
}

// TestInventedRegistriesLeaveRoomForThoseThatDocumentsName: each of them hangs.
func TestInventedRegistriesLeaveRoomForThoseThatDocumentsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pullNode{set: signedDocument(), hang: true}
		endpoint := n.endpoint(t)
		var all sync.WaitGroup
		pulls := func(format string, number int) {
			for i := range number {
				all.Go(func() {
					request := pullRequest()
					request.Name = fmt.Sprintf(format, i)
					_, _ = endpoint.Answer(t.Context(), request)
				})
			}
			synctest.Wait()
		}
		pulls("minted-%d.evil.example/app:v1", 200)
		if n.reads != 96 {
			t.Errorf("%d pulls from registries that no document names are decided on at once, want 96", n.reads)
		}
		pulls("named.example/app:%d", 16)
		if n.reads != 96+16 {
			t.Errorf("%d pulls are decided on at once: those from a registry that a document names are not", n.reads)
		}
		all.Wait()
		n.gate.Wait()
		pulls("minted-%d.evil.example/app:v1", 200)
		if n.reads != 2*96+16 {
			t.Errorf("%d pulls were decided on: not all room is free again", n.reads)
		}
		all.Wait()
		n.gate.Wait()
	})
}

func TestARegistryThatHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := pullNode{set: signedDocument(), hang: true}
		endpoint := n.endpoint(t)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				request := pullRequest()
				request.Name = fmt.Sprintf("hanging.example/app:%d", i)
				if answer, err := endpoint.Answer(t.Context(), request); err != nil || answer.Decision != socket.Admit {
					t.Errorf("%+v, %v", answer, err)
				}
			})
		}
		synctest.Wait()
		if n.reads != pull.MaxPullsPerHost {
			t.Errorf("%d pulls wait for the one registry, want %d", n.reads, pull.MaxPullsPerHost)
		}
		n.unasked = true
		n.set = oneDocument(requirement("reject", false))
		answer, err := endpoint.Answer(t.Context(), pullRequest())
		if err != nil || answer.Decision != socket.Refuse {
			t.Errorf("the pull from another registry: %+v, %v", answer, err)
		}
		all.Wait()
		n.gate.Wait()
		if total, hosts := n.gate.Limited(); total != 0 || hosts != 0 {
			t.Errorf("%d decisions about %d hosts are not released", total, hosts)
		}
	})
}
