// Package layers has the tests of images with the same layers: on a node whose containerd does not report which image a
// container runs, an unsigned image with the layers of a signed one in the same repository never runs a process.
//
// The attacks run on each release of containerd, because each of them has to refuse. On releases that report images the
// validation refuses; on the others some attacks pass it, and the check at the start refuses.
package layers
