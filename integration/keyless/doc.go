// Package keyless signs images in a registry without a key, as cosign did by Fulcio and Rekor before version 3: with a
// certificate for an e-mail address and an entry in a log, attached by the tag sha256-<hex>.sig.
//
// The real cosign signs so only with servers that issue certificates and keep a log, which are far away from here. So
// package [github.com/countersign/countersign/policy/signature/signaturetest] makes what those would answer, and this
// attaches it.
package keyless
