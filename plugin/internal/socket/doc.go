// Package socket is the interface between the daemon and this node's other programs: HTTP/1.1 over a unix socket that
// only root may use, with JSON requests and answers. containerd's image verifier asks whether a pull is allowed;
// commands request checks and fetch and import evidence.
//
// It imports only the standard library and a leaf package, because the verifier, which is started for each pull, links
// it.
//
// The versions of both ends may differ: unknown fields are ignored, and a program that requires a field returns an
// error if it is missing.
package socket
