// Package audit writes one record of each decision, for the operator of the node: the request, the verdict, the rule
// that decided, and what happened to the container.
//
// The record is a log record with the message "decision". It always has the same keys, which are empty if there is no
// value. It is written at every log level: a node with a quiet log must still account for what it admitted. Unlike the
// text of an event, it contains references, documents and keys that the author of the pod may not know of.
package audit
