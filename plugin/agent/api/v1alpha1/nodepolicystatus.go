package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodePolicyStatus is which policies one node obeys. Its name is the name of the node, whose agent writes it; nobody
// else edits it. From these objects, one agent sums up the status of each policy: if every node wrote the status of
// every policy, each change would cost the API server as many writes as there are nodes, on one object.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=nodepolicystatuses,scope=Cluster
// +kubebuilder:printcolumn:name="Documents",type=integer,JSONPath=`.status.documents`
// +kubebuilder:printcolumn:name="Problems",type=integer,JSONPath=`.status.problemCount`
// +kubebuilder:printcolumn:name="Policies",type=string,JSONPath=`.status.policies`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodePolicyStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// status is which policies the node obeys.
	// +optional
	Status NodePolicyReport `json:"status,omitempty"`
}

// NodePolicyStatusList is a list of NodePolicyStatuses.
//
// +kubebuilder:object:root=true
type NodePolicyStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodePolicyStatus `json:"items"`
}

// NodePolicyReport is which policies a node obeys. It changes only with the policies, so an agent that has nothing new
// to say writes nothing.
type NodePolicyReport struct {
	// policies is a hash of the policies that the node obeys, with their generations. It equals the hash of the policies
	// of the cluster if the node obeys all of them as they are now.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Policies string `json:"policies,omitempty"`
	// behind are the policies that the node does not obey as they are now, or a part of them if there are many; truncated
	// is true then.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Behind []PolicyGeneration `json:"behind,omitempty"`
	// truncated is true if more policies are behind than are listed.
	// +optional
	Truncated bool `json:"truncated,omitempty"`
	// documents is the number of policy documents on the node that the agent has written.
	// +optional
	Documents int32 `json:"documents,omitempty"`
	// problemCount is the number of problems, of which the first are listed.
	// +optional
	ProblemCount int32 `json:"problemCount,omitempty"`
	// problems are why documents on the node are not those that the policies ask for.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Problems []NodePolicyProblem `json:"problems,omitempty"`
}

// PolicyGeneration is a version of a policy.
type PolicyGeneration struct {
	// namespace is the namespace of an ImagePolicy. It is empty for a ClusterImagePolicy.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// name is the name of the policy.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// generation is the version of the policy that the node obeys. It is 0 if the node obeys none.
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// NodePolicyProblem is why a document on a node is not the one that the policies ask for.
type NodePolicyProblem struct {
	// namespace is the namespace of the document. It is empty for the document of namespaces without one of their own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// reason is why, in one word.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message says what is wrong and what follows, in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}
