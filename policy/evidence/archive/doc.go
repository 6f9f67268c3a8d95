// Package archive reads and writes evidence in the forms in which images are carried from one place to another:
//
//   - an OCI image layout (image-spec v1.1, image-layout.md), in a directory or in a tar, with evidence as artifacts
//     whose subject is the image's manifest. [Write] writes such a tar; [Layout.Evidence] reads one that any tool has
//     made.
//   - what cosign save writes, which is such a directory too: signatures in the old format stand in index.json, and
//     Sigstore bundles are blobs that nothing in it leads to (cosign 3.1.3).
//   - what skopeo copy … dir:PATH writes: see [Directory].
//
// What is read is hostile: nothing is extracted, nothing outside the directory or tar is looked at, every blob is
// compared with its digest, and counts and sizes are bounded.
package archive
