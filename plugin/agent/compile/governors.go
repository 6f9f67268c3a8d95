package compile

import (
	"slices"
	"strings"

	"github.com/countersign/countersign/policy"
)

// governors returns the scopes that containers/image would look up for an image of a scope, from that scope on, the
// most specific first: a policy with any of them governs the scope. Tags, digests and ports are part of names, as in
// containers/image (docker/policyconfiguration, v5.42.0): example.com/a:v1 is in example.com/a, and example.com:5000 is
// not in example.com, although both are in *.com.
func governors(scope string) []string {
	witnesses := []string{scope + "/a", scope}
	if parent, ok := strings.CutPrefix(scope, "*."); ok {
		witnesses = []string{"a." + parent + "/a"}
	}
	for _, witness := range witnesses {
		ref, err := policy.Normalize(witness)
		if err != nil {
			continue
		}
		all := append([]string{ref.String()}, policy.RepositoryScopes(ref)...)
		if i := slices.Index(all, scope); i >= 0 {
			return all[i:]
		}
	}
	return nil
}
