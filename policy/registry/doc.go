// Package registry talks to registries as this node's containerd and kubelet do: with containerd's resolver and its
// hosts.toml files, and with the node's credentials or those of one request. It does not depend on policies or
// evidence.
//
// Registries are hostile. Answers are limited in size, content is compared with its digest, and no registry may
// redirect the node to its own addresses or to a metadata service: see [Session]. A host that fails or sends
// Retry-After gets no requests for a while, for the registry under whose name it was called.
package registry
