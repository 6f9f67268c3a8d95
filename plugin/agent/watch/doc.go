// Package watch gives the agent the policies and namespaces of a cluster: from a cache that follows the API server, and
// answers of the API server itself about what the cache does not have.
//
// An etcd that was restored from a snapshot has older revisions than the cache, and the API server accepts a watch from
// a revision in its future without a word: it would report nothing until it gets there. So the cache compares revisions
// whenever it begins to watch, and lists everything again if time went back. Every list is a consistent read, because
// one from an API server's own cache may be older than what was seen before.
//
// The agent needs to get, list and watch the policies and namespaces, and to get the two CRDs:
//
// +kubebuilder:rbac:groups=policy.countersign.dev,resources=clusterimagepolicies;imagepolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=clusterimagepolicies.policy.countersign.dev;imagepolicies.policy.countersign.dev,verbs=get
package watch
