// Package fetch signs images in real registries with the real cosign, and checks that package evidence finds the
// signatures: in distribution, which has no referrers API, and in go-containerregistry, which has it; with TLS, with
// tokens and through a pull-through mirror. The tests need no node.
package fetch
