// Package containerd reads from a running containerd its version and its configuration, and what that configuration
// means for countersign. It reads containerd's files and changes none of them.
package containerd
