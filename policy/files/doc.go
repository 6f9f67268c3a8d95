// Package files reads policy documents from the disk of the node, and reads them again when they change.
//
// There is one document for the system, and DIRECTORY/NAMESPACE.json for each namespace that has its own, which then
// replaces the system's. Whatever else lies in the directory is not a document: editors' backups, dotfiles, what
// Kubernetes needs to mount a ConfigMap. [Documents.Current] is the snapshot that decisions work on; it is replaced
// whole, never changed.
//
// # When something is wrong
//
// A document that does not parse keeps its last good version, if this process has one, and else denies its own
// namespace and no other. A document that disappears gives its namespace the system's, but only once it has stayed
// away for a second, for editors rename. The system's document never disappears: its last good version stays.
//
// A directory that cannot be read, or that is empty although it held documents when it was last seen, is taken for a
// mount that is missing. At start that denies every namespace, because it is unknown which of them have a document of
// their own; later it changes nothing. That it held documents is remembered over restarts in a file of its own.
//
// # Watching
//
// Notifications are hints and nothing more: whatever they say, every file is looked at again, and one whose device,
// inode, size and times are as they were is not read. Key files named by documents are watched like documents. Once a
// minute everything is looked at without a hint, since mounts send none and queues overflow.
package files
