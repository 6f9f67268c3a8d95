package kubernetes_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	host "github.com/countersign/countersign/plugin/node"
)

// Of the chart, as these tests install it.
const (
	chartNamespace   = "countersign-system"
	agentAccount     = "countersign-agent"
	installerAccount = "countersign-installer"
)

// TestTheAPIServerAcceptsTheChart applies the Helm chart and the kustomize base to a real API server, and removes the
// start-up taint from its node, as the installer does.
func TestTheAPIServerAcceptsTheChart(t *testing.T) {
	t.Parallel()
	l := newLab(t, labConfig{RBAC: true})
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Namespace(chartNamespace)))
	for name, values := range map[string]string{
		"by default": "",
		"everything": "mode=enforce,allowSelfLockout=true,podDisruptionBudget.minAvailable=2,apiServer.host=10.0.0.1," +
			"apiServer.port=6443,installer.doctorSkip={clock,disk},agent.allowSelfLockout=true",
		"the removal": "uninstall=true",
	} {
		t.Run(name, func(t *testing.T) {
			rig.Must(l.cluster.Kubectl(t.Context(), "apply", "--server-side", "--dry-run=server", "-f", template(t, values)))(t)
		})
	}
	t.Run("the kustomize base", func(t *testing.T) {
		rig.Must(l.cluster.Kubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k",
			"../../conf/kustomize"))(t)
	})
	l.applyChart(t)
	t.Run("the start-up taint", func(t *testing.T) { l.removesTaint(t) })
	t.Run("the installer's permissions", func(t *testing.T) { l.uses(t, installerAccount, nil) })
}

// applyChart creates the objects of the chart.
func (l *lab) applyChart(t *testing.T) {
	t.Helper()
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Namespace(chartNamespace)))
	rig.Must(l.cluster.Kubectl(t.Context(), "apply", "--server-side", "-f", template(t, "")))(t)
	rig.Must(l.cluster.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=120s", "crd",
		"imagepolicies.policy.countersign.dev", "clusterimagepolicies.policy.countersign.dev"))(t)
}

// template returns a file with the objects of the chart.
func template(t *testing.T, values string) string {
	t.Helper()
	tools := rig.Must(node.BuildPrograms(t.Context(), []node.Recipe{
		{Name: "helm", Package: "helm.sh/helm/v4/cmd/helm", Module: "scripts/chart"},
	}, os.Stderr))(t)
	path := filepath.Join(t.TempDir(), "chart.yaml")
	command := exec.CommandContext(t.Context(), tools.Path("helm"), "template", "countersign", "../../conf/chart",
		"--namespace", chartNamespace, "--set", values)
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	objects := rig.Must(command.Output())(t)
	rig.OK(t, os.WriteFile(path, objects, 0o600))
	return path
}

const taint, otherTaint = host.Taint + "=:NoSchedule", "example.com/other=:PreferNoSchedule"

// removesTaint uses the installer's code with the credentials of its service account on this node, and on another one.
func (l *lab) removesTaint(t *testing.T) {
	t.Helper()
	installer, stranger := l.installerOn(t, kubernetes.NodeName), l.installerOn(t, l.secondNode(t))
	kubectl := func(arguments ...string) string {
		t.Helper()
		return rig.Must(l.cluster.Kubectl(t.Context(), arguments...))(t)
	}
	// Kubernetes adds and removes taints of its own.
	taints := func() (keys []string) {
		t.Helper()
		all := kubectl("get", "node", kubernetes.NodeName, "-o", "jsonpath={.spec.taints[*].key}")
		for key := range strings.FieldsSeq(all) {
			if !strings.HasPrefix(key, "node.kubernetes.io/") {
				keys = append(keys, key)
			}
		}
		return keys
	}
	kubectl("taint", "node", kubernetes.NodeName, taint, otherTaint)
	// The API server reads admission policies some time after they are created.
	rig.Eventually(t, "a refusal of an installer on another node", func() error {
		_, err := stranger.RemoveTaint(t.Context(), kubernetes.NodeName)
		if err == nil { // It is not read yet, and the taint is gone.
			_, again := l.cluster.Kubectl(t.Context(), "taint", "--overwrite", "node", kubernetes.NodeName, taint)
			return errors.Join(errors.New("the taint was removed"), again)
		}
		if strings.Contains(err.Error(), "only the node on which it runs") {
			return nil
		}
		return fmt.Errorf("the API server answers: %w", err)
	})
	for _, arguments := range [][]string{
		{"taint", "node", kubernetes.NodeName, otherTaint + "-"},
		{"taint", "node", kubernetes.NodeName, "example.com/new=:NoSchedule"},
		{"label", "node", kubernetes.NodeName, "example.com/new=label"},
		{"annotate", "node", kubernetes.NodeName, "example.com/new=annotation"},
		{"patch", "node", kubernetes.NodeName, "--patch", `{"spec": {"unschedulable": true}}`},
	} {
		answer, err := l.cluster.Kubectl(t.Context(), append(arguments, "--token="+l.token(t, kubernetes.NodeName))...)
		if err == nil || !strings.Contains(err.Error(), "the installer may") {
			t.Errorf("kubectl %v as the installer: %s, %v", arguments, answer, err)
		}
	}
	if removed, err := installer.RemoveTaint(t.Context(), kubernetes.NodeName); err != nil || !removed {
		t.Errorf("RemoveTaint returned %v, %v", removed, err)
	}
	if got := taints(); !slices.Equal(got, []string{"example.com/other"}) {
		t.Errorf("the node has the taints %q", got)
	}
	if removed, err := installer.RemoveTaint(t.Context(), kubernetes.NodeName); err != nil || removed {
		t.Errorf("a second time, RemoveTaint returned %v, %v", removed, err)
	}
	kubectl("taint", "node", kubernetes.NodeName, "example.com/other-")
	kubectl("taint", "node", kubernetes.NodeName, taint)
	if removed, err := installer.RemoveTaint(t.Context(), kubernetes.NodeName); err != nil || !removed || taints() != nil {
		t.Errorf("of the last taint, RemoveTaint returned %v, %v; left: %q", removed, err, taints())
	}
}

// secondNode makes a node without a machine.
func (l *lab) secondNode(t *testing.T) string {
	t.Helper()
	const name = "node-2"
	rig.OK(t, l.cluster.Apply(t.Context(), object{
		"apiVersion": "v1", "kind": "Node", "metadata": object{"name": name},
	}))
	return name
}

// token returns the token of the installer's service account for a pod on a node.
func (l *lab) token(t *testing.T, name string) string {
	t.Helper()
	return rig.Must(l.cluster.Kubectl(t.Context(), "--namespace", chartNamespace, "create", "token",
		installerAccount, "--bound-object-kind=Node", "--bound-object-name="+name))(t)
}

// installerOn returns the API server as the installer on a node reaches it.
func (l *lab) installerOn(t *testing.T, name string) *host.APIServer {
	t.Helper()
	credentials := t.TempDir()
	authority := rig.Must(os.ReadFile(l.cluster.Path("kubernetes", "apiserver", "apiserver.crt")))(t)
	rig.OK(t, os.WriteFile(filepath.Join(credentials, "ca.crt"), authority, 0o600))
	rig.OK(t, os.WriteFile(filepath.Join(credentials, "token"), []byte(l.token(t, name)), 0o600))
	address := rig.Must(url.Parse(rig.Must(l.cluster.Kubectl(t.Context(), "config", "view", "-o",
		"jsonpath={.clusters[0].cluster.server}"))(t)))(t)
	return rig.Must(host.OpenAPIServer(address.Hostname(), address.Port(), credentials))(t)
}
