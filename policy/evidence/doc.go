// Package evidence keeps what this node knows of the signatures of its images, and fetches what it lacks.
//
// Signatures are kept for one manifest (or index) in one repository, for anyone may put anything next to the same
// digest elsewhere. They lie in a directory that containers/image's dir: transport reads:
//
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/record.json
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/set-<random>/signature-1 …
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/set-<random>/bundle-1.json …
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/presence.json
//
// record.json names the set that counts and the hash of every file in it, and is replaced by a rename: whoever reads
// has the old set or the new one. What is damaged in any way is absent, to be fetched again. A replaced set stays for
// a while, for a decision may be reading it. presence.json is there while an image is absent: see [Keeper.Expire].
//
// Nothing here is trusted: the store saves network, not cryptography. Losing evidence costs a fetch and never makes a
// wrong verdict, so a disk that is full or read-only is no error either: what cannot be kept there is kept in a
// bounded directory in memory.
//
// # Fetching
//
// [Keeper.Kept] never waits. Where nothing is stored it starts a fetch and reports that. [Keeper.Ask] tells that a
// caller waits and what is stored did not suffice: the registry is then asked again every 15 seconds for as long as a
// caller waits at least once a minute. Package fetch does the fetching.
//
// A failure never replaces what was found before, nor "looked and found none"; nor does the disappearance of
// signatures that were found, for they prove themselves and their removal revokes nothing.
//
// # Carrying
//
// [List] reads what is stored, whichever process stores it, and [Keeper.Import] adds what was carried here from
// elsewhere, which then stays in addition to what is fetched. Package archive reads and writes the forms in which it is
// carried, and package format has the files themselves.
package evidence
