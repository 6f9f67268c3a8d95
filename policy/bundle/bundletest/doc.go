// Package bundletest creates Sigstore bundles in the format that cosign 3 writes, for tests: by a key, or keyless with
// a certificate authority, a transparency log and a timestamp authority of the test.
//
//	sigstore := bundletest.NewSigstore(t)
//	signed := sigstore.Sign(t, identity, manifest, "registry.example/app:v1").JSON(t)
//	requirement := sigstore.Requirement(t, identity) // A requirement of containers-policy.json(5).
//
// The authorities and the log are those of sigstore-go's pkg/testing/ca. Keys are new in each test, and no server is
// used. Tests compare the statements and their encoding with bundles by cosign 3.1.3.
package bundletest
