// Package keyless signs images in a registry without a key, with Fulcio and Rekor: with a certificate for an e-mail
// address and an entry in a log. It attaches the signature under the tag sha256-<hex>.sig, as cosign did before version
// 3, or as a Sigstore bundle that refers to the image, as cosign does now.
//
// For such signatures the real cosign needs servers that issue certificates and keep a log, which tests cannot reach.
// Therefore packages [github.com/countersign/countersign/policy/signature/signaturetest] and
// [github.com/countersign/countersign/policy/bundle/bundletest] make the responses of these servers, and this package
// attaches the result.
package keyless
