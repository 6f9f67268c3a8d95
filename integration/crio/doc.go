// Package crio contains CRI-O's own 23 tests of signature policies by namespace (test/policy.bats of CRI-O 1.33),
// translated to containerd with countersign, and the example in CRI-O's announcement of these policies. The package
// contains only tests.
//
// CRI-O evaluates the policy at the pull and again at the creation of a container, countersign at the creation. So a
// result that CRI-O expects of a pull is expected here of a pod that was pulled in the same way. Where CRI-O's tests
// search its log for the path of the policy, these check document and scope in the audit record. The numbers in the
// tests are the positions of the cases in CRI-O's file. CRI-O's images are signed without keys; for each of them there
// is also one that is signed with a key.
package crio
