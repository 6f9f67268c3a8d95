// Package daemon implements "countersign run": [Run] connects the parts of a decision, in the order in which a request
// passes them.
//
//  1. request   package nri: namespace, the pod's image reference, config digest
//  2. content   policy/origin: is the root filesystem that image's? its manifests, and the references it was pulled as
//  3. policy    policy/files: <directory>/<namespace>.json, else the system policy, parsed by policy/signature
//  4. evidence  policy/evidence: the signatures and bundles that this node stores for those manifests
//  5. verdict   policy: one reference for which every requirement of its scope is satisfied, as policy/signature and
//     policy/bundle evaluate it
//  6. answer    package nri: nil or "SignatureValidationFailed: …"; one record of it, and metrics
//
// Before that, when the image is pulled, containerd's image verifier (plugin/verifier) connects to the daemon's socket,
// and the gate of plugin/pull fetches the image's evidence and decides whether any document could admit it. For images
// that arrive on the node in another way, evidence is prefetched.
package daemon
