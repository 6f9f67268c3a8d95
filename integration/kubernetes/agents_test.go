package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// agent is an agent of a node. Only the first node has a daemon and a kubelet.
type agent struct {
	name, directory, cluster string
	// metrics is the URL of its metrics.
	metrics string
	program node.Program
	process *node.Process
}

// fleet is a cluster with an agent for each of two nodes. The agents have the permissions of the chart.
type fleet struct {
	*lab
	agents []*agent
}

const clusterDocument = "cluster.json"

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{lab: newLab(t, labConfig{
		Cluster: clusterDocument, Controllers: []string{"namespace-controller"}, RBAC: true,
	})}
	f.applyChart(t)
	rig.OK(t, f.cluster.Apply(t.Context(), kubernetes.Namespace(team), policyReports()))
	kubeconfig := rig.Must(f.cluster.KubeconfigOf(t.Context(), chartNamespace, agentAccount))(t)
	program := rig.Must(kubernetes.BuildAgent(t.Context(), t.TempDir(), os.Stderr))(t)
	second := t.TempDir()
	f.agents = []*agent{
		{name: kubernetes.NodeName, directory: f.PolicyDirectory(), cluster: f.Path(clusterDocument)},
		{name: "node-2", directory: filepath.Join(second, "policies"), cluster: filepath.Join(second, clusterDocument)},
	}
	for _, a := range f.agents {
		state, metrics := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", rig.Must(node.FreePort(t.Context()))(t))
		a.metrics = "http://" + metrics + "/metrics"
		a.program = node.Program{Path: program, Log: f.Path("log", "agent-"+a.name+".log"), Arguments: []string{
			"--node-name=" + a.name, "--kubeconfig=" + kubeconfig, "--directory=" + a.directory,
			"--cluster-document=" + a.cluster, "--system-policy=" + f.SystemPolicy(), "--state=" + state,
			"--socket=" + f.Daemon.Socket(), "--leader-election-namespace=" + chartNamespace,
			"--metrics-bind-address=" + metrics,
		}}
		f.start(t, a)
		t.Cleanup(func() {
			a.process.Kill()
			if t.Failed() {
				t.Logf("log of the agent of %s:\n%s", a.name, node.Tail(a.program.Log))
			}
		})
	}
	return f
}

func (f *fleet) start(t *testing.T, a *agent) {
	t.Helper()
	a.process = rig.Must(f.StartProgram(a.program))(t)
}

func (f *fleet) applyCRDs(t *testing.T) {
	t.Helper()
	rig.Must(f.cluster.Kubectl(t.Context(), "apply", "--server-side", "-f", "../../conf/crds"))(t)
	rig.Must(f.cluster.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=120s", "crd",
		"imagepolicies.policy.countersign.dev", "clusterimagepolicies.policy.countersign.dev"))(t)
}

// governing returns the document that governs a namespace, or "" if that is the system policy.
func (a *agent) governing(namespace string) (string, error) {
	for _, path := range []string{filepath.Join(a.directory, namespace+".json"), a.cluster} {
		raw, err := os.ReadFile(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return string(raw), err
		}
	}
	return "", nil
}

// obey waits until namespaces are governed on every node by exactly those of the scopes, and logs the time.
// The scopes are those of the registry "scope.example".
func (f *fleet) obey(t *testing.T, what string, want map[string]string) {
	t.Helper()
	since := time.Now()
	rig.Eventually(t, what, func() error {
		for _, a := range f.agents {
			for namespace, scopes := range want {
				document, err := a.governing(namespace)
				if err != nil {
					return err
				}
				if found := scopesIn(document); found != scopes {
					return fmt.Errorf("on %s, %s is governed by %q, want %q", a.name, namespace, found, scopes)
				}
			}
		}
		return nil
	})
	t.Logf("%s: after %v", what, time.Since(since).Round(time.Millisecond))
}

// scopesIn returns which of the scopes of these tests a document has.
func scopesIn(document string) string {
	var found []string
	for _, scope := range []string{"guard", "one", "two"} {
		if strings.Contains(document, `"`+scope+`.example"`) {
			found = append(found, scope)
		}
	}
	return strings.Join(found, " ")
}

// watchGuard checks all the time that the policy of the cluster that nobody deletes governs every namespace on every
// node. It ends with the returned function.
func (f *fleet) watchGuard(t *testing.T) (stop func()) {
	t.Helper()
	return watch(t, "the cluster's policy governs every namespace", func() error {
		for _, a := range f.agents {
			for _, namespace := range []string{team, "other", "kube-system"} {
				document, err := a.governing(namespace)
				if err != nil {
					return fmt.Errorf("reading the policy of %s on %s: %w", namespace, a.name, err)
				}
				if !strings.Contains(scopesIn(document), "guard") {
					return fmt.Errorf("on %s, %s is governed by %q", a.name, namespace, document)
				}
			}
		}
		return nil
	})
}

const team = "team"

// policyReports returns the CRD of reports, without the fields.
func policyReports() object {
	schema := object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	return object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": object{
			"name":        "policyreports.wgpolicyk8s.io",
			"annotations": object{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/wg-policy-prototypes"},
		},
		"spec": object{
			"group": "wgpolicyk8s.io", "scope": "Namespaced",
			"names": object{"kind": "PolicyReport", "plural": "policyreports", "singular": "policyreport"},
			"versions": []any{object{
				"name": "v1alpha2", "served": true, "storage": true, "schema": object{"openAPIV3Schema": schema},
			}},
		},
	}
}

// rejecting returns a policy that rejects the images of NAME.example. Without a namespace it is one of the cluster.
func rejecting(namespace, name string) object {
	made := imagePolicy(rooted("Reject", "", nil), name+".example")
	made["metadata"] = object{"name": name, "namespace": namespace}
	if namespace == "" {
		made["kind"], made["metadata"] = "ClusterImagePolicy", object{"name": name}
	}
	return made
}

// selecting returns a policy of the cluster for namespaces with the label stage=prod.
func selecting(name string) object {
	made := rejecting("", name)
	made["spec"].(object)["namespaceSelector"] = object{"matchLabels": object{"stage": "prod"}}
	return made
}

func (f *fleet) apply(t *testing.T, objects ...any) {
	t.Helper()
	rig.OK(t, f.cluster.Apply(t.Context(), objects...))
}

func (f *fleet) kubectl(t *testing.T, arguments ...string) {
	t.Helper()
	rig.Must(f.cluster.Kubectl(t.Context(), arguments...))(t)
}

// TestPoliciesAreObeyedOnEveryNode, whatever happens to the API server: at no time is a namespace governed by less than
// the policy of the cluster.
func TestPoliciesAreObeyedOnEveryNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.apply(t, rejecting("", "guard"))
	f.obey(t, "a policy of the cluster", map[string]string{team: "guard", "other": "guard"})
	stop := f.watchGuard(t)
	defer stop()
	f.lifecycle(t)
	f.lockout(t)
	f.refuse(t)
	f.outage(t)
	f.crdDeleted(t)
	f.restored(t)
	f.statuses(t)
	f.permissions(t)
}

// lockout applies a policy that would refuse what runs in kube-system.
func (f *fleet) lockout(t *testing.T) {
	t.Helper()
	image := f.Push(t, "system:v1")
	f.wantRunning(t, "kube-system", f.run(t, "kube-system", image, nil))
	policy := rejecting("", "lockout")
	policy["spec"].(object)["scopes"] = []string{image.Repository}
	f.apply(t, policy)
	rig.OK(t, node.Until(t.Context(), "the agent of the node to report a lockout", func(ctx context.Context) error {
		reasons, err := f.cluster.Kubectl(ctx, "get", "nodepolicystatus", kubernetes.NodeName, "-o",
			"jsonpath={.status.problems[*].reason}")
		if err == nil && !strings.Contains(reasons, "SelfLockout") {
			err = fmt.Errorf("problems are %q", reasons)
		}
		return err
	}))
	for namespace, refuses := range map[string]bool{"kube-system": false, team: true, "other": true} {
		document := rig.Must(f.agents[0].governing(namespace))(t)
		if strings.Contains(document, image.Repository) != refuses {
			t.Errorf("%s is governed by %s; the policy counts there: %v", namespace, document, refuses)
		}
	}
	f.kubectl(t, "delete", "clusterimagepolicy", "lockout")
	f.obey(t, "the policies without it", map[string]string{team: "guard", "other": "guard", "kube-system": "guard"})
}

// statuses looks at what users see, and has another agent sum up.
func (f *fleet) statuses(t *testing.T) {
	t.Helper()
	see := func(what, want string, arguments ...string) {
		t.Helper()
		// Statuses, reports and leases take up to a minute.
		rig.OK(t, node.Until(t.Context(), what, func(ctx context.Context) error {
			seen, err := f.cluster.Kubectl(ctx, append([]string{"get"}, arguments...)...)
			if err == nil && !strings.Contains(seen, want) {
				err = fmt.Errorf("it is %q, want %q", seen, want)
			}
			return err
		}))
	}
	const path = `jsonpath={.status.nodes.summary} {.status.conditions[?(@.type=="Ready")].status}`
	see("the status of a policy", "2/2 True", "clusterimagepolicy", "guard", "-o", path)
	see("the event of a pod", "ImageRefused", "-n", team, "events", "-o", "jsonpath={.items[*].reason}")
	see("the report of a namespace", team, "-n", team, "policyreport", "countersign-"+kubernetes.NodeName, "-o", "yaml")
	lease := []string{"-n", chartNamespace, "lease", "countersign-agent", "-o", "jsonpath={.spec.holderIdentity}"}
	leader := rig.Must(f.cluster.Kubectl(t.Context(), append([]string{"get"}, lease...)...))(t)
	for _, a := range f.agents {
		if a.name == leader {
			a.process.Kill()
		} else {
			defer see("another leader", a.name, lease...)
		}
	}
}

// lifecycle applies, changes and deletes objects.
func (f *fleet) lifecycle(t *testing.T) {
	t.Helper()
	f.apply(t, rejecting(team, "one"))
	f.obey(t, "a policy of a namespace", map[string]string{team: "guard one", "other": "guard"})
	f.kubectl(t, "-n", team, "delete", "imagepolicy", "one")
	f.obey(t, "a policy that was deleted", map[string]string{team: "guard"})
	f.apply(t, selecting("two"))
	f.obey(t, "a policy that selects namespaces", map[string]string{team: "guard"})
	f.kubectl(t, "label", "namespace", team, "stage=prod")
	f.obey(t, "a namespace that is selected", map[string]string{team: "guard two", "kube-system": "guard"})
	f.kubectl(t, "label", "namespace", team, "stage-")
	f.obey(t, "a namespace that is not selected any more", map[string]string{team: "guard"})
	f.apply(t, rejecting(team, "one"))
	f.obey(t, "a policy in that namespace", map[string]string{team: "guard one"})
	f.kubectl(t, "delete", "namespace", team)
	f.obey(t, "a namespace that was deleted", map[string]string{team: "guard two"})
	f.apply(t, kubernetes.Namespace(team))
	f.obey(t, "a namespace that was made again", map[string]string{team: "guard"})
	f.kubectl(t, "delete", "clusterimagepolicy", "two")
	f.obey(t, "only one policy of the cluster", map[string]string{team: "guard", "other": "guard"})
}

// refuse has the kubelet run a pod with two containers that a policy of the namespace refuses, so that the event of the
// pod is created and then changed.
func (f *fleet) refuse(t *testing.T) {
	t.Helper()
	image := f.Push(t, "refused:v1")
	policy := imagePolicy(rooted("Reject", "", nil), image.Repository)
	policy["metadata"] = object{"name": "refused", "namespace": team}
	f.apply(t, policy)
	rig.Eventually(t, "the document that refuses the image", func() error { return f.governs(team, image.Repository) })
	// The image is on the node already, so the refusal is not one of its pull.
	f.wantRunning(t, dev, f.run(t, dev, image, nil))
	var containers []any
	for _, name := range []string{"main", "second"} {
		containers = append(containers, object{"name": name, "image": image.Reference, "imagePullPolicy": "Never"})
	}
	pod := f.run(t, team, image, object{"containers": containers})
	f.wantStatus(t, team, pod, "(rejected)", "CreateContainerError")
}

// crdDeleted deletes a CRD, and with it all policies of that kind.
func (f *fleet) crdDeleted(t *testing.T) {
	t.Helper()
	const crd = "imagepolicies.policy.countersign.dev"
	f.kubectl(t, "delete", "crd", crd)
	f.apply(t, kubernetes.Namespace("meanwhile"))
	f.applyCRDs(t)
	f.kubectl(t, "label", "namespace", team, "passes=1")
	f.obey(t, "a CRD that was deleted and created again", map[string]string{team: "guard one"})
	f.apply(t, rejecting(team, "two"))
	f.obey(t, "a policy under the new CRD", map[string]string{team: "guard one two"})
	f.apply(t, rejecting(team, "one"))
	f.kubectl(t, "-n", team, "delete", "imagepolicy", "two")
	f.obey(t, "a policy that was deleted under the new CRD", map[string]string{team: "guard one"})
}

// restored restores etcd from a snapshot.
func (f *fleet) restored(t *testing.T) {
	t.Helper()
	rig.OK(t, f.cluster.SaveEtcd(t.Context()))
	f.apply(t, rejecting(team, "two"))
	f.kubectl(t, "-n", team, "delete", "imagepolicy", "one")
	f.obey(t, "what the snapshot does not have", map[string]string{team: "guard two"})
	rig.OK(t, f.cluster.RestoreEtcd(t.Context()))
	f.obey(t, "an etcd that was restored", map[string]string{team: "guard one"})
}
