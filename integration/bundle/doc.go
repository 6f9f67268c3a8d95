// Package bundle tests on a real node that what cosign 3 writes by default, Sigstore bundles that refer to an image, is
// judged by the same policies as the signatures of before: by key and without, under the name that the signer gave, and
// beside signatures in the old format.
package bundle
