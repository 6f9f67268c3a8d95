// Package write writes policy documents on a node: NAMESPACE.json in a directory, and the document for namespaces
// without one of their own. It knows nothing of Kubernetes.
//
// All documents of a change are first written under other names, several at a time, and made durable. Then the list of
// files is written, once, and the documents are put in place.
//
// It replaces and removes only what it has written. A list of these files, with a hash of each, is on disk before a
// file is: after a process was killed, the next one continues. A file that is not in the list, or is not as the list
// says, is somebody else's: it stays, and is a [Conflict]. One that changes while its document is written stays, too.
//
// A namespace is governed by its own document or else by that of the cluster, so the order of writes matters: first the
// documents of namespaces are written, then the cluster's is written or removed, then documents of namespaces are
// removed. So each namespace is governed by what governed it before or by what shall govern it, and by nothing else. If
// a step fails, those after it are not taken.
package write
