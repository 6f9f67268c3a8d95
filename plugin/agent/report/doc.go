// Package report tells users what became of policies and images: a status of each node, the statuses of policies,
// events of pods, and reports about namespaces.
//
// Every agent writes the status of its node, at most every ten seconds. One agent, which holds a lease, sums them up.
// The rights that this needs, besides those of package watch:
//
// +kubebuilder:rbac:groups=policy.countersign.dev,resources=nodepolicystatuses,verbs=get;list;create;update
// +kubebuilder:rbac:groups=policy.countersign.dev,resources=clusterimagepolicies/status;imagepolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=wgpolicyk8s.io,resources=policyreports,verbs=get;create;update;delete
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=system,verbs=get;create;update
package report
