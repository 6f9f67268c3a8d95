package kubernetes_test

import (
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// protected configures a registry that requires tokens. The node has no credentials for it.
func protected() node.RegistryConfig {
	return node.RegistryConfig{Username: "ann", Password: "ann-7f3a", Tokens: true}
}

// secret writes a secret with a docker config.json.
func (l *lab) secret(t *testing.T, namespace, name, contents string) {
	t.Helper()
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
		"metadata":   kubernetes.Object{"namespace": namespace, "name": name},
		"stringData": kubernetes.Object{".dockerconfigjson": contents},
	}))
}

// withSecrets is the part of a pod that names its imagePullSecrets.
func withSecrets(names ...string) kubernetes.Object {
	list := []any{}
	for _, name := range names {
		list = append(list, kubernetes.Object{"name": name})
	}
	return kubernetes.Object{"imagePullSecrets": list}
}
