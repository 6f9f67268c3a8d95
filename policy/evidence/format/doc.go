// Package format defines the files of evidence: signatures in the format of containers/image's dir: transport, and
// Sigstore bundles. It validates their form and size, and does not verify signatures.
package format
