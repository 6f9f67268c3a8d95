package containerd_test

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/containerd"
)

// merged returns containerd's configuration, merged from a main file and drop-ins.
func merged(t *testing.T, main, dropIns string) *containerd.Config {
	t.Helper()
	config, err := containerd.LoadConfig(t.Context(), writeContainerd(t, main, dropIns))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// binDirectory returns a directory with executables of these names; names with a * are not executable.
func binDirectory(t *testing.T, names ...string) string {
	t.Helper()
	directory := t.TempDir()
	for _, name := range names {
		mode := os.FileMode(0o755)
		if strings.HasSuffix(name, "*") {
			mode = 0o644
		}
		path := filepath.Join(directory, strings.TrimSuffix(name, "*"))
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// TestProgramsThatCannotBeExecuted compares the result with what the kernel does.
func TestProgramsThatCannotBeExecuted(t *testing.T) {
	foreign := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		foreign = elf.EM_X86_64
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("there is no /proc")
	}
	other := slices.Clone(self[:1<<12])
	binary.NativeEndian.PutUint16(other[18:], uint16(foreign))
	binary.NativeEndian.PutUint64(other[40:], 0) // The section headers, which nothing reads.
	binary.NativeEndian.PutUint16(other[60:], 0)
	binary.NativeEndian.PutUint16(other[62:], 0)
	file := func(contents string, mode os.FileMode) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(contents), mode) }
	}
	for name, test := range map[string]struct {
		write func(path string) error
		want  string // empty: it is executed
	}{
		"a script":                     {file("#!/bin/sh\nexit 0\n", 0o755), ""},
		"a script with an argument":    {file("#! /bin/sh -e\nexit 0\n", 0o755), ""},
		"a symlink to a program":       {func(path string) error { return os.Symlink("/bin/true", path) }, ""},
		"mode 0644":                    {file("#!/bin/sh\n", 0o644), "its mode is 0644"},
		"an empty file":                {file("", 0o755), "not a program or a script"},
		"a text":                       {file("hello\n", 0o755), "not a program or a script"},
		"a script without interpreter": {file("#!/absent/sh\n", 0o755), "/absent/sh"},
		"a directory":                  {func(path string) error { return os.Mkdir(path, 0o755) }, "not a regular file"},
		"a dangling symlink":           {func(path string) error { return os.Symlink("/absent", path) }, "no such file"},
		"another architecture":         {file(string(other), 0o755), "it is a program for EM_"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "countersign-verifier")
			if err := test.write(path); err != nil {
				t.Fatal(err)
			}
			if err := exec.CommandContext(t.Context(), path).Run(); (err == nil) != (test.want == "") {
				t.Fatalf("the kernel returns %v", err)
			}
			err := containerd.VerifierIn(filepath.Dir(path), 10)
			if test.want == "" && err != nil {
				t.Errorf("got %v", err)
			}
			if test.want != "" && (!errors.Is(err, containerd.ErrPullsRefused) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want refused pulls and %q", err, test.want)
			}
		})
	}
}

func TestVerified(t *testing.T) {
	const images = "[plugins.'io.containerd.cri.v1.images']\n"
	ours := binDirectory(t, "countersign-verifier")
	many := []string{"countersign-verifier"}
	for i := range 10 {
		many = append(many, fmt.Sprintf("a-%d", i))
	}
	in := func(directory, more string) string {
		return "version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '" + directory + "'\n" + more
	}
	for name, test := range map[string]struct {
		main, dropIns, want string
	}{
		"installed":             {in(ours, ""), "", ""},
		"installed by a script": {in(binDirectory(t, "10-countersign-verifier.sh", "other"), ""), "", ""},
		"among others":          {in(binDirectory(t, "countersign-verifier", "other"), ""), "", ""},
		"nothing there":         {in(t.TempDir(), ""), "", "does not contain"},
		"only others":           {in(binDirectory(t, "other"), ""), "", "does not contain countersign-verifier"},
		"no directory":          {in("/absent", ""), "", "open /absent"},
		"not executable":        {in(binDirectory(t, "countersign-verifier*"), ""), "", "cannot be executed"},
		"after ten others":      {in(binDirectory(t, many...), ""), "", "not among the first 10"},
		"as many as there are":  {in(binDirectory(t, many...), "max_verifiers = -1\n"), "", ""},
		"moved by a drop-in":    {in("/absent", ""), in(ours, ""), ""},
		"too little time":       {in(ours, "per_verifier_timeout = '5s'\n"), "", "after 5s"},
		"the plugin is disabled": {
			"version = 3\ndisabled_plugins = ['io.containerd.image-verifier.v1.bindir']\n", in(ours, ""), "disables its plugin",
		},
		"pulled by the CRI itself":   {in(ours, images+"use_local_image_pull = true\n"), "", "use_local_image_pull is set"},
		"discarding layers":          {in(ours, images+"discard_unpacked_layers = true\n"), "", "discard_unpacked_layers"},
		"snapshot annotations":       {in(ours, images+"disable_snapshot_annotations = false\n"), "", "annotations is false"},
		"more downloads at a time":   {in(ours, images+"max_concurrent_downloads = 5\n"), "", "_downloads is 5"},
		"as many downloads as usual": {in(ours, images+"max_concurrent_downloads = 3\n"), "", ""},
		"mirrors in the old way": {
			in(ours, "[plugins.'io.containerd.cri.v1.images'.registry.mirrors.'docker.io']\nendpoint = ['x']\n"), "",
			"registry.mirrors is set",
		},
		"a config_path": {in(ours, "[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/x'\n"), "", ""},
		"version 2": {
			strings.Replace(in(ours, "[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndiscard_unpacked_layers = true\n"),
				"version = 3", "version = 2", 1),
			"", "discard_unpacked_layers",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := merged(t, test.main, test.dropIns).VerifiesPulls(8 * time.Second)
			if test.want == "" && err != nil {
				t.Errorf("not verified: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestSandboxImage(t *testing.T) {
	const (
		pinned = "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'registry.example/pause:1'\n"
		older  = "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'registry.example/older:1'\n"
	)
	const standard = "registry.k8s.io/pause:3.10.2"
	newest := strings.Replace(pinned, "version = 3", "version = 4", 1)
	for name, test := range map[string]struct{ main, dropIns, want string }{
		"nothing configured":             {"version = 3\n", "", standard},
		"configured":                     {pinned, "", "registry.example/pause:1"},
		"configured by a drop-in":        {"version = 3\n", pinned, "registry.example/pause:1"},
		"configured as in version 2":     {older, "", "registry.example/older:1"},
		"version 2 and a newer drop-in":  {older, "version = 3\n[plugins.'x']\n", "registry.example/older:1"},
		"configured in both, the newer":  {older, pinned, "registry.example/pause:1"},
		"other images are pinned":        {strings.Replace(pinned, "sandbox", "other", 1), "", standard},
		"version 4, which is the newest": {newest, "", "registry.example/pause:1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := merged(t, test.main, test.dropIns).SandboxImage(); got != test.want {
				t.Errorf("the sandbox image is %s, want %s", got, test.want)
			}
		})
	}
}
