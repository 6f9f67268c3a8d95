// Package signature implements containers-policy.json(5): it parses such documents into [policy.Document], and judges
// whether signatures in the formats of that family meet a [policy.Requirement]. Both use go.podman.io/image/v5, the
// library of CRI-O, Podman and Skopeo, so that the same file has the same meaning.
//
// A [Parser] adds three things to that library's parser. Equal lists of requirements, which repeat in thousands of
// documents of a cluster, are parsed and stored once. Key files are read when the document is loaded, and their
// contents replace the paths, so no decision reads a file that may have changed. And a requirement that nothing can
// meet (its key file is missing, or contains no key) has a [policy.Requirement].Problem instead of rejecting every
// signature.
//
// A [Judge] evaluates one requirement at a time with signatures that the node stores in the layout of the dir:
// transport. It opens no connection and does not use a manifest in that directory: the caller passes the bytes that
// run.
//
// The package must be built with the tag containers_image_openpgp: without it the library needs cgo and GPGME.
package signature
