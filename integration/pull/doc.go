// Package pull tests what happens before a container is created: containerd's image verifier asks the daemon about each
// pull, which fetches the evidence and refuses what no namespace of the node may run; images that come by other ways
// have their evidence fetched ahead; and a node without its registries goes on deciding.
package pull
