// Package doctor checks everything that can silently disable enforcement on a node, or stop the node. It works while
// the daemon is down.
//
// [Read] reads what the checks need from the node, once. A check is a function of that and nothing else: see [Checks].
package doctor
