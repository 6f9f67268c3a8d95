package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ImagePolicy says which signatures the images of one namespace need. It adds to the policies of the node and of the
// cluster, and replaces none of what a ClusterImagePolicy governs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=imagepolicies,scope=Namespaced,categories=policies
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.policy.rootOfTrust.policyType`
// +kubebuilder:printcolumn:name="Scopes",type=string,JSONPath=`.spec.scopes`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Nodes",type=string,JSONPath=`.status.nodes.summary`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ImagePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the policy requires of which images.
	// +required
	Spec ImagePolicySpec `json:"spec"`
	// status is the observed state of the policy.
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// ImagePolicyList is a list of ImagePolicies.
//
// +kubebuilder:object:root=true
type ImagePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImagePolicy `json:"items"`
}

// ClusterImagePolicy says which signatures images need in all namespaces, or in those that it selects. No ImagePolicy
// replaces it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clusterimagepolicies,scope=Cluster,categories=policies
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.policy.rootOfTrust.policyType`
// +kubebuilder:printcolumn:name="Scopes",type=string,JSONPath=`.spec.scopes`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Nodes",type=string,JSONPath=`.status.nodes.summary`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterImagePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the policy requires of which images in which namespaces.
	// +required
	Spec ClusterImagePolicySpec `json:"spec"`
	// status is the observed state of the policy.
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// ClusterImagePolicyList is a list of ClusterImagePolicies.
//
// +kubebuilder:object:root=true
type ClusterImagePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterImagePolicy `json:"items"`
}

// ImagePolicySpec is what a policy requires of which images.
type ImagePolicySpec struct {
	// scopes are the images: hosts, repositories, image names with a tag or a digest, or *.DOMAIN for all hosts below a
	// domain. Names are complete: docker.io/library/busybox, not busybox. The most specific scope that matches an image
	// applies, and all policies with that scope.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Scopes []ImageScope `json:"scopes"`
	// policy is what the images need.
	// +required
	Policy Policy `json:"policy"`
	// mode is enforce, or audit: then the policy refuses nothing, and what it would refuse is reported. Whatever applies
	// to the scopes without the policy still applies.
	// +optional
	// +kubebuilder:default=enforce
	Mode Mode `json:"mode,omitempty"`
}

// Mode is whether a policy is enforced.
//
// +kubebuilder:validation:Enum=enforce;audit
type Mode string

// The modes. Every value other than AuditMode, including the empty one, means EnforceMode.
const (
	EnforceMode Mode = "enforce"
	AuditMode   Mode = "audit"
)

// ClusterImagePolicySpec is what a policy requires of which images in which namespaces.
type ClusterImagePolicySpec struct {
	ImagePolicySpec `json:",inline"`
	// namespaceSelector selects the namespaces by their labels. Without it, the policy applies in all namespaces.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// ImageScope is a host, a repository, an image name with a tag or a digest, or *.DOMAIN.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="!self.contains('*') || self.matches('^\\\\*(\\\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$')",message="a wildcard is written *.DOMAIN, in lower case, without a port and a path"
// +kubebuilder:validation:XValidation:rule="self.contains('*') || self.split('/')[0].contains('.') || self.split('/')[0].contains(':') || self.split('/')[0] == 'localhost' || self.startsWith('[')",message="a scope begins with the host of a registry, such as docker.io/library/busybox instead of busybox"
// +kubebuilder:validation:XValidation:rule="!self.endsWith('/') && !self.contains('//') && !self.contains(' ')",message="a scope has no protocol, no empty path element and no space"
// +kubebuilder:validation:XValidation:rule="!(self.contains('@') && self.split('@')[0].matches('.*/.*:[^/]*$'))",message="a scope has a tag or a digest, not both"
// +kubebuilder:validation:XValidation:rule="!self.contains('@') || self.matches('.*@(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$')",message="a digest is sha256:, sha384: or sha512: and lower-case hexadecimal digits"
// +kubebuilder:validation:XValidation:rule="!self.contains('/') || self.matches('^[^/]+(/[a-z0-9]+((\\\\.|_|__|-+)[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[a-f0-9]+)?$')",message="a repository is in lower case, with path elements of letters, digits and single separators"
type ImageScope string

// PolicyStatus is the observed state of a policy.
type PolicyStatus struct {
	// conditions: Ready is True if the policy is in force as written; else its message says what is not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// nodes counts the nodes that obey the current generation of the policy.
	// +optional
	Nodes *PolicyNodes `json:"nodes,omitempty"`
}

// PolicyNodes counts the nodes that obey a policy.
type PolicyNodes struct {
	// current is the number of nodes that obey the current generation of the policy.
	// +optional
	Current int32 `json:"current,omitempty"`
	// total is the number of nodes that report which policies they obey.
	// +optional
	Total int32 `json:"total,omitempty"`
	// summary is both as CURRENT/TOTAL. kubectl prints it, because a column shows one field.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Summary string `json:"summary,omitempty"`
}
