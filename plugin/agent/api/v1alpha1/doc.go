// Package v1alpha1 contains the policies that a cluster's users write: ImagePolicy for one namespace, and
// ClusterImagePolicy for all of them.
//
// The specification is that of OpenShift's kinds with the same names (config.openshift.io/v1), so that an object of
// theirs works here with another apiVersion. In addition, a root of trust can have several keys, GPG keys, or accept or
// reject every image, and a ClusterImagePolicy can select namespaces.
//
// +kubebuilder:object:generate=true
// +groupName=policy.countersign.dev
package v1alpha1
