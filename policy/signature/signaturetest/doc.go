// Package signaturetest makes signatures in the format of cosign 2, the one that containers/image verifies, for tests:
// by a key, or keyless with a certificate authority and a transparency log of the test's own.
//
//	sigstore := signaturetest.NewSigstore(t)
//	signature := sigstore.Sign(t, identity, "registry.example/app", manifest)
//	requirement := sigstore.Requirement(t, identity) // Of containers-policy.json(5).
//
// What belongs into a signature and how it is encoded was taken from containers/image's fixtures, which cosign and the
// public Fulcio and Rekor made, and its tests hold it to them. Everything in it is real but the trust in it: keys are
// made anew for each test, and no server is asked. [Image] puts signatures and bundles where a judge reads them.
package signaturetest
