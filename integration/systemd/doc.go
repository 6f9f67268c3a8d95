// Package systemd boots machines with a real systemd for tests: a Debian root, in which systemd is the first process of
// its own namespaces, and a real containerd is one of its services. "countersign install" works there as on a node.
package systemd
