// Package files reads policy documents from the disk of the node, and reads them again when they change.
//
// The documents are the system policy, the cluster document, which need not exist and replaces the system policy, and
// DIRECTORY/NAMESPACE.json for each namespace with a document of its own, which replaces both. Other files in the
// directory are ignored: backups of editors, hidden files, and the links that Kubernetes needs to mount a ConfigMap.
// [Documents.Current] is the snapshot that decisions use; it is replaced as a whole, and never modified.
//
// # Problems
//
// If a document is invalid, its last good version stays in force, if this process has one; otherwise its own namespace
// is denied, and no other. If a document disappears, the system policy applies to its namespace, but only after the
// document has been missing for a second, because editors rename files. If the system policy disappears, its last good
// version stays in force.
//
// A directory that cannot be read, or that is empty although it contained documents, is treated as a missing mount. At
// start that denies every namespace, because it is unknown which of them have a document; later it changes nothing. A
// file of its own records over restarts that the directory contained documents.
//
// The same applies to the cluster document. A missing one that existed before was deleted if this process sees it
// disappear from its directory; if it is missing at start, or together with its directory, it is treated as a missing
// mount.
//
// # Watching
//
// Events only trigger a check: regardless of their content, every file is checked with stat, and a file whose device,
// inode, size and times are unchanged is not read. Key files that documents name are watched like documents. Once a
// minute all files are checked without an event, because mounts cause none and queues overflow.
package files
