// Package lifecycle tests the life of a node with a real containerd: policies are added, changed, broken and deleted;
// images are pulled by one namespace and run by another, signed on the index or on the instance, signed late or never;
// registries, containerd, disks and the daemon itself fail and recover. It also runs the check command on a node, and
// on output of skopeo. The package contains only tests.
//
// Each group of cases has its own node, and the groups run in parallel.
package lifecycle
