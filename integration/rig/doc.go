// Package rig is the base of the tests on nodes: a node that requires countersign, its registry, and a daemon that the
// test starts; images whose marker is their name; and the most frequent assertions: a pod runs on its image's own
// files, or it is refused for a reason, and the audit log has the decision.
//
// Package [github.com/countersign/countersign/integration/node] boots nodes and returns errors. This package ends the
// test instead, and knows the form of countersign's refusals. Each test package adds its own parts to a [Rig]:
// namespaces, policies, how images are signed.
package rig
