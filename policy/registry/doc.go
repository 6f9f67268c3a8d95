// Package registry talks to registries as this node's containerd and kubelet do: with containerd's resolver and its
// hosts.toml files, and with the node's credentials or those of one request. It knows nothing of policies or evidence.
//
// Registries are hostile. Answers are bounded, content is compared with its digest, and no registry may send the node
// to its own addresses or to a metadata service: see [Session]. A host that fails or asks for a pause is left alone for
// a while, for the registry under whose name it was asked.
package registry
