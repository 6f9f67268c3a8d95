package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodePolicyStatus reports which policies one node obeys. It has the name of the node, and only the agent of that node
// writes it. From these objects, one agent sums up the status of each policy: if every node wrote the status of every
// policy, each change would cost the API server as many writes as there are nodes, on one object.
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

	// status reports which policies the node obeys.
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

// NodePolicyReport lists the policies that a node obeys. It changes only with the policies, so an agent without news
// writes nothing.
type NodePolicyReport struct {
	// policies is a hash of the policies that the node obeys, with their generations. It equals the hash of the policies
	// of the cluster if the node obeys the current generation of each.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Policies string `json:"policies,omitempty"`
	// behind are the policies of which the node does not obey the current generation. If there are too many, some are
	// left out, and truncated is true.
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
	// problems are the reasons why documents on the node differ from what the policies require.
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

// NodePolicyProblem is a reason why a document on a node differs from what the policies require.
type NodePolicyProblem struct {
	// namespace is the namespace of the document. It is empty for the document of namespaces without one of their own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// reason is the kind of the problem, in one word.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message says what is wrong and what follows, in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}
