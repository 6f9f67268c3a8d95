package openshift_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	pinned   = "../../../integration/tools/openshift"
	api      = "github.com/openshift/api"
	operator = "github.com/openshift/machine-config-operator"
)

// module returns the directory of a pinned module.
func module(t *testing.T, name string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", name)
	command.Dir, command.Stderr = pinned, os.Stderr
	out, err := command.Output()
	var downloaded struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &downloaded)
	}
	if err != nil {
		t.Fatalf("reading module %s: %v", name, err)
	}
	return downloaded.Dir
}

// machine runs functions of the machine config operator.
type machine struct {
	program string
	// template is the system policy that the operator begins with.
	template []byte
}

// newMachine builds the program in integration/tools/openshift with the functions of the operator.
func newMachine(t *testing.T) machine {
	t.Helper()
	root, temporary := module(t, operator), t.TempDir()
	folder := filepath.Join(root, "pkg", "controller", "container-runtime-config")
	code := readSource(t, filepath.Join(folder, "helpers.go"), filepath.Join(folder, "helpers_test.go"),
		filepath.Join(folder, "container_runtime_config_controller.go"))
	functions := filepath.Join(temporary, "functions.go")
	write(t, functions, code.extract(t, "getValidScopePolicies", "updatePolicyJSON", "updateNamespacedPolicyJSONs",
		"clusterImagePolicyTestCRs", "imagePolicyTestCRs"))
	directory, err := filepath.Abs(pinned)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(directory, "functions.go"): functions},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(temporary, "overlay.json"), overlay)
	made := machine{program: filepath.Join(temporary, "operator")}
	build := exec.CommandContext(t.Context(), "go", "build", "-tags=operator,containers_image_openpgp",
		"-overlay="+filepath.Join(temporary, "overlay.json"), "-o", made.program, ".")
	build.Dir = directory
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the operator's functions: %v\n%s", err, out)
	}
	var file struct{ Contents struct{ Inline string } }
	raw := read(t, filepath.Join(root, "templates", "master", "01-master-container-runtime", "_base", "files",
		"policy-no-sigstoresigned.yaml"))
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	made.template = []byte(file.Contents.Inline)
	return made
}

// run runs the program, and decodes what it prints.
func (m machine) run(t *testing.T, in []byte, out any, arguments ...string) error {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), m.program, arguments...)
	command.Stdin, command.Stderr = bytes.NewReader(in), &stderr
	printed, err := command.Output()
	if err != nil {
		return &refusal{stderr.String()}
	}
	if err := json.Unmarshal(printed, out); err != nil {
		t.Fatalf("reading what the operator prints: %v", err)
	}
	return nil
}

// refusal is an error of the operator.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
