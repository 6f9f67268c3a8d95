// Package bundletest makes Sigstore bundles of the form that cosign 3 writes, for tests: by a key, or keyless with a
// certificate authority, a transparency log and a timestamp authority of the test's own.
//
//	sigstore := bundletest.NewSigstore(t)
//	signed := sigstore.Sign(t, identity, manifest, "registry.example/app:v1").JSON(t)
//	requirement := sigstore.Requirement(t, identity) // Of containers-policy.json(5).
//
// The authorities and the log are those of sigstore-go's pkg/testing/ca; keys are made anew for each test, and no
// server is asked. What is signed and how it is encoded is compared with bundles that cosign 3.1.3 made.
package bundletest
