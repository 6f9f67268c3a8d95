package pull_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// namespaces returns a set whose system policy accepts everything. Its namespaces require a signature, reject
// everything, or have a document that cannot be used.
func namespaces() *policy.Set {
	set := oneDocument(requirement(policy.InsecureAcceptAnything, false))
	set.Namespaces = map[string]policy.Source{
		"prod":    signedDocument().System,
		"audited": signedDocument().System,
		"closed":  oneDocument(requirement(policy.Reject, false)).System,
		"broken":  {Name: "/etc/countersign/policies/broken.json", Err: errors.New("line 1: unexpected end")},
	}
	return set
}

func as(username string) registry.CredentialFunc {
	return func(string) (string, string, error) { return username, "secret", nil }
}

func TestAPullIsDecidedByTheNamespaceOfItsPod(t *testing.T) {
	index := digest.FromString("index")
	signed, unsigned := map[digest.Digest]policy.State{index: policy.Found}, map[digest.Digest]policy.State{}
	denied := errors.New("401 Unauthorized")
	for name, test := range map[string]struct {
		namespace  string
		finds      map[digest.Digest]policy.State
		resolveErr error
		want       policy.Reason
		outcome    policy.Outcome
		text       string
	}{
		"signed": {"prod", signed, nil, policy.Accepted, policy.Admit, ""},
		"unsigned": {
			"prod", unsigned, nil, policy.Unsigned, policy.Deny, "SignatureValidationFailed: registry.example/app:v1: " +
				`the policy of namespace "prod" requires a signature and none was found (unsigned)`,
		},
		"unsigned, in a namespace that requires no signature": {"dev", unsigned, nil, policy.Accepted, policy.Admit, ""},
		"unsigned, in a namespace in audit mode":              {"audited", unsigned, nil, policy.Unsigned, policy.Admit, ""},
		"rejected by its reference": {
			"closed", signed, nil, policy.Rejected, policy.Deny, "SignatureValidationFailed: registry.example/app:v1: " +
				`the policy of namespace "closed" does not allow it (rejected)`,
		},
		"a document that cannot be used": {
			"broken", signed, nil, policy.InvalidPolicy, policy.Deny, "SignatureValidationFailed: registry.example/app:v1: " +
				`the policy of namespace "broken" cannot be used; the node's operator finds the cause in the log (invalid-policy)`,
		},
		"a registry that does not answer":                     {"prod", signed, denied, policy.Unavailable, policy.Admit, ""},
		"without a namespace, one of all documents admits it": {"", unsigned, nil, policy.Accepted, policy.Admit, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := &pullNode{
				set: namespaces(), remote: pulledImage("manifest", "index"), fetchFinds: test.finds,
				resolveErr: test.resolveErr, auditing: test.namespace == "audited",
			}
			n.endpoint(t)
			request := pull.Request{Reference: pullName, Resolve: true, Namespace: test.namespace, Pod: "web-0"}
			record := n.gate.Decide(t.Context(), request)
			if record.Verdict.Reason != test.want || record.Outcome != test.outcome {
				t.Errorf("%s (%s): %s", record.Outcome, record.Verdict.Reason, record.Verdict.Detail)
			}
			if record.Namespace != test.namespace || record.Pod != "web-0" {
				t.Errorf("recorded are namespace %q, pod %q", record.Namespace, record.Pod)
			}
			if got := pull.Refusal(record); got != test.text {
				t.Errorf("the kubelet receives %q, want %q", got, test.text)
			}
			if want := test.namespace == "audited"; record.WouldDeny() != want {
				t.Errorf("would deny: %t, want %t", record.WouldDeny(), want)
			}
		})
	}
}

func TestARefusalIsTheSameForEachCredentialAndShort(t *testing.T) {
	n := &pullNode{set: namespaces(), remote: pulledImage("manifest", "index")}
	n.endpoint(t)
	long := "registry.example/" + strings.Repeat("a/", 100) + "app:" + strings.Repeat("v", 127)
	var texts []string
	for _, username := range []string{"first", "second", "third"} {
		record := n.gate.Decide(t.Context(), pull.Request{
			Reference: long, Resolve: true, Namespace: "prod", Credentials: as(username),
		})
		texts = append(texts, pull.Refusal(record))
	}
	if len(slices.Compact(slices.Clone(texts))) != 1 || texts[0] == "" {
		t.Errorf("the texts differ: %q", texts)
	}
	if length := utf8.RuneCountInString(texts[0]); length >= 300 {
		t.Errorf("%d characters: %s", length, texts[0])
	}
}

func TestTheRegistryIsAskedWithTheCredentialsOfTheRequestOnly(t *testing.T) {
	n := &pullNode{set: namespaces(), remote: pulledImage("manifest", "index")}
	n.endpoint(t)
	for _, request := range []pull.Request{
		{Reference: pullName, Resolve: true, Namespace: "prod", Credentials: as("alice")},
		{Reference: pullName, Resolve: true, Namespace: "prod"},
		{Reference: pullName, Resolve: true, Namespace: "audited", Credentials: as("bob")},
	} {
		n.usernames = nil
		n.gate.Decide(t.Context(), request)
		want := ""
		if request.Credentials != nil {
			want, _, _ = request.Credentials("")
		}
		if n.byNode > 0 {
			t.Error("the image of a pod was read with the node's credentials")
		}
		if len(n.usernames) < 3 {
			t.Errorf("the registry was asked %d times: for a digest, an image and its evidence", len(n.usernames))
		}
		if slices.ContainsFunc(n.usernames, func(used string) bool { return used != want }) {
			t.Errorf("used are the credentials of %q, want those of %q", n.usernames, want)
		}
	}
}

// TestThatAnImageIsSignedIsNotToldWithoutAccess: another namespace has pulled the image with its credentials, and its
// signatures are stored. Who may not pull the image does not learn whether there are any.
func TestThatAnImageIsSignedIsNotToldWithoutAccess(t *testing.T) {
	image := pulledImage("manifest", "index")
	index := digest.FromString("index")
	var reported []audit.Pull
	for _, state := range []policy.State{policy.Found, policy.None, policy.Unknown} {
		n := &pullNode{
			set: namespaces(), found: func(digest.Digest) *policy.Image { return image }, local: image,
			readErr: errors.New("403 Forbidden"), signed: map[digest.Digest]policy.State{index: state},
		}
		n.set.Namespaces["prod"] = oneDocument(requirement(policy.SignedBy, true)).System
		n.endpoint(t)
		record := n.gate.Decide(t.Context(), pull.Request{Reference: pullName, Namespace: "prod", Target: index})
		if len(n.fetches) > 0 {
			t.Error("evidence was fetched of an image that the registry did not show")
		}
		reported = append(reported, audit.Pull{Outcome: record.Outcome, Verdict: record.Verdict})
	}
	for _, other := range reported[1:] {
		if diff := gocmp.Diff(reported[0], other); diff != "" {
			t.Errorf("the answers differ with what is stored:\n%s", diff)
		}
	}
	if reported[0].Outcome != policy.Admit {
		t.Errorf("the pull is refused, and the registry's refusal is not reported: %+v", reported[0])
	}
}

// TestWhatThisNodeKnowsToBeAcceptedNeedsNoRegistry once the registry has shown the image to the namespace with the same
// credentials.
func TestWhatThisNodeKnowsToBeAcceptedNeedsNoRegistry(t *testing.T) {
	image := pulledImage("manifest", "index")
	index := digest.FromString("index")
	n := &pullNode{
		set: namespaces(), found: func(digest.Digest) *policy.Image { return image }, remote: image,
		signed: map[digest.Digest]policy.State{index: policy.Found},
	}
	n.endpoint(t)
	const byDigest = "registry.example/app@"
	for i, test := range []struct {
		what            string
		request         pull.Request
		resolved, reads int
	}{
		{"a digest that the registry has not shown", pull.Request{Target: index}, 0, 1},
		{"the same again", pull.Request{Target: index}, 0, 0},
		{"a tag, which may have moved since", pull.Request{Resolve: true}, 1, 0},
		{"the same digest, with credentials", pull.Request{Target: index, Credentials: as("alice")}, 0, 1},
		{"the same digest, with the same credentials", pull.Request{Target: index, Credentials: as("alice")}, 0, 0},
		{"the same digest, with others", pull.Request{Target: index, Credentials: as("bob")}, 0, 1},
		{"a tag, with credentials", pull.Request{Resolve: true, Credentials: as("carol")}, 1, 0},
		{"its digest, with the same credentials", pull.Request{Target: index, Credentials: as("carol")}, 0, 0},
		{
			"a digest in the reference, which is resolved without the registry",
			pull.Request{Reference: byDigest + index.String(), Resolve: true, Credentials: as("dave")},
			1, 1,
		},
		{
			"a digest, with credentials that cannot be read",
			pull.Request{Target: index, Credentials: func(string) (string, string, error) { return "", "", errors.New("no") }},
			0, 1,
		},
		{"a digest, of another namespace", pull.Request{Target: index, Namespace: "audited"}, 0, 1},
	} {
		n.resolved, n.reads = 0, 0
		test.request.Reference = cmp.Or(test.request.Reference, pullName)
		test.request.Namespace = cmp.Or(test.request.Namespace, "prod")
		record := n.gate.Decide(t.Context(), test.request)
		if !record.Verdict.Admitted() || n.resolved != test.resolved || n.reads != test.reads || len(n.fetches) != 0 {
			t.Errorf("%d: %s: %s after %d resolved, %d reads and %d fetches; want %d and %d", i, test.what,
				record.Verdict.Reason, n.resolved, n.reads, len(n.fetches), test.resolved, test.reads)
		}
	}
}

// TestTheRegistryIsAskedTheSameWhateverOthersHavePulled: neither the answer nor what is requested tells a namespace
// without access that an image is on this node, and signed.
func TestTheRegistryIsAskedTheSameWhateverOthersHavePulled(t *testing.T) {
	image := pulledImage("manifest", "index")
	index := digest.FromString("index")
	type seen struct {
		resolved, reads, fetches int
		refusal                  string
	}
	var without, with seen
	for _, local := range []*policy.Image{nil, image} {
		n := &pullNode{
			set: namespaces(), found: func(digest.Digest) *policy.Image { return local }, local: local,
			readErr: errors.New("401 Unauthorized"), signed: map[digest.Digest]policy.State{index: policy.Found},
		}
		n.endpoint(t)
		request := pull.Request{Reference: "registry.example/app@" + index.String(), Resolve: true, Namespace: "prod"}
		record := n.gate.Decide(t.Context(), request)
		without, with = with, seen{n.resolved, n.reads, len(n.fetches), pull.Refusal(record)}
	}
	if without != with || with.refusal != "" {
		t.Errorf("without the image on the node %+v, with it %+v", without, with)
	}
}

// TestEvidenceIsFetchedForOtherNamespacesToo: the kubelet does not pull an image again for another namespace that has
// the same credentials, and the node has none.
func TestEvidenceIsFetchedForOtherNamespacesToo(t *testing.T) {
	index := digest.FromString("index")
	for name, test := range map[string]struct {
		namespace   string
		credentials registry.CredentialFunc
		set         *policy.Set
		stored      policy.State
		want        int
	}{
		"by a namespace that requires no signature":            {"dev", as("alice"), namespaces(), policy.Unknown, 2},
		"but not if it is stored":                              {"dev", as("alice"), namespaces(), policy.Found, 1},
		"nor without credentials, because the node fetches it": {"dev", nil, namespaces(), policy.Unknown, 0},
		"nor if no namespace requires a signature": {
			"dev", as("alice"), oneDocument(requirement(policy.InsecureAcceptAnything, false)), policy.Unknown, 0,
		},
		"nor without a namespace": {"", as("alice"), namespaces(), policy.Found, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := &pullNode{
				set: test.set, remote: pulledImage("manifest", "index"), signed: map[digest.Digest]policy.State{index: test.stored},
			}
			n.endpoint(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			record := n.gate.Decide(ctx, pull.Request{
				Reference: pullName, Resolve: true, Namespace: test.namespace, Credentials: test.credentials,
			})
			cancel() // The caller waits for the answer only.
			n.gate.Wait()
			if record.Outcome != policy.Admit || len(n.fetches) != test.want {
				t.Errorf("%s: evidence of %d manifests was fetched, want %d", record.Outcome, len(n.fetches), test.want)
			}
			if test.want > 0 && slices.ContainsFunc(n.usernames, func(used string) bool { return used != "alice" }) {
				t.Errorf("used are the credentials of %q", n.usernames)
			}
		})
	}
}
