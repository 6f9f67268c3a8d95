package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
)

func TestWarningsAboutADocument(t *testing.T) {
	const own policy.Kind = "own"
	kinds := policy.Kinds{own: {Parse: func([]byte) error { return nil }}}
	signed := &policy.Requirement{Kind: policy.SigstoreSigned}
	accept := &policy.Requirement{Kind: policy.InsecureAcceptAnything}
	reject := &policy.Requirement{Kind: policy.Reject}
	baseLayerSigned := &policy.Requirement{Kind: policy.SignedBaseLayer}
	keyless := &policy.Requirement{Kind: policy.SignedBy, Problem: "no key"}
	list := func(requirements ...*policy.Requirement) []*policy.Requirement { return requirements }
	const (
		extension = "requirement 1 (own) is an extension of countersign: podman, skopeo and CRI-O do not load this document"
		noEffect  = " has no effect, because an image must meet every requirement of the list"
		refuses   = " refuses every image, so that the other requirements have no effect"
		baseLayer = " can never be met: no tool implements it; use sigstoreSigned or signedBy"
	)
	for name, test := range map[string]struct {
		list []*policy.Requirement
		want []string
	}{
		"one requirement of a kind":   {list(signed), nil},
		"two signatures are required": {list(signed, signed), nil},
		"everything is accepted":      {list(accept), nil},
		"everything is refused":       {list(reject), nil},
		"acceptance has no effect":    {list(signed, accept), []string{"requirement 2 (insecureAcceptAnything)" + noEffect}},
		"a signature does not help":   {list(signed, reject), []string{"requirement 2 (reject)" + refuses}},
		"no tool implements it":       {list(baseLayerSigned), []string{"requirement 1 (signedBaseLayer)" + baseLayer}},
		"its key cannot be read":      {list(keyless), []string{"requirement 1 (signedBy) can never be met: no key"}},
		"other tools do not load it":  {list(&policy.Requirement{Kind: own}), []string{extension}},
		"an extension without a key": {
			list(&policy.Requirement{Kind: own, Problem: "no key"}),
			[]string{"requirement 1 (own) can never be met: no key", extension},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want []policy.Warning
			for _, at := range []policy.Warning{{IsDefault: true}, {Scope: ""}, {Scope: "registry.example"}} {
				for _, text := range test.want {
					want = append(want, policy.Warning{Scope: at.Scope, IsDefault: at.IsDefault, Text: text})
				}
			}
			document := &policy.Document{Default: test.list, Scopes: map[string][]*policy.Requirement{
				"registry.example": test.list, "": test.list,
			}}
			if diff := cmp.Diff(want, kinds.Warnings(document)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAScopeThatMatchesNothingIsAWarning(t *testing.T) {
	const scope = "https://registry.example"
	list := []*policy.Requirement{{Kind: policy.Reject}}
	document := &policy.Document{
		Default: list, Scopes: map[string][]*policy.Requirement{scope: list},
		Dead: map[string]*policy.DeadScope{scope: policy.CheckScope(scope)},
	}
	want := []policy.Warning{{Scope: scope, Text: "no image reference matches this scope: it starts with a protocol, " +
		`and image references have none; write "registry.example"`}}
	if diff := cmp.Diff(want, policy.Kinds{}.Warnings(document)); diff != "" {
		t.Error(diff)
	}
}

// TestWarningsAreAboutWhatTheFileSays, not about what is enforced in a scope that enforces nothing.
func TestWarningsAreAboutWhatTheFileSays(t *testing.T) {
	reject := []*policy.Requirement{{Kind: policy.Reject}}
	signed := &policy.Requirement{Kind: policy.SigstoreSigned, Audit: true}
	document := &policy.Document{
		Default: reject, Scopes: map[string][]*policy.Requirement{"registry.example": {signed, reject[0]}},
		OnlyAudited: map[string]int{"registry.example": 1},
	}
	for _, warning := range (policy.Kinds{}).Warnings(document) {
		t.Errorf("%+v", warning)
	}
}
