// Package audit writes one record of each decision, for the operator of the node: who asked, what was judged, by
// which rule, and what became of the container.
//
// The record is a log record with the message "decision" and always the same keys, empty where there is nothing to
// say. It is written whatever level the daemon's log is set to: a node that must not talk still has to account for
// what it admitted. Unlike the text of an event, it names references, documents and keys that the author of the pod may
// not know of.
package audit
