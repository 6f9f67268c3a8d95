package node_test

import (
	"os"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// guarded is a node that requires countersign, with the daemon running, a system policy that accepts everything, and a
// policy for the namespace prod that requires a signature by a key.
func guarded(t *testing.T) (lab, *node.Daemon, node.Key) {
	t.Helper()
	tools := node.NewTools(t)
	lab := lab{
		Node:     node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}}),
		registry: node.NewRegistry(t, node.RegistryConfig{Tools: tools}),
	}
	program, err := tools.BuildProgram(t.Context(), "./plugin/countersign", t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	key := key(t, tools)
	strict := node.Policy{Scopes: map[string]node.Requirement{lab.registry.Host: node.Cosign(key.Public)}}
	for namespace, policy := range map[string]node.Policy{"": {Default: node.Accept()}, "prod": strict} {
		if err := lab.WritePolicy(namespace, policy.JSON()); err != nil {
			t.Fatal(err)
		}
	}
	return lab, node.NewDaemon(t, lab.Node, node.DaemonConfig{Program: program}), key
}

func TestDaemonDecides(t *testing.T) {
	lab, daemon, key := guarded(t)
	signed, unsigned := lab.push(t, "app:v1", "signed"), lab.push(t, "app:v2", "unsigned")
	if err := lab.Tools.Sign(t.Context(), node.Signing{Image: signed, Key: key, OldFormat: true}); err != nil {
		t.Fatal(err)
	}
	if _, marker := lab.run(t, node.Container{Image: unsigned.Reference}); marker != "unsigned" {
		t.Errorf("a namespace that accepts anything runs %q", marker)
	}
	prod := func(image node.Pushed) node.Pod {
		return node.Pod{Namespace: "prod", Container: node.Container{Image: image.Reference}}
	}
	pod, err := lab.RunPodUntil(t.Context(), prod(signed))
	if err != nil {
		t.Fatal(err)
	}
	if marker, err := pod.Marker(t.Context()); err != nil || marker != "signed" {
		t.Errorf("a signed image runs %q, %v", marker, err)
	}
	if _, err := lab.RunPodUntil(t.Context(), prod(unsigned)); err == nil || !strings.Contains(err.Error(), "(unsigned)") {
		t.Errorf("an unsigned image: %v", err)
	}
	decision, err := daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Namespace == "prod" && d.Reference == unsigned.Reference && d.Reason == "unsigned"
	})
	if err != nil {
		t.Fatal(err)
	}
	if decision.Outcome != "deny" || decision.ConfigDigest != unsigned.Config.String() {
		t.Errorf("the decision is %+v", decision.Record)
	}
	if value, err := daemon.Metric(t.Context(), "countersign_nri_registered"); err != nil || value != 1 {
		t.Errorf("the metric is %v, %v", value, err)
	}
}

func TestDaemonEndsAndComesBack(t *testing.T) {
	lab, daemon, _ := guarded(t)
	app := lab.push(t, "app:v1", "v1")
	pod := node.Pod{Namespace: "dev", Container: node.Container{Image: app.Reference}}
	for how, end := range map[string]func(){
		"terminated": func() {
			if err := daemon.Terminate(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"killed": daemon.Kill,
	} {
		end()
		if daemon.Process() != nil {
			t.Errorf("it runs although it was %s", how)
		}
		if _, err := lab.RunPod(t.Context(), pod); err == nil {
			t.Errorf("a pod runs while the daemon is %s", how)
		}
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		if err := daemon.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := lab.RunPod(t.Context(), pod); err != nil {
			t.Errorf("once a daemon that was %s is back: %v", how, err)
		}
	}
}

func TestDaemonThatEndsByItselfSaysWhy(t *testing.T) {
	n := node.Start(t, node.Config{})
	program, err := n.Tools.BuildProgram(t.Context(), "./plugin/countersign", t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	config := node.DaemonConfig{Program: program, Settings: map[string]map[string]any{
		"enforce": {"mode": "nonsense"}, "listen": {"socket": nil},
	}}
	if _, err := n.StartDaemon(t.Context(), config); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a daemon that does not like its configuration: %v", err)
	}
	daemon, err := n.NewDaemon(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := os.ReadFile(daemon.ConfigFile())
	if err != nil || !strings.Contains(string(contents), "\nmode = 'nonsense'\n") {
		t.Errorf("the configuration lacks what was set: %s, %v", contents, err)
	}
	if strings.Contains(string(contents), "\nsocket = ") {
		t.Errorf("the configuration has what was removed: %s", contents)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	if code, err := daemon.Wait(t.Context()); err != nil || code == 0 {
		t.Errorf("it ended with %d, %v", code, err)
	}
}
