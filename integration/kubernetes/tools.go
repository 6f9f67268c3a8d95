package kubernetes

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// Tools are the programs of a cluster: etcd, kube-apiserver, kube-controller-manager, kubectl, kubelet, crictl, and a
// runc with seccomp.
type Tools struct{ *node.Tools }

// BuildTools builds the programs that are not yet in the cache. Without any caches it takes some ten minutes on two
// processors.
func BuildTools(ctx context.Context, progress io.Writer) (*Tools, error) {
	const module, kubernetes = "integration/tools/kubernetes", "k8s.io/kubernetes/cmd/"
	tools, err := node.BuildPrograms(ctx, []node.Recipe{
		{Name: "etcd", Package: "go.etcd.io/etcd/server/v3", Module: module},
		{Name: "kube-apiserver", Package: kubernetes + "kube-apiserver", Module: module},
		{Name: "kube-controller-manager", Package: kubernetes + "kube-controller-manager", Module: module},
		{Name: "kubectl", Package: kubernetes + "kubectl", Module: module},
		{Name: "kubelet", Package: kubernetes + "kubelet", Module: module},
		{Name: "crictl", Package: "sigs.k8s.io/cri-tools/cmd/crictl", Module: module},
		// The kubelet has the profile RuntimeDefault applied to each sandbox, which the node's own runc cannot.
		{
			Name: "runc", Package: "github.com/opencontainers/runc", Tags: "seccomp", Cgo: true,
			Library: "libseccomp", LibraryPackage: "libseccomp-dev",
		},
	}, progress)
	if err != nil {
		return nil, err
	}
	return &Tools{tools}, nil
}

// NewTools returns the tools for a test. If no node can be booted on this machine, it skips the test, or fails it if
// the environment variable CI is true.
func NewTools(t testing.TB) *Tools {
	t.Helper()
	node.NewTools(t)
	tools, err := BuildTools(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return tools
}

// Start boots a cluster for a test. When the test ends, the cluster is closed; if the test failed, the end of its logs
// is printed.
func Start(t testing.TB, config Config) *Cluster {
	t.Helper()
	cluster, err := Boot(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the kubelet:\n%s", node.Tail(cluster.Log("kubelet")))
		}
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}
