// Package signable checks that a signature on a manifest's digest covers the manifest that runs. It is a leaf package.
package signable
