package node_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func TestToolsAreBuiltOnce(t *testing.T) {
	node.NewTools(t)
	var progress bytes.Buffer
	tools, err := node.BuildTools(t.Context(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	if progress.Len() > 0 {
		t.Errorf("with a complete cache it says %q", &progress)
	}
	for program, want := range map[string]string{
		"containerd": "v2.4.2", "runc": "1.5.2", "registry": "v3.1.2", "crane": "0.22.1", "cosign": "v3.1.3",
	} {
		// A program that is built as a dependency takes its version from its module, or has none, so the test reads the
		// module.
		text, err := exec.CommandContext(t.Context(), "go", "version", "-m", tools.Path(program)).Output()
		if err != nil {
			t.Errorf("%s: %v", program, err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not %s: %s", program, want, text)
		}
	}
}

// repository makes a repository that contains only the program witness.
func repository(t *testing.T, program string) string {
	t.Helper()
	root := t.TempDir()
	for path, contents := range map[string]string{
		"go.mod":                           "module github.com/countersign/countersign\n\ngo 1.26\n",
		"integration/tools/go.mod":         "module tools\n\ngo 1.26\n",
		"integration/tools/go.sum":         "",
		"integration/node/witness/main.go": program,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestToolsAreBuiltByOneOfSeveral(t *testing.T) {
	root := repository(t, "package main\n\nfunc main() {}\n")
	const builders = 4
	var all sync.WaitGroup
	progress := make([]bytes.Buffer, builders)
	for i := range builders {
		all.Go(func() {
			tools, err := node.BuildWitness(t.Context(), root, &progress[i])
			if err != nil {
				t.Error(err)
				return
			}
			if err := exec.CommandContext(t.Context(), tools.Path("witness")).Run(); err != nil {
				t.Errorf("the program is not whole: %v", err)
			}
		})
	}
	all.Wait()
	built := 0
	for i := range progress {
		built += strings.Count(progress[i].String(), "built witness")
	}
	if built != 1 {
		t.Errorf("it was built %d times, want once", built)
	}
}

func TestToolsAreBuiltAgainOnceTheyCompile(t *testing.T) {
	root := repository(t, "package main\n\nfunc main() { nonsense }\n")
	var progress bytes.Buffer
	_, err := node.BuildWitness(t.Context(), root, &progress)
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a program that does not compile: %v", err)
	}
	path := filepath.Join(root, "integration", "node", "witness", "main.go")
	if err := os.WriteFile(path, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.BuildWitness(t.Context(), root, &progress); err != nil {
		t.Errorf("once it compiles: %v", err)
	}
	if !strings.Contains(progress.String(), "building witness (1/1) …\n") {
		t.Errorf("progress is %q", &progress)
	}
}

func TestCompilerIsAskedForByName(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	var progress bytes.Buffer
	_, err := node.Compiler(t.Context(), &progress)
	if err == nil || !strings.Contains(err.Error(), "install gcc") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a compiler and without apt it says %v", err)
	}
}

// This apt-get is a fake: the machine may have a compiler, and a test must not install one.
func TestCompilerIsInstalledByApt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root installs packages")
	}
	bin := t.TempDir()
	script := "#!/bin/sh\n[ $1 = update ] || echo '#!/bin/sh' > " + bin + "/gcc && /bin/chmod -f +x " + bin + "/gcc\n:\n"
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	t.Setenv("CC", "")
	var progress bytes.Buffer
	path, err := node.Compiler(t.Context(), &progress)
	if err != nil || path != filepath.Join(bin, "gcc") {
		t.Errorf("it found %q, %v", path, err)
	}
	if !strings.Contains(progress.String(), "apt-get install -y --no-install-recommends gcc libc6-dev") {
		t.Errorf("progress is %q", &progress)
	}
}

func TestABuildThatLacksModulesSaysSoInOneLine(t *testing.T) {
	const lines = "demo/main.go:4:2: example.com/a@v1.0.0: Get \"…/a.zip\": dial tcp: lookup proxy.example: " +
		"no such host\n" +
		"integration/demo/main.go:5:2: example.com/b@v1.0.0: module lookup disabled by GOPROXY=off\n"
	for text, want := range map[string]string{
		lines: "dial tcp: lookup proxy.example: no such host",
		"a.go:5:2: example.com/b@v1.0.0: module lookup disabled by GOPROXY=off\n": "disabled by GOPROXY=off",
		"a.go:7:3: undefined: x\n": "",
	} {
		if got := node.MissingModule(text); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}
