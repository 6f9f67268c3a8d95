// Package keyless signs images in a registry without a key, by Fulcio and Rekor: with a certificate for an e-mail
// address and an entry in a log. It attaches that as cosign did before version 3, by the tag sha256-<hex>.sig, or as
// cosign does now, as a Sigstore bundle that refers to the image.
//
// The real cosign signs so only with servers that issue certificates and keep a log, which are far away from here. So
// packages [github.com/countersign/countersign/policy/signature/signaturetest] and
// [github.com/countersign/countersign/policy/bundle/bundletest] make what those would answer, and this attaches it.
package keyless
