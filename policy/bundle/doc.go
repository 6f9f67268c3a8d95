// Package bundle judges Sigstore bundles, in which cosign 3 signs, by the requirements of containers-policy.json(5).
package bundle
