// Package fetch fetches the evidence of a manifest from registries, and from lookasides next to them.
//
// A [Fetcher] has three sources: cosign's signature tag, the referrers of the manifest, and the lookaside that
// registries.d names. Each is a [Source]. What was found counts although another source failed; that there is nothing
// takes all of them.
package fetch
