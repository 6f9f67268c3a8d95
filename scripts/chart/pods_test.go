package chart_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
)

func daemonSet(t *testing.T, values, name string) apps.DaemonSet {
	t.Helper()
	return find[apps.DaemonSet](t, rendered(t, values), "daemonset/countersign-"+name)
}

// TestThePodsRunOnEveryNode, and before the network plugin does.
func TestThePodsRunOnEveryNode(t *testing.T) {
	for _, name := range []string{"agent", "installer"} {
		set := daemonSet(t, "", name)
		pod := set.Spec.Template.Spec
		everything := core.Toleration{Operator: core.TolerationOpExists}
		if !slices.Contains(pod.Tolerations, everything) || !pod.HostNetwork ||
			pod.PriorityClassName != "system-node-critical" {
			t.Errorf("%s: tolerations %v, network of the host %v, priority %s", name, pod.Tolerations, pod.HostNetwork,
				pod.PriorityClassName)
		}
		// countersign install checks whether the pods with this label would be refused.
		labels := set.Spec.Template.Labels
		if !strings.HasPrefix(labels["app.kubernetes.io/name"], "countersign") {
			t.Errorf("%s has the labels %v", name, labels)
		}
		for key, value := range set.Spec.Selector.MatchLabels {
			if labels[key] != value {
				t.Errorf("%s selects %s=%s, and its pods have %q", name, key, value, labels[key])
			}
		}
	}
}

// TestOnlyTheInstallerIsPrivileged: the agent is root because its files are root's, and can do nothing else.
func TestOnlyTheInstallerIsPrivileged(t *testing.T) {
	agent := daemonSet(t, "", "agent").Spec.Template.Spec
	context := agent.Containers[0].SecurityContext
	if agent.HostPID || agent.HostIPC || context.Privileged != nil || *context.AllowPrivilegeEscalation ||
		!*context.ReadOnlyRootFilesystem || !slices.Equal(context.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("the agent runs with %+v", context)
	}
	for _, volume := range agent.Volumes {
		if volume.HostPath == nil || !strings.Contains(volume.HostPath.Path, "/countersign") {
			t.Errorf("the agent has the volume %+v", volume)
		}
	}
	installer := daemonSet(t, "", "installer").Spec.Template.Spec
	if !installer.HostPID || !*installer.Containers[0].SecurityContext.Privileged {
		t.Error("the installer cannot enter the namespaces of the host")
	}
}

func TestArguments(t *testing.T) {
	for name, c := range map[string]struct {
		values, pod   string
		with, without []string
	}{
		"the installer audits by default": {
			"", "installer",
			[]string{"node install --mode=audit --system-policy=/config/system.json --health"},
			[]string{"--allow-self-lockout", "--doctor-skip"},
		},
		"the installer enforces": {
			"mode: enforce\nallowSelfLockout: true\ninstaller: {doctorSkip: [clock, disk]}\nsystemPolicy: null\n", "installer",
			[]string{"node install --mode=enforce --allow-self-lockout --doctor-skip=clock,disk --health"},
			[]string{"--system-policy"},
		},
		"the installer removes": {
			"mode: enforce\nuninstall: true", "installer", []string{"node uninstall --health"}, []string{"--mode", "install --"},
		},
		"the agent writes what the daemon reads": {
			"", "agent",
			[]string{
				"--directory=/etc/countersign/policies", "--cluster-document=/etc/countersign/cluster.json",
				"--system-policy=/etc/countersign/system.json", "--leader-election-namespace=" + namespace,
			},
			[]string{"--allow-self-lockout"},
		},
		"the agent has more arguments": {
			"agent: {allowSelfLockout: true, extraArgs: [--kubeconfig=/x]}", "agent",
			[]string{"--allow-self-lockout --kubeconfig=/x"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			container := daemonSet(t, c.values, c.pod).Spec.Template.Spec.Containers[0]
			arguments := strings.Join(container.Args, " ")
			for _, text := range c.with {
				if !strings.Contains(arguments, text) {
					t.Errorf("%q is not in %q", text, arguments)
				}
			}
			for _, text := range c.without {
				if strings.Contains(arguments, text) && (text != "install --" || strings.Contains(arguments, "node install")) {
					t.Errorf("%q is in %q", text, arguments)
				}
			}
		})
	}
}

func TestTheAPIServerHasAnotherAddress(t *testing.T) {
	for _, pod := range []string{"agent", "installer"} {
		environment := map[string]string{}
		set := daemonSet(t, "apiServer: {host: 10.1.2.3, port: 6443}", pod)
		for _, variable := range set.Spec.Template.Spec.Containers[0].Env {
			environment[variable.Name] = variable.Value
		}
		if environment["KUBERNETES_SERVICE_HOST"] != "10.1.2.3" || environment["KUBERNETES_SERVICE_PORT"] != "6443" {
			t.Errorf("%s has the environment %v", pod, environment)
		}
	}
}

func TestTheImageIsNamedByDigestOrTag(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for values, want := range map[string]string{
		"":                                   "ghcr.io/countersign/countersign:0.1.0",
		"image: {repository: r/c, tag: '2'}": "r/c:2",
		"image: {repository: r/c, tag: '2', digest: " + digest + "}": "r/c@" + digest,
	} {
		if got := daemonSet(t, values, "agent").Spec.Template.Spec.Containers[0].Image; got != want {
			t.Errorf("with %q the image is %s, want %s", values, got, want)
		}
	}
}

// TestTheSystemPolicyAcceptsTheChartsOwnImage, unless somebody says otherwise.
func TestTheSystemPolicyAcceptsTheChartsOwnImage(t *testing.T) {
	accept := `[{"type":"insecureAcceptAnything"}]`
	for name, c := range map[string]struct{ values, scope, want string }{
		"by default":         {"", "ghcr.io/countersign/countersign", accept},
		"another repository": {"image: {repository: r.example/c}", "r.example/c", accept},
		"the scopes of the operator": {
			"systemPolicy: {transports: {docker: {a.example: [{type: reject}]}}}", "a.example", `[{"type":"reject"}]`,
		},
		"a requirement for our own": {
			"systemPolicy: {transports: {docker: {ghcr.io/countersign/countersign: [{type: reject}]}}}",
			"ghcr.io/countersign/countersign", `[{"type":"reject"}]`,
		},
		"not accepted": {"acceptOwnImage: false", "ghcr.io/countersign/countersign", `null`},
	} {
		t.Run(name, func(t *testing.T) {
			config := find[core.ConfigMap](t, rendered(t, c.values), "configmap/countersign-system-policy")
			var policy struct {
				Default    json.RawMessage
				Transports map[string]map[string]any
			}
			if err := json.Unmarshal([]byte(config.Data["system.json"]), &policy); err != nil || policy.Default == nil {
				t.Fatalf("the policy is %q: %v", config.Data["system.json"], err)
			}
			if got := string(must(json.Marshal(policy.Transports["docker"][c.scope]))(t)); got != c.want {
				t.Errorf("scope %s has %s, want %s", c.scope, got, c.want)
			}
		})
	}
	checksum := func(values string) string {
		return daemonSet(t, values, "installer").Spec.Template.Annotations["checksum/system-policy"]
	}
	if checksum("") == checksum("acceptOwnImage: false") {
		t.Error("another system policy does not reach nodes where the installer runs")
	}
}

// TestNobodyReadsSecrets: the permissions are few, and name what they are for.
func TestNobodyReadsSecrets(t *testing.T) {
	for _, o := range rendered(t, "") {
		if o.Kind != "ClusterRole" && o.Kind != "Role" {
			continue
		}
		var role rbac.ClusterRole
		decode(t, o, &role)
		for _, rule := range role.Rules {
			for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
				if slices.Contains(list, "*") || slices.Contains(list, "secrets") || slices.Contains(list, "pods") {
					t.Errorf("%s may %v %v", o.name(), rule.Verbs, rule.Resources)
				}
			}
			more := slices.ContainsFunc(rule.Verbs, func(verb string) bool { return verb != "get" && verb != "patch" })
			if slices.Contains(rule.Resources, "nodes") && more {
				t.Errorf("%s may %v nodes", o.name(), rule.Verbs)
			}
		}
	}
}

// TestTheREADMEHasEveryValue compares its table with the keys of values.yaml.
func TestTheREADMEHasEveryValue(t *testing.T) {
	readme := string(must(os.ReadFile(chartPath + "/README.md"))(t))
	var values map[string]any
	decode(t, object{raw: must(os.ReadFile(chartPath + "/values.yaml"))(t)}, &values)
	for key, value := range values {
		nested, isMap := value.(map[string]any)
		leaf := key == "systemPolicy" || key == "updateStrategy" || key == "nodeSelector" || len(nested) == 0
		if !isMap || leaf {
			nested = map[string]any{"": nil}
		}
		for name := range nested {
			path := strings.TrimSuffix(key+"."+name, ".")
			if !strings.Contains(readme, "| `"+path+"` |") {
				t.Errorf("conf/chart/README.md has no row for %s", path)
			}
		}
	}
}
