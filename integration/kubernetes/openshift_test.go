package kubernetes_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/countersign/countersign/integration/rig"
)

// openShiftCase is a test case of OpenShift's API: an object that its API server accepts, or refuses with an error.
type openShiftCase struct {
	Name, Initial string
	ExpectedError string `yaml:"expectedError"`
}

// openShiftAPI returns the directory of the pinned module of OpenShift's API.
func openShiftAPI(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/openshift/api")
	command.Dir, command.Stderr = "../tools/openshift", os.Stderr
	var module struct{ Dir string }
	rig.OK(t, json.Unmarshal(rig.Must(command.Output())(t), &module))
	return module.Dir
}

// openShiftCases returns the module's cases for ImagePolicy and ClusterImagePolicy.
func openShiftCases(t *testing.T) (cases []openShiftCase) {
	t.Helper()
	suites := filepath.Join(openShiftAPI(t), "config", "v1", "tests", "*imagepolicies*", "*.yaml")
	paths := rig.Must(filepath.Glob(suites))(t)
	for _, path := range paths {
		var suite struct{ Tests map[string][]openShiftCase }
		rig.OK(t, yaml.Unmarshal(rig.Must(os.ReadFile(path))(t), &suite))
		for when, list := range suite.Tests {
			if when != "onCreate" {
				t.Errorf("%s: the cases %s are not run", filepath.Base(path), when)
			}
			cases = append(cases, list...)
		}
	}
	if len(cases) < 50 {
		t.Fatalf("OpenShift's API has %d cases, want at least 50", len(cases))
	}
	return cases
}

// decidesAsOpenShift has the API server validate the objects of OpenShift's cases with another apiVersion. It accepts
// and refuses the same ones, for the same field.
func (l *lab) decidesAsOpenShift(t *testing.T) {
	t.Helper()
	for _, test := range openShiftCases(t) {
		var policy object
		rig.OK(t, yaml.Unmarshal([]byte(test.Initial), &policy))
		kind, _ := policy["kind"].(string)
		policy["apiVersion"] = "policy.countersign.dev/v1alpha1"
		policy["metadata"] = object{"name": "policy", "namespace": prod}
		if kind == "ClusterImagePolicy" {
			policy["metadata"] = object{"name": "policy"}
		}
		t.Run(kind+": "+test.Name, func(t *testing.T) {
			if test.ExpectedError == "" {
				rig.OK(t, l.cluster.Check(t.Context(), policy))
				return
			}
			// Some cases have unknown fields, too, which kubectl would have refused first.
			err := l.cluster.Check(t.Context(), policy, "--validate=ignore")
			field, _, _ := strings.Cut(strings.TrimPrefix(test.ExpectedError, "["), ":")
			if err == nil || !strings.Contains(err.Error(), field+":") {
				t.Errorf("the API server answers %v, and that of OpenShift: %s", err, test.ExpectedError)
			}
			t.Log(err)
		})
	}
}
