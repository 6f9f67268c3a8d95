// Package lifecycle holds what happens to a node over time, on a real containerd: policies come, change, break and go;
// images are pulled by one namespace and run by another, signed on the index or on the instance, signed late or never;
// registries, containerd, disks and the daemon itself fail and come back. It also asks the program's check command of a
// node, and of what skopeo writes. Its only code is its tests.
//
// Each group of cases has a node of its own, and the groups run side by side.
package lifecycle
