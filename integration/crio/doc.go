// Package crio holds no code but tests: CRI-O's own 23 of signature policies by namespace (test/policy.bats of CRI-O
// 1.33), translated to containerd with countersign, and the example that CRI-O's announcement of them gave.
//
// CRI-O judges at the pull and again at the creation of a container; countersign judges at the creation. So what CRI-O
// expects of a pull is expected of a pod here, pulled in the same way. Where CRI-O greps its log for the path of the
// policy in use, the record of the decision must name document and scope. The numbers in the tests are the positions of
// the cases in CRI-O's file. CRI-O's images are signed without keys; beside each stands one that is signed by a key.
package crio
