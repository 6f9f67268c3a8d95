package node_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// remains lists what is left of a node: processes, mounts, cgroups and its directory. It finds processes independently
// of the code under test: by their arguments, and by their cgroups in /proc.
func remains(t *testing.T, path string) []string {
	t.Helper()
	var found []string
	for _, file := range []string{"cmdline", "cgroup"} {
		all, err := filepath.Glob("/proc/[0-9]*/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, process := range all {
			contents, err := os.ReadFile(process)
			if err == nil && strings.Contains(string(contents), "/"+filepath.Base(path)+"/") && !zombie(process) {
				found = append(found, "process "+process)
			}
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(mounts), " "+path+"/"); n > 0 {
		found = append(found, fmt.Sprint(n, " mounts"))
	}
	for _, cgroup := range node.CgroupRoots(path) {
		found = append(found, "cgroup "+cgroup)
	}
	if _, err := os.Stat(path); err == nil {
		found = append(found, "directory "+path)
	}
	return found
}

// zombie reports whether a process has ended, by a file of the process in /proc: on a machine whose init does not reap
// processes, ended ones stay in the list.
func zombie(file string) bool {
	contents, err := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
	_, rest, _ := strings.Cut(string(contents), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// busy is a node with a pod that has a volume.
func busy(t *testing.T) lab {
	t.Helper()
	lab := newLab(t)
	pushed := lab.push(t, "app:v1", "v1")
	lab.run(t, node.Container{
		Image: pushed.Reference, Volumes: []node.Volume{{Image: pushed.Reference, Path: "/volume"}},
	})
	return lab
}

func TestCloseLeavesNothing(t *testing.T) {
	for how, before := range map[string]func(lab){
		"with containerd":                func(lab) {},
		"with containerd killed":         func(l lab) { l.KillContainerd() },
		"with its containers' shim dead": func(l lab) { killShims(l.Path()) },
	} {
		t.Run(how, func(t *testing.T) {
			lab := busy(t)
			// containerd, a shim, the sandbox, the container, their mounts and cgroups, the directory.
			if found := remains(t, lab.Path()); len(found) < 7 {
				t.Fatalf("a node that works shows only %q: this test looks in the wrong places", found)
			}
			before(lab)
			if err := lab.Close(); err != nil {
				t.Error(err)
			}
			if found := remains(t, lab.Path()); len(found) > 0 {
				t.Errorf("a closed node leaves %q", found)
			}
		})
	}
}

func killShims(path string) {
	for _, pid := range node.ProcessesOf(path) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.HasPrefix(string(name), "containerd-shim") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestSweepLeavesTheLiving(t *testing.T) {
	lab := busy(t)
	before := remains(t, lab.Path())
	if err := node.Sweep(); err != nil {
		t.Fatal(err)
	}
	if after := remains(t, lab.Path()); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("of %q it left %q", before, after)
	}
}

// role is what a process started by a test should do.
const role = "COUNTERSIGN_TEST_ROLE"

// TestRole is not an independent test: other tests start it in a process that ends abnormally.
func TestRole(t *testing.T) {
	part := os.Getenv(role)
	if part == "" {
		t.Skip("this is for processes that other tests start")
	}
	if part == "look" {
		node.NewTools(t)
		return
	}
	lab := busy(t)
	fmt.Fprintln(os.Stdout, "directory", lab.Path())
	switch part {
	case "fail":
		t.Error("as intended")
	case "panic":
		panic("as intended")
	case "wait":
		<-t.Context().Done() // The process is killed before the context ends.
	}
}

// play starts this test program again in a role.
func play(t *testing.T, part string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRole$", "-test.v")
	command.Env = append(os.Environ(), role+"="+part)
	return command
}

func TestTestThatEndsBadlyLeavesNothing(t *testing.T) {
	node.NewTools(t)
	for _, part := range []string{"fail", "panic"} {
		t.Run(part, func(t *testing.T) {
			text, err := play(t, part).CombinedOutput()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
				t.Fatalf("it was to end badly: %v", err)
			}
			_, rest, _ := strings.Cut(string(text), "\ndirectory ")
			path, _, found := strings.Cut(rest, "\n")
			if !found {
				t.Fatalf("it booted no node: %s", text)
			}
			if found := remains(t, path); len(found) > 0 {
				t.Errorf("it leaves %q", found)
			}
			// While a test panics, package testing does not report to its cleanup functions that it failed.
			if part == "fail" && !strings.Contains(string(text), "log of containerd:") {
				t.Errorf("it does not show the node's log: %s", text)
			}
		})
	}
}

func TestSweepAfterAProcessThatWasKilled(t *testing.T) {
	node.NewTools(t)
	command := play(t, "wait")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	path := ""
	for lines := bufio.NewScanner(stdout); path == "" && lines.Scan(); {
		path, _ = strings.CutPrefix(lines.Text(), "directory ")
		if !filepath.IsAbs(path) {
			path = ""
		}
	}
	children := childrenOf(t, command.Process.Pid)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil || path == "" || len(children) < 2 {
		t.Fatalf("it was to boot a node with a registry and to be killed: %v", err)
	}
	for _, child := range children {
		waitForEnd(t, child)
	}
	if err := node.Sweep(); err != nil {
		t.Error(err)
	}
	if found := remains(t, path); len(found) > 0 {
		t.Errorf("after the sweep there is %q", found)
	}
}

// childrenOf lists the processes that a process has started.
func childrenOf(t *testing.T, parent int) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, path := range all {
		contents, err := os.ReadFile(path)
		if err != nil {
			continue // The process has ended in the meantime.
		}
		_, rest, _ := strings.Cut(string(contents), ") ") // The process's name; state and parent follow.
		if fields := strings.Fields(rest); fields[1] == strconv.Itoa(parent) {
			children = append(children, filepath.Dir(path))
		}
	}
	return children
}

// waitForEnd waits until a process no longer exists.
func waitForEnd(t *testing.T, process string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := os.Stat(process); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			name, _ := os.ReadFile(filepath.Join(process, "comm"))
			t.Errorf("%s outlives the process that started it", name)
			return
		}
	}
}

func TestWithoutRootTestsSkipLoudlyButFailInCI(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	// Another user can execute the copy.
	directory := t.TempDir()
	if err := os.Chmod(filepath.Dir(directory), 0o755); err != nil {
		t.Fatal(err)
	}
	contents, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(directory, "test")
	if err := os.WriteFile(program, contents, 0o755); err != nil {
		t.Fatal(err)
	}
	for ci, want := range map[string]string{
		"true": "--- FAIL: TestRole", "false": "SKIPPED, AND NOTHING WAS TESTED: a node needs root",
	} {
		command := play(t, "look")
		command.Path, command.Dir = program, "/"
		command.Env = append(command.Env, "CI="+ci)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		text, _ := command.CombinedOutput()
		if !strings.Contains(string(text), want) {
			t.Errorf("with CI=%s it says %s", ci, text)
		}
	}
}
