// Package containerd asks a running containerd about itself: which version it is, how it is configured, and what that
// configuration makes of countersign. It reads containerd's files and changes none of them.
package containerd
