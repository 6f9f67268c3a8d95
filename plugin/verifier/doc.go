// Package verifier implements the program that containerd runs before it downloads an image
// (io.containerd.image-verifier.v1.bindir): it asks the daemon whether any policy of this node could admit the image,
// and returns the answer. Meanwhile the daemon fetches the signatures, so that they are stored before the first
// container is created.
//
// containerd starts the program anew for each pull, so it is small. It decides only one thing itself: what happens to a
// pull if the daemon does not answer in time, which the operator configures ([pull] on_daemon_unavailable in
// config.toml).
package verifier
