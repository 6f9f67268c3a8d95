// Package policy decides whether a container may be created from an image.
//
// The decision is a function of four things, each of them a value or a function that another package provides: the
// [Question] the runtime asks, the [Image] that really runs (package origin), the [Document] that governs the pod's
// namespace (package files), and the signatures that this node stores (package evidence). The judges in the table of
// [Kinds] decide whether one [Requirement] of a document is met (packages signature and bundle).
//
// # What holds
//
// The zero [Verdict] denies, and there is exactly one line in this package that makes a verdict that admits. A
// decision works on one [Set] from beginning to end, however often documents are reloaded meanwhile. A failure to
// find out is never cached and never turned into an answer of another kind: "could not look" is not "looked and
// found nothing".
//
// The package does no input or output and does not log: it returns verdicts, and those who asked report them.
package policy
