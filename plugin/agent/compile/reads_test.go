package compile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
)

// TestAPolicyIsReadAgainOnlyIfItHasChanged: a compiler that continues another one makes the documents that a new one
// makes.
func TestAPolicyIsReadAgainOnlyIfItHasChanged(t *testing.T) {
	policy := func(uid apitypes.UID, generation int64, scopes ...v1alpha1.ImageScope) v1alpha1.ImagePolicy {
		p := v1alpha1.ImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: uid, Generation: generation}}
		p.Spec.Scopes = scopes
		p.Spec.Policy.RootOfTrust.PolicyType = v1alpha1.RejectType
		return p
	}
	namespace, accept := compile.Namespace{Name: "a"}, []byte(acceptAll)
	governs := v1alpha1.ClusterImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	governs.Spec.ImagePolicySpec = policy("", 1, "a.example").Spec
	var last *compile.Compiler
	for i, test := range []struct {
		cluster []v1alpha1.ClusterImagePolicy
		policy  v1alpha1.ImagePolicy
	}{
		{nil, policy("1", 1, "a.example", "b.example", "c/UPPER")},
		{[]v1alpha1.ClusterImagePolicy{governs}, policy("1", 1, "a.example", "b.example", "c/UPPER")},
		{nil, policy("1", 1, "a.example", "b.example", "c/UPPER")},
		{nil, policy("1", 2, "d.example")},
		{nil, policy("2", 2, "e.example")},
		{nil, policy("", 2, "f.example")},
		{nil, policy("", 2, "g.example")},
	} {
		fresh, err := compile.New(accept, test.cluster)
		if err != nil {
			t.Fatal(err)
		}
		if last, err = last.With(accept, test.cluster); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			want, _ := fresh.Namespace(namespace, []v1alpha1.ImagePolicy{test.policy})
			got, err := last.Namespace(namespace, []v1alpha1.ImagePolicy{test.policy})
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("document %d: %v (-want +got):\n%s", i, err, diff)
			}
		}
	}
}
