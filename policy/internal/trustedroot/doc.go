// Package trustedroot reads a Sigstore trusted root (trusted_root.json): certificate authorities, transparency logs and
// timestamp authorities, each with the period in which it was valid. Packages that judge signatures of different
// formats share it, so that a trusted root means the same in each format.
//
// sigstore-go parses the file, and verifies timestamps. Certificate transparency logs in the file are ignored: SCTs are
// not required, as in containers/image.
package trustedroot
