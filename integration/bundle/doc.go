// Package bundle tests on a real node that policies accept Sigstore bundles, which cosign 3 makes by default, like
// signatures in the old format: with and without a key, with the name from the signer, and in addition to signatures in
// the old format.
package bundle
