// Package pull tests what happens before a container is created: containerd's image verifier calls the daemon for each
// pull; the daemon fetches the evidence, and refuses images that no namespace on the node may run. The daemon
// prefetches the evidence of images that arrive in other ways. A node without its registries continues to decide.
package pull
