// Package fetch has the real cosign sign images in real registries, and package evidence find what it has attached: in
// distribution, which has no referrers API, and in go-containerregistry, which has it; by TLS, by tokens and through a
// pull-through mirror. Nothing here needs a node.
package fetch
