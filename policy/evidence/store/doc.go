// Package store stores the evidence of one node on disk: the signatures and bundles that were fetched or imported.
//
// Evidence is stored for one manifest (or index) in one repository, because anybody can put anything next to the same
// digest in another repository. Its directory can be read by containers/image's dir: transport:
//
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/record.json
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/set-<random>/signature-1 …
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/set-<random>/bundle-1.json …
//	<directory>/v1/<algorithm>/<hex>/<sha256 of the repository's name>/presence.json
//
// record.json names the current set and the hash of every file in it, and is replaced by a rename: a reader sees the
// old set or the new one. Files that met a requirement are in a second set, which the record names too: it only grows,
// and is not evicted, for as long as the image is on the node. Damaged evidence is treated as absent and fetched again.
// A superseded set is deleted after a delay, because a decision may be reading it. presence.json exists while an image
// is absent: see [Location.Expire].
//
// The store saves network requests, it is not trusted: decisions verify what they read. Lost evidence costs a fetch and
// never changes a verdict to a wrong one. If the disk is full or read-only, evidence is stored in a bounded directory
// in memory instead.
package store
