// Kind creates a kind cluster of two nodes on this machine, whose programs are built from pinned modules, and runs
// scripts/kind.sh there: make e2e-kind. It needs root, and changes nothing outside of .cache/kind.
//
// What a user's kind has and this one does not: kind's node image, its network plugin, kube-proxy and cluster DNS.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kind:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can run containers")
	}
	repository, err := node.Repository()
	if err != nil {
		return err
	}
	cache := filepath.Join(repository, ".cache", "kind")
	directories, err := programs(ctx, repository, cache)
	if err != nil {
		return err
	}
	if err := node.InstallDebian(ctx, os.Stderr, "debootstrap", "iptables", "jq"); err != nil {
		return err
	}
	files, err := output(ctx, filepath.Join(repository, "integration/tools/kind"), "go", "list", "-m", "-f", "{{.Dir}}",
		"sigs.k8s.io/kind")
	if err != nil {
		return err
	}
	script := exec.CommandContext(ctx, filepath.Join(repository, "integration/kind/e2e.sh"))
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) } // It removes what it has made.
	script.Env = append(os.Environ(), "CACHE="+cache, "PROGRAMS="+strings.Join(directories, " "),
		"KIND_FILES="+filepath.Join(files, "images/base"))
	script.Stdout, script.Stderr = os.Stdout, os.Stderr
	return script.Run()
}

// program is a program that is built here. Those of Kubernetes have to know their version: kubeadm compares versions.
type program struct{ module, path string }

func list() []program {
	const kubernetes, cluster = "integration/tools/kubernetes", "integration/tools/cluster"
	const commands, plugins = "k8s.io/kubernetes/cmd/", "github.com/containernetworking/plugins/plugins/"
	return []program{
		{kubernetes, commands + "kubelet"},
		{kubernetes, commands + "kube-apiserver"},
		{kubernetes, commands + "kube-controller-manager"},
		{kubernetes, commands + "kubectl"},
		{cluster, commands + "kube-scheduler"},
		{cluster, commands + "kubeadm"},
		{cluster, plugins + "main/bridge"},
		{cluster, plugins + "ipam/host-local"},
		{"integration/tools/kind", "sigs.k8s.io/kind"},
		{"scripts/chart", "helm.sh/helm/v4/cmd/helm"},
		{".", "./integration/kind/pause"},
	}
}

// programs returns the directories with all programs, and builds those that are not in the cache.
func programs(ctx context.Context, repository, cache string) ([]string, error) {
	tools, err := kubernetes.BuildTools(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	base, err := node.BuildTools(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	// The release that kind's own node image has.
	containerd, err := base.ContainerdPrograms(ctx, node.Containerd23)
	if err != nil {
		return nil, err
	}
	version, err := output(ctx, filepath.Join(repository, "integration/tools/cluster"), "go", "list", "-m", "-f",
		"{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return nil, err
	}
	key := sha256.New()
	for _, p := range list() {
		for _, name := range []string{"go.mod", "go.sum"} {
			text, err := os.ReadFile(filepath.Join(repository, p.module, name))
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(key, "%s %s\n%s", p, version, text)
		}
	}
	built := filepath.Join(cache, "programs-"+hex.EncodeToString(key.Sum(nil))[:16])
	for _, p := range list() {
		if err := build(ctx, repository, p, built, version); err != nil {
			return nil, err
		}
	}
	return []string{built, tools.Directory, containerd, base.Directory}, nil
}

// build builds one program under a temporary name, unless it is there.
func build(ctx context.Context, repository string, p program, directory, version string) error {
	path := filepath.Join(directory, filepath.Base(p.path))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	const variable = " -X k8s.io/component-base/version.git"
	flags := "-s -w" + variable + "Version=" + version + variable + "Major=" + parts[0] + variable + "Minor=" + parts[1]
	fmt.Fprintf(os.Stderr, "building %s …\n", filepath.Base(p.path))
	command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path+".new", "-ldflags="+flags, p.path)
	command.Dir = filepath.Join(repository, p.module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", p.path, err, text)
	}
	return os.Rename(path+".new", path)
}

func output(ctx context.Context, directory, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = directory
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(arguments, " "), err)
	}
	return strings.TrimSpace(string(text)), nil
}
