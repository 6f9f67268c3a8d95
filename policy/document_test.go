package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
)

func TestTheDocumentOfANamespace(t *testing.T) {
	system, own := document("/system.json"), document("/policies/prod.json")
	broken := policy.Source{Err: errors.New("/policies/prod.json: invalid character")}
	set := func(source policy.Source, namespaces map[string]policy.Source) *policy.Set {
		return &policy.Set{System: source, Namespaces: namespaces}
	}
	namespace := func(name string, source policy.Source) map[string]policy.Source {
		return map[string]policy.Source{name: source}
	}
	cases := map[string]struct {
		set  *policy.Set
		want string // the document's name, or the text of the refusal
	}{
		"it has none: the system policy": {set(policy.Source{Document: system}, nil), "/system.json"},
		"another namespace's does not apply": {
			set(policy.Source{Document: system}, namespace("default", policy.Source{Document: own})), "/system.json",
		},
		"its own replaces the system's": {
			set(policy.Source{Document: system}, namespace("prod", policy.Source{Document: own})), "/policies/prod.json",
		},
		"its own applies although the system policy is invalid": {
			set(policy.Source{Err: errors.New("bad")}, namespace("prod", policy.Source{Document: own})), "/policies/prod.json",
		},
		"its own broken one is not passed over": {
			set(policy.Source{Document: system}, namespace("prod", broken)), "invalid character",
		},
		"another's broken one does not matter": {
			set(policy.Source{Document: system}, namespace("dev", broken)), "/system.json",
		},
		"its own zero one is not passed over": {
			set(policy.Source{Document: system}, namespace("prod", policy.Source{})), "no document",
		},
		"an error counts more than a document": {
			set(policy.Source{Document: system}, namespace("prod", policy.Source{Document: own, Err: broken.Err})),
			"invalid character",
		},
		"no system policy and none of its own": {
			set(policy.Source{Err: errors.New("no such file")}, nil), "no such file",
		},
		"it has none, and the cluster has one": {
			&policy.Set{System: policy.Source{Document: system}, Cluster: policy.Source{Document: own}}, "/policies/prod.json",
		},
		"its own replaces the cluster's": {
			&policy.Set{
				Cluster:    policy.Source{Document: system},
				Namespaces: namespace("prod", policy.Source{Document: own}),
			},
			"/policies/prod.json",
		},
		"the cluster's broken one is not passed over": {
			&policy.Set{System: policy.Source{Document: system}, Cluster: broken}, "invalid character",
		},
		"the cluster's applies although the system policy is invalid": {
			&policy.Set{System: policy.Source{Err: errors.New("bad")}, Cluster: policy.Source{Document: own}},
			"/policies/prod.json",
		},
		"the cluster's is named and was not loaded": {
			&policy.Set{System: policy.Source{Document: system}, Cluster: policy.Source{Name: "/cluster.json"}}, "no document",
		},
		"an empty set": {&policy.Set{}, "no document"},
		"no set":       {nil, "no policy has been loaded"},
		"the directory cannot be read: all denied": {
			&policy.Set{System: policy.Source{Document: system}, Directory: errors.New("not mounted")}, "not mounted",
		},
		"the directory cannot be read, its own can": {
			&policy.Set{Namespaces: namespace("prod", policy.Source{Document: own}), Directory: errors.New("not mounted")},
			"not mounted",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := c.set.For("prod")
			if err == nil {
				if got.Name != c.want {
					t.Errorf("For(prod) = %s, want %s", got.Name, c.want)
				}
				return
			}
			refusal := (*policy.Refusal)(nil)
			if got != nil || !errors.As(err, &refusal) || refusal.Reason != policy.InvalidPolicy {
				t.Errorf("For(prod) = %v, %v, want nothing and a refusal for invalid policy", got, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("For(prod) returns %q, want %q", err, c.want)
			}
		})
	}
}

func TestNamespaceDefaultIsLikeAnyOther(t *testing.T) {
	n := newNode(t, rejectAll())
	n.set.Store(&policy.Set{
		System:     policy.Source{Document: document("/system.json", rejectAll())},
		Namespaces: map[string]policy.Source{"default": {Document: document("/default.json", acceptAnything())}},
	})
	decider := n.decider(t)
	q := ask(tagged)
	wantReason(t, decider.Decide(t.Context(), q), policy.Rejected)
	q.Namespace = "default"
	wantReason(t, decider.Decide(t.Context(), q), policy.Accepted)
}

func TestTheSystemPolicyAppliesToANamespaceWithoutADocument(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.set.Load().Namespaces = map[string]policy.Source{"dev": {Document: document("/dev.json", acceptAnything())}}
	decider := n.decider(t)
	inDev := ask(tagged)
	inDev.Namespace = "dev"
	wantReason(t, decider.Decide(t.Context(), inDev), policy.Accepted)
	verdict := decider.Decide(t.Context(), ask(tagged))
	wantReason(t, verdict, policy.Unsigned)
	if verdict.Document != "/system.json" {
		t.Errorf("decided by %q, want /system.json", verdict.Document)
	}
}

func TestAnInvalidDocumentIsNamedInTheVerdict(t *testing.T) {
	set := &policy.Set{Namespaces: map[string]policy.Source{
		"prod": {Name: "/policies/prod.json", Err: errors.New("invalid character")},
	}}
	_, err := set.For("prod")
	verdict := policy.Denial(err)
	if verdict.Reason != policy.InvalidPolicy || verdict.Document != "/policies/prod.json" || verdict.Admitted() {
		t.Errorf("%+v", verdict)
	}
}
