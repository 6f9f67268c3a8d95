// Package rig is what the tests on nodes are written with: a node that requires countersign, the registry it pulls from
// and a daemon that is started when a test wants it; images whose marker is their name; and what a test says most
// often, that a pod runs on its image's own files or that it is refused for a reason, and that this is on record.
//
// Package [github.com/countersign/countersign/integration/node] boots what a test names and returns errors. This ends
// the test instead, and knows how countersign words a refusal. Each package of tests adds to a [Rig] what is its own:
// namespaces, policies, how images are signed.
package rig
