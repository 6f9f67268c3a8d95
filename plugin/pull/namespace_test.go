package pull_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
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
				t.Errorf("on record is namespace %q, pod %q", record.Namespace, record.Pod)
			}
			if got := pull.Refusal(record); got != test.text {
				t.Errorf("the kubelet is told %q, want %q", got, test.text)
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
	var told []audit.Pull
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
		told = append(told, audit.Pull{Outcome: record.Outcome, Verdict: record.Verdict})
	}
	for _, other := range told[1:] {
		if diff := cmp.Diff(told[0], other); diff != "" {
			t.Errorf("the answers differ with what is stored:\n%s", diff)
		}
	}
	if told[0].Outcome != policy.Admit {
		t.Errorf("the pull is refused, and the registry's refusal is not shown: %+v", told[0])
	}
}

func TestWhatThisNodeKnowsToBeAcceptedNeedsNoRegistry(t *testing.T) {
	image := pulledImage("manifest", "index")
	index := digest.FromString("index")
	n := &pullNode{
		set: namespaces(), found: func(digest.Digest) *policy.Image { return image },
		signed: map[digest.Digest]policy.State{index: policy.Found},
	}
	n.endpoint(t)
	record := n.gate.Decide(t.Context(), pull.Request{Reference: pullName, Namespace: "prod", Target: index})
	if !record.Verdict.Admitted() || n.reads+n.resolved+len(n.fetches) != 0 {
		t.Errorf("%s after %d reads, %d resolved and %d fetches",
			record.Verdict.Reason, n.reads, n.resolved, len(n.fetches))
	}
	// A tag may have moved since, so it is resolved.
	record = n.gate.Decide(t.Context(), pull.Request{Reference: pullName, Resolve: true, Namespace: "prod"})
	if !record.Verdict.Admitted() || n.resolved != 1 || n.reads+len(n.fetches) != 0 {
		t.Errorf("%s after %d reads, %d resolved and %d fetches",
			record.Verdict.Reason, n.reads, n.resolved, len(n.fetches))
	}
}
