// Package signaturetest creates signatures in the format of cosign 2, which containers/image verifies, for tests: by a
// key, or keyless with a certificate authority and a transparency log of the test.
//
//	sigstore := signaturetest.NewSigstore(t)
//	signature := sigstore.Sign(t, identity, "registry.example/app", manifest)
//	requirement := sigstore.Requirement(t, identity) // A requirement of containers-policy.json(5).
//
// Their contents and encoding are those of containers/image's fixtures, which cosign and the public Fulcio and Rekor
// created; tests compare them. Only the trust is fake: keys are new in each test, and no server is used. [Image] stores
// signatures and bundles where a judge reads them.
package signaturetest
