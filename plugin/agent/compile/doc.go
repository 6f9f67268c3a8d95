// Package compile makes policy documents from a node's system policy and the policies of a cluster.
//
// It is pure: the same input gives the same bytes, in whatever order the objects come. There are three layers, as in
// OpenShift's machine config operator:
//
//   - The system policy of the node is part of every document.
//   - A ClusterImagePolicy adds its scopes, in place of equal scopes of the system policy.
//   - An ImagePolicy adds its scopes to the document of its namespace, except those that a ClusterImagePolicy governs.
//
// Policies of one layer with the same scope are all required.
//
// A policy in audit mode is a requirement that is evaluated and reported, and refuses nothing. A scope of a document
// without an enforced requirement replaces nothing. A ClusterImagePolicy in audit mode governs nothing, and is reported
// for the scopes of namespaces that it would govern.
//
// A ClusterImagePolicy governs its scope and everything for which containers/image would select that scope: tags,
// digests and repositories in it, and hosts that its wildcard matches.
//
// No error makes a document looser. A policy that cannot be used, for example because a key cannot be parsed, refuses
// every image of its scopes, and says so in its status. The document for namespaces that have none of their own
// contains all ClusterImagePolicies, including those that select namespaces: a namespace that is not selected gets its
// own document, and until it has one it is governed by more, not by less.
package compile
