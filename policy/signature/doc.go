// Package signature speaks containers-policy.json(5): it parses such documents into [policy.Document], and judges
// whether signatures in the formats of that family meet a [policy.Requirement]. Both are done by
// go.podman.io/image/v5, the library that CRI-O, Podman and Skopeo verify with, so that the same file has the same
// meaning here as there.
//
// A [Parser] adds three things to that library's parser. Equal lists of requirements, which a cluster's documents
// repeat in each of thousands of files, are parsed and kept once. Key files are read when the document is loaded, and
// their contents take the place of the paths, so that no decision reads a file whose contents may have changed. And a
// requirement that nothing can meet (its key file is missing, or holds no key) says so in [policy.Requirement].Problem
// instead of letting every image look wrongly signed.
//
// A [Judge] evaluates one requirement at a time on signatures that the node keeps in the layout of the dir: transport.
// It opens no connection and takes no manifest from that directory: it is given the bytes that run.
//
// The package must be built with the tag containers_image_openpgp: without it the library needs cgo and GPGME.
package signature
