// Package verifier is what containerd runs before it downloads an image (io.containerd.image-verifier.v1.bindir): it
// asks the daemon whether any policy of this node could admit the image, and hands the answer back. While it waits, the
// daemon fetches the signatures, so that the first container of the image finds them there.
//
// It is started anew for each pull, so it is small: it imports nothing but the standard library, directly or not. It
// decides nothing itself but what becomes of a pull when the daemon gives no answer in time: that is for the
// operator to say ([pull] on_daemon_unavailable in config.toml).
package verifier
