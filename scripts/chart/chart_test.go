package chart_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

const (
	chartPath = "../../conf/chart"
	namespace = "countersign-system"
)

func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// render returns the objects of the chart with values, given as YAML, on a release of Kubernetes.
func render(values, kubernetes string) ([]object, error) {
	loaded, err := loader.Load(chartPath)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	if err := strict.Unmarshal([]byte(values), &given); err != nil {
		return nil, err
	}
	version, err := common.ParseKubeVersion(kubernetes)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	release := common.ReleaseOptions{Name: "countersign", Namespace: namespace, IsInstall: true}
	all, err := util.ToRenderValues(loaded, given, release, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, name := range slices.Sorted(keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		found, err := split([]byte(files[name]))
		if err != nil {
			return nil, errors.Join(errors.New(name), err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func keys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// object is an object of Kubernetes.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	raw []byte
}

// name returns the name of an object as kubectl writes it.
func (o object) name() string { return strings.ToLower(o.Kind) + "/" + o.Metadata.Name }

// split returns the objects of a file.
func split(text []byte) (objects []object, err error) {
	reader := yaml.NewYAMLReader(bufioReader(text))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		made := object{raw: document}
		if err := strict.Unmarshal(document, &made); err != nil {
			return nil, err
		}
		if made.Kind != "" { // A document may have comments only.
			objects = append(objects, made)
		}
	}
}

func rendered(t *testing.T, values string) []object {
	t.Helper()
	return must(render(values, "v1.36.0"))(t)
}

// find returns the object with a name as a type, whose fields all have to exist.
func find[T any](t *testing.T, objects []object, name string) T {
	t.Helper()
	var found T
	at := slices.IndexFunc(objects, func(o object) bool { return o.name() == name })
	if at < 0 {
		t.Fatalf("there is no %s among %v", name, names(objects))
	}
	if err := strict.UnmarshalStrict(objects[at].raw, &found); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return found
}

func names(objects []object) (all []string) {
	for _, o := range objects {
		all = append(all, o.name())
	}
	return all
}

func TestHelmFindsNoFault(t *testing.T) {
	for _, values := range []map[string]any{
		nil, {"mode": "enforce"}, {"uninstall": true}, {"podMonitor": map[string]any{"enabled": true}},
	} {
		for _, message := range lint.RunAll(chartPath, values, namespace).Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("with %v: %s", values, message)
			}
		}
	}
}

// TestEveryObjectHasItsTypesFieldsOnly decodes each object strictly. Custom resources have no type here.
func TestEveryObjectHasItsTypesFieldsOnly(t *testing.T) {
	everything := "podMonitor: {enabled: true}\npodDisruptionBudget: {minAvailable: 3}\nimagePullSecrets: [{name: a}]\n" +
		"podLabels: {a: b}\npodAnnotations: {c: d}\napiServer: {host: 10.0.0.1, port: 6443}\n" +
		"agent: {allowSelfLockout: true, extraArgs: [--kubeconfig=/x]}\nallowSelfLockout: true\n" +
		"installer: {doctorSkip: [clock, disk]}\nmode: enforce\n"
	for _, values := range []string{"", everything, "uninstall: true", "systemPolicy: null"} {
		for _, o := range rendered(t, values) {
			into, known := types()[o.Kind]
			if !known {
				t.Errorf("%s is of a kind that this test does not know", o.name())
			}
			if into == nil {
				continue
			}
			if err := strict.UnmarshalStrict(o.raw, into); err != nil {
				t.Errorf("%s with %q: %v\n%s", o.name(), values, err, o.raw)
			}
		}
	}
}

func types() map[string]any {
	return map[string]any{
		"ServiceAccount": &core.ServiceAccount{}, "ConfigMap": &core.ConfigMap{}, "DaemonSet": &apps.DaemonSet{},
		"ClusterRole": &rbac.ClusterRole{}, "ClusterRoleBinding": &rbac.ClusterRoleBinding{},
		"Role": &rbac.Role{}, "RoleBinding": &rbac.RoleBinding{},
		"PodDisruptionBudget":              &policy.PodDisruptionBudget{},
		"ValidatingAdmissionPolicy":        &admission.ValidatingAdmissionPolicy{},
		"ValidatingAdmissionPolicyBinding": &admission.ValidatingAdmissionPolicyBinding{},
		"PodMonitor":                       nil, "CustomResourceDefinition": nil,
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		values, kubernetes string
		absent, present    []string
	}{
		"by default": {
			absent:  []string{"podmonitor/countersign-agent", "poddisruptionbudget/countersign-agent"},
			present: []string{"daemonset/countersign-agent", "validatingadmissionpolicy/countersign-installer"},
		},
		"with monitoring and a budget": {
			values:  "podMonitor: {enabled: true}\npodDisruptionBudget: {minAvailable: 1}\n",
			present: []string{"podmonitor/countersign-agent", "poddisruptionbudget/countersign-agent"},
		},
		// Then nothing writes policies to a node whose daemon is removed.
		"for the removal": {
			values: "uninstall: true\npodMonitor: {enabled: true}\npodDisruptionBudget: {minAvailable: 1}\n",
			absent: []string{
				"daemonset/countersign-agent", "clusterrole/countersign-agent", "podmonitor/countersign-agent",
				"poddisruptionbudget/countersign-agent",
			},
			present: []string{"daemonset/countersign-installer", "clusterrole/countersign-installer"},
		},
		"before Kubernetes 1.30": {
			kubernetes: "v1.29.3", absent: []string{"validatingadmissionpolicy/countersign-installer"},
			present: []string{"daemonset/countersign-installer"},
		},
		"without CRDs": {
			values: "crds: {install: false}", absent: []string{"customresourcedefinition/imagepolicies.policy.countersign.dev"},
			present: []string{"daemonset/countersign-agent"},
		},
		"without a system policy": {values: "systemPolicy: null", absent: []string{"configmap/countersign-system-policy"}},
	} {
		t.Run(name, func(t *testing.T) {
			kubernetes := c.kubernetes
			if kubernetes == "" {
				kubernetes = "v1.36.0"
			}
			got := names(must(render(c.values, kubernetes))(t))
			for _, absent := range c.absent {
				if slices.Contains(got, absent) {
					t.Errorf("%s is there", absent)
				}
			}
			for _, present := range c.present {
				if !slices.Contains(got, present) {
					t.Errorf("%s is not there", present)
				}
			}
		})
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"an unknown mode":           {"mode: off", "mode"},
		"an unknown value":          {"modee: audit", "modee"},
		"an unknown value in image": {"image: {repo: a}", "repo"},
		"a digest that is none":     {"image: {digest: abc}", "digest"},
		"a port that is none":       {"agent: {metricsPort: 0}", "metricsPort"},
		"a budget in per cent":      {"podDisruptionBudget: {minAvailable: 50%}", "minAvailable"},
		"a policy without default":  {"systemPolicy: {default: null}", "default"},
		"a policy of another tool":  {"systemPolicy: {apiVersion: v1}", "apiVersion"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := render(c.values, "v1.36.0"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("rendering with %q returned %v, want an error about %s", c.values, err, c.want)
			}
		})
	}
}

// TestTheChartHasTheCRDs compares them with conf/crds. Helm deletes none of them.
func TestTheChartHasTheCRDs(t *testing.T) {
	objects := rendered(t, "")
	files := must(filepath.Glob("../../conf/crds/*.yaml"))(t)
	if len(files) < 2 {
		t.Fatalf("there are the CRDs %v", files)
	}
	for _, file := range files {
		for _, want := range must(split(must(os.ReadFile(file))(t)))(t) {
			got := find[map[string]any](t, objects, want.name())
			metadata := got["metadata"].(map[string]any)
			annotations := metadata["annotations"].(map[string]any)
			if annotations["helm.sh/resource-policy"] != "keep" {
				t.Errorf("Helm deletes %s", want.name())
			}
			delete(annotations, "helm.sh/resource-policy")
			delete(metadata, "labels")
			if original := find[map[string]any](t, []object{want}, want.name()); !equal(t, original, got) {
				t.Errorf("%s in the chart is not %s", want.name(), file)
			}
		}
	}
}

func equal(t *testing.T, x, y any) bool {
	t.Helper()
	return bytes.Equal(must(strict.Marshal(x))(t), must(strict.Marshal(y))(t))
}
