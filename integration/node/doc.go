// Package node boots throwaway Kubernetes nodes without Kubernetes: containerd with its shim and runc, registries,
// cosign and countersign, each the real program, in a temporary directory. Tests, benchmarks and the demo use it.
//
// [BuildTools] builds the programs from the versions that integration/tools pins. [Boot] starts a node, [StartRegistry]
// a registry. [Tools.Image] makes an image that prints its own name, [Registry.Push] uploads it, [Tools.Sign] signs it,
// [Node.RunPod] runs it with the calls that a kubelet makes, and [Node.StartDaemon] starts countersign. Tests use
// [Start], [NewRegistry], [NewDaemon] and [PrepareDaemon], which clean up when the test ends. Package rig combines
// them.
//
// A node runs one of several releases of containerd. COUNTERSIGN_CONTAINERD=2.3 in the environment makes all nodes run
// 2.3, and [Node.ReplaceContainerd] upgrades a node.
//
// Registries can use TLS, require passwords or tokens, and be mirrors of others: [RegistryConfig], [Node.WriteHosts].
// [Node.InstallVerifier] makes containerd call countersign before it pulls, and [Node.InstallCredentialProvider] gives
// countersign a plugin for credentials.
//
// In a test:
//
//	tools := node.NewTools(t)
//	registry := node.NewRegistry(t, node.RegistryConfig{Tools: tools})
//	n := node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}})
//	image, err := tools.Image("a marker")
//	pushed, err := registry.Push(t.Context(), "app:v1", image)
//	key, err := tools.GenerateKey(t.Context(), t.TempDir(), "cosign")
//	err = tools.Sign(t.Context(), node.Signing{Image: pushed, Key: key, OldFormat: true})
//	strict := node.Policy{Scopes: map[string]node.Requirement{registry.Host: node.Cosign(key.Public)}}
//	err = n.WritePolicy("prod", strict.JSON())
//	program, err := tools.BuildProgram(t.Context(), "./plugin/countersign", t.TempDir(), false)
//	daemon := node.NewDaemon(t, n, node.DaemonConfig{Program: program})
//	pod, err := n.RunPodUntil(t.Context(), node.Pod{
//		Namespace: "prod", Container: node.Container{Image: pushed.Reference},
//	})
//	marker, err := pod.Marker(t.Context()) // "a marker"
//	decisions, err := daemon.Decisions()
//
// Everything is below one short directory in /tmp, and containers below one cgroup; both are removed when the node is
// closed. The next process that boots a node removes what a killed process has left: see [Sweep].
package node
