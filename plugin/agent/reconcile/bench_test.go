package reconcile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
)

// BenchmarkAPolicyOfTheCluster applies and deletes a ClusterImagePolicy on a node with 5,000 documents, which all
// change, until they are on disk.
func BenchmarkAPolicyOfTheCluster(b *testing.B) {
	const count = 5000
	n := newNode(b)
	for i := range count {
		name := fmt.Sprintf("many-%d", i)
		n.objects.Namespaces = append(n.objects.Namespaces, namespace(name, nil))
		n.objects.Policies = append(n.objects.Policies, signed(b, name))
	}
	without := []v1alpha1.ClusterImagePolicy{cluster("guard")}
	n.objects.Cluster = without
	n.reconcile(b)
	for b.Loop() {
		n.objects.Cluster = append(without[:1:1], cluster("two"))
		n.reconcile(b)
		n.objects.Cluster = without
		n.reconcile(b)
	}
	if got := n.outcome.Documents; got != count+1 || n.outcome.Problems != nil {
		b.Errorf("there are %d documents and the problems %+v, want %d", got, n.outcome.Problems, count+1)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(2*b.N), "s/change")
}

// signed is an ImagePolicy with ten scopes and a key of its own.
func signed(b *testing.B, namespace string) v1alpha1.ImagePolicy {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	policy := v1alpha1.ImagePolicy{ObjectMeta: meta(namespace, "signed")}
	policy.Spec.Policy.RootOfTrust = v1alpha1.RootOfTrust{
		PolicyType: v1alpha1.PublicKeyType,
		PublicKey:  &v1alpha1.PublicKey{KeyData: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})},
	}
	for i := range 10 {
		scope := fmt.Sprintf("registry.example/%s/app-%d", namespace, i)
		policy.Spec.Scopes = append(policy.Spec.Scopes, v1alpha1.ImageScope(scope))
	}
	return policy
}
