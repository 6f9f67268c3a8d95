// Package reconcile turns the policies and namespaces of a cluster into documents on a node. It asks the API server
// nothing itself: a cache gives it objects, and a function confirms what is no longer there.
//
// What is there is obeyed at once. What is absent may be deleted, or a cache may be wrong: a CRD was deleted and with
// it every object, a permission is missing, an API server answers with an empty list. So an object that was obeyed once
// is obeyed until the API server confirms, in a read of its own, that the object does not exist, and that the CRD is
// the one under which the object was obeyed. Until then the object is held: its last version counts. A process that has
// just started knows which objects its predecessor obeyed, but not what they said: documents made from such objects
// stay as they are.
//
// The directory is never emptied, and the cluster's document is not removed, because the daemon takes that for a
// missing mount when it starts: when no namespace needs a document, kube-system has one that says what governs it
// anyway, and without a ClusterImagePolicy the cluster's document says what the system policy says.
package reconcile
