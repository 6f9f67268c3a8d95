// Package policy decides whether a container may be created from an image.
//
// The decision is a function of four inputs, each a value or a function of another package: the runtime's [Question],
// the [Image] that really runs (package origin), the [Document] of the pod's namespace (package files), and the
// signatures that this node stores (package evidence). The judges in the table of [Kinds] decide whether one
// [Requirement] of a document is met (packages signature and bundle).
//
// # Invariants
//
// The zero [Verdict] denies, and exactly one line in this package creates a verdict that admits. A decision uses one
// [Set] from beginning to end, however often documents are reloaded meanwhile. A failure is never cached and never
// becomes a different answer: "could not be determined" is not "does not exist".
//
// The package does no input or output and does not log: it returns verdicts, which its callers report.
package policy
