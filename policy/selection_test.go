package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
)

func TestASelectionSaysWhatItPassedOver(t *testing.T) {
	for name, test := range map[string]struct {
		scopes, audited []string
		want            policy.Selection
	}{
		"only the default": {want: policy.Selection{IsDefault: true}},
		"no scope matches": {scopes: []string{"other.example"}, want: policy.Selection{IsDefault: true}},
		"the transport's":  {scopes: []string{""}, want: policy.Selection{PassedOver: []string{}}},
		"the repository's": {
			scopes: []string{"a.example/b"}, want: policy.Selection{Scope: "a.example/b", PassedOver: []string{}},
		},
		"the most specific one": {
			scopes: []string{"", "*.example", "a.example", "a.example/b", "a.example/c"},
			want:   policy.Selection{Scope: "a.example/b", PassedOver: []string{"a.example", "*.example", ""}},
		},
		"one that enforces nothing, and two that do": {
			scopes: []string{"", "a.example", "a.example/b"}, audited: []string{"a.example/b"},
			want: policy.Selection{
				Scope: "a.example/b", Enforced: &policy.EnforcedScope{Scope: "a.example"}, PassedOver: []string{""},
			},
		},
		"two that enforce nothing, and the transport's": {
			scopes: []string{"", "a.example", "a.example/b"}, audited: []string{"a.example", "a.example/b"},
			want: policy.Selection{
				Scope: "a.example/b", Enforced: &policy.EnforcedScope{}, PassedOver: []string{"a.example"},
			},
		},
		"one that enforces nothing, and the document's default": {
			scopes: []string{"a.example/b"}, audited: []string{"a.example/b"},
			want: policy.Selection{
				Scope: "a.example/b", Enforced: &policy.EnforcedScope{IsDefault: true}, PassedOver: []string{},
			},
		},
		"a scope that cannot match": {scopes: []string{"https://a.example/b"}, want: policy.Selection{
			IsDefault: true, Missed: `scope "https://a.example/b" can never match: it starts with a protocol, and image ` +
				`references have none; write "a.example/b"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			list := []*policy.Requirement{{Kind: policy.Reject}}
			document := &policy.Document{
				Default: list, Scopes: map[string][]*policy.Requirement{}, Dead: map[string]*policy.DeadScope{},
				OnlyAudited: map[string]int{},
			}
			for _, scope := range test.audited {
				document.OnlyAudited[scope] = 1
			}
			for _, scope := range test.scopes {
				document.Scopes[scope] = list
				if dead := policy.CheckScope(scope); dead != nil {
					document.Dead[scope] = dead
				}
			}
			reference, err := policy.Normalize("a.example/b:v1")
			if err != nil {
				t.Fatal(err)
			}
			test.want.List = list
			got := document.Explain(reference)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if scope, _ := document.Select(reference); scope != got.Scope {
				t.Errorf("the scope is %q, but a decision selects %q", got.Scope, scope)
			}
		})
	}
}
