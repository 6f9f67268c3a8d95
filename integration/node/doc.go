// Package node boots throwaway Kubernetes nodes, without Kubernetes: containerd with its shim and runc, registries,
// cosign and countersign, each the real program, in a temporary directory. Tests, benchmarks and the demo share it.
//
// [BuildTools] builds the programs from the versions that integration/tools pins. [Boot] starts a node, [StartRegistry]
// a registry, [Tools.Image] makes an image that can tell its own name, [Registry.Push] uploads it, [Tools.Sign] signs
// it, [Node.RunPod] runs it by the very calls a kubelet would make, and [Node.StartDaemon] puts countersign in the way.
// Tests use [Start], [NewRegistry] and [NewDaemon], which clean up by themselves.
//
// Everything lives below one short directory in /tmp, containers below one cgroup, and both are swept when the node is
// closed. What a killed process left behind is swept by the next one that boots a node: see [Sweep].
package node
