// Package keyless signs images in a registry without a key, with a certificate for an e-mail address or a workflow. It
// attaches the signature under the tag sha256-<hex>.sig, as cosign did before version 3, or as a Sigstore bundle that
// refers to the image, as cosign does now.
//
// A [Deployment] has real servers of Fulcio, Rekor v2 and a timestamp authority, with which the real cosign signs. Only
// the OIDC issuer that vouches for signers is this package's own.
//
// Rekor v1 needs a database. For its signatures, and where a test changes what only the key of a log can sign, packages
// signaturetest and [github.com/countersign/countersign/policy/bundle/bundletest] make the responses of the servers,
// with sigstore-go's virtual Sigstore, and this package attaches the result.
package keyless
