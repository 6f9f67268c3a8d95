package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion returns the API group and version of the policies.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "policy.countersign.dev", Version: "v1alpha1"}
}

// AddToScheme registers the policies.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(),
		&ImagePolicy{}, &ImagePolicyList{}, &ClusterImagePolicy{}, &ClusterImagePolicyList{},
		&NodePolicyStatus{}, &NodePolicyStatusList{})
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
