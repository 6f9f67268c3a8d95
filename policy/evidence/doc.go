// Package evidence manages the evidence of one node: it looks up what is stored, fetches what is missing, and imports
// and expires evidence. Package store stores it, package fetch fetches it, package format defines its files, and
// package archive reads and writes the archives in which it is transferred between nodes.
//
// # Fetching
//
// [Keeper.Lookup] never waits. If nothing is stored it starts a fetch and reports [policy.Unknown]. [Keeper.Refetch]
// reports that a caller waits and that the stored evidence does not suffice: the registry is then asked again every 15
// seconds, for as long as a caller waits at least once a minute.
//
// What met a requirement stays: [Keeper.Satisfied] records it, and no fetch, import or limit removes it while the image
// is on the node. A failed fetch never replaces stored evidence, nor the answer that there is none. Nor does the
// removal of signatures from a registry: a signature is valid wherever it is stored, and removing it does not revoke
// it.
//
// # Importing
//
// [Keeper.Import] adds evidence from an archive, which is then stored in addition to what is fetched.
package evidence
