// Package format has the files that evidence consists of: signatures as containers/image's dir: transport has them, and
// Sigstore bundles. It checks their form and their size, and verifies no signature.
package format
