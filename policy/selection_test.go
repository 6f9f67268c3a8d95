package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
)

func TestASelectionSaysWhatItPassedOver(t *testing.T) {
	for name, test := range map[string]struct {
		scopes []string
		want   policy.Selection
	}{
		"only the default": {nil, policy.Selection{IsDefault: true}},
		"no scope matches": {[]string{"other.example"}, policy.Selection{IsDefault: true}},
		"the transport's":  {[]string{""}, policy.Selection{PassedOver: []string{}}},
		"the repository's": {[]string{"a.example/b"}, policy.Selection{Scope: "a.example/b", PassedOver: []string{}}},
		"the most specific one": {[]string{"", "*.example", "a.example", "a.example/b", "a.example/c"}, policy.Selection{
			Scope: "a.example/b", PassedOver: []string{"a.example", "*.example", ""},
		}},
		"a scope that cannot match": {[]string{"https://a.example/b"}, policy.Selection{
			IsDefault: true, Missed: `scope "https://a.example/b" can never match: it starts with a protocol, and image ` +
				`references have none; write "a.example/b"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			list := []*policy.Requirement{{Kind: policy.Reject}}
			document := &policy.Document{
				Default: list, Scopes: map[string][]*policy.Requirement{}, Dead: map[string]*policy.DeadScope{},
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
