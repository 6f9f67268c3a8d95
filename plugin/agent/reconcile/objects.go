package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
)

// Namespace is a namespace of the cluster.
type Namespace struct {
	compile.Namespace
	UID types.UID
}

// Objects are the policies and namespaces of a cluster, as a cache has them.
type Objects struct {
	Cluster    []v1alpha1.ClusterImagePolicy
	Policies   []v1alpha1.ImagePolicy
	Namespaces []Namespace
}

// Kind is a kind of objects.
type Kind string

// The kinds.
const (
	ClusterKind   Kind = "ClusterImagePolicy"
	PolicyKind    Kind = "ImagePolicy"
	NamespaceKind Kind = "Namespace"
)

const (
	// everywhere is the namespace of a ClusterImagePolicy, and of the cluster's document.
	everywhere = ""
	// kubeSystem is a namespace that every cluster has.
	kubeSystem = "kube-system"
)

// ID names an object.
type ID struct {
	Kind            Kind
	Namespace, Name string
}

// Confirmation is what the API server says about objects that a cache does not have.
type Confirmation struct {
	// Gone are the objects that do not exist.
	Gone map[ID]bool
	// CRDs are the UIDs of the CRDs that exist and are not being deleted, by kind.
	CRDs map[Kind]types.UID
}

// Confirm asks the API server, not a cache, about objects, and about the CRDs of policies.
type Confirm func(ctx context.Context, absent []ID) (Confirmation, error)

// version is a version of an object.
type version struct {
	uid        types.UID
	generation int64
}

// obeyed is a policy that is obeyed.
type obeyed struct {
	version
	// crd is the UID of the CRD under which the policy was seen. It is empty if that is not known.
	crd types.UID
	// One of these is set, unless only an earlier process has seen the policy.
	cluster *v1alpha1.ClusterImagePolicy
	policy  *v1alpha1.ImagePolicy
}

func (o obeyed) unknown() bool { return o.cluster == nil && o.policy == nil }

// present returns the policies of a cache.
func (o Objects) present() map[ID]obeyed {
	found := make(map[ID]obeyed, len(o.Cluster)+len(o.Policies))
	for i := range o.Cluster {
		p := &o.Cluster[i]
		found[ID{ClusterKind, "", p.Name}] = obeyed{version: version{p.UID, p.Generation}, cluster: p}
	}
	for i := range o.Policies {
		p := &o.Policies[i]
		found[ID{PolicyKind, p.Namespace, p.Name}] = obeyed{version: version{p.UID, p.Generation}, policy: p}
	}
	return found
}

// Hash is a hash of policies and their generations.
func Hash(policies map[ID]int64) string {
	hash := sha256.New()
	for _, id := range slices.SortedFunc(maps.Keys(policies), compareIDs) {
		fmt.Fprintf(hash, "%s %s/%s %d\n", id.Kind, id.Namespace, id.Name, policies[id])
	}
	return hex.EncodeToString(hash.Sum(nil))
}
