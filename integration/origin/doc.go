// Package origin tests package policy/origin against a real containerd: over its socket, with its snapshots, image
// volumes and restarts. There is nothing in it but tests.
package origin
