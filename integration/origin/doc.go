// Package origin tests package policy/origin with a real containerd: its socket, snapshots, image volumes and restarts.
// The package contains only tests.
package origin
