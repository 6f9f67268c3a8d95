package node_test

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/plugin/node"
)

// stage is a directory that exists on the host of a test only: a file system is mounted above it there.
const stage = "/mnt/countersign-installer"

// newHost starts a process with mounts of its own, as the first process of a host, and returns a /proc that has it.
func newHost(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root")
		}
		t.Skip("this test needs root")
	}
	process := exec.CommandContext(t.Context(), "/bin/sh", "-c",
		"mount -t tmpfs -o "+options+" none /mnt && mount -t tmpfs none /run && echo mounted && exec sleep infinity")
	process.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Stderr = t.Output()
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatalf("the host has not started: %v, %q", err, line)
	}
	proc := t.TempDir()
	for name, target := range map[string]string{"1": strconv.Itoa(process.Process.Pid), "self": "self"} {
		if err := os.Symlink(filepath.Join("/proc", target), filepath.Join(proc, name)); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func openHost(t *testing.T, proc string) *node.Host {
	t.Helper()
	host, err := node.OpenHost(proc)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func TestProgramsRunInTheNamespacesOfTheHost(t *testing.T) {
	host := openHost(t, newHost(t, "mode=755"))
	script := "#!/bin/sh\necho \"$1 from $0 in $(readlink /proc/$$/ns/mnt) with $PATH\"; ls /mnt; exit 3\n"
	files := []node.File{{Name: "countersign", Mode: 0o700, Contents: []byte(script)}}
	for range 2 { // An earlier run may have been killed.
		if err := host.Copy(stage, files); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(stage); err == nil {
		t.Errorf("%s is in the file system of the test", stage)
	}
	var output bytes.Buffer
	command := exec.CommandContext(t.Context(), stage+"/countersign", "install")
	command.Stdout, command.Stderr = &output, &output
	err := host.Run(command)
	if command.ProcessState == nil || command.ProcessState.ExitCode() != 3 {
		t.Errorf("the program ended with %v, want status 3", err)
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	text := output.String()
	if !strings.HasPrefix(text, "install from "+stage+"/countersign in mnt:") || strings.Contains(text, ours) ||
		!strings.Contains(text, "/usr/sbin") || !strings.Contains(text, "countersign-installer") {
		t.Errorf("the program says %q; our namespace is %s", text, ours)
	}
	if err := host.Remove(stage); err != nil {
		t.Fatal(err)
	}
	if err := host.Do(func() error { _, err := os.Stat(stage); return err }); err == nil {
		t.Errorf("%s is still there", stage)
	}
}

// TestOtherThreadsStayWhereTheyAre: what runs after the host's function is in our own namespaces.
func TestOtherThreadsStayWhereTheyAre(t *testing.T) {
	host := openHost(t, newHost(t, "mode=755"))
	for range 50 {
		if err := host.Do(func() error { return os.WriteFile("/mnt/only-on-the-host", nil, 0o600) }); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/mnt/only-on-the-host"); err == nil {
			t.Fatal("a thread of the test is in the namespaces of the host")
		}
	}
}

func TestSystemdIsLookedForOnTheHost(t *testing.T) {
	host := openHost(t, newHost(t, "mode=755"))
	for _, want := range []bool{false, true} {
		if got, err := host.Systemd(); err != nil || got != want {
			t.Errorf("Systemd returned %v, %v, want %v", got, err, want)
		}
		if err := host.Do(func() error { return os.MkdirAll("/run/systemd/system", 0o700) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAHostThatCannotBeChangedIsNamed(t *testing.T) {
	t.Run("its file system allows no programs", func(t *testing.T) {
		host := openHost(t, newHost(t, "noexec"))
		program := node.File{Name: "countersign", Mode: 0o700, Contents: []byte("#!/bin/sh\n")}
		if err := host.Copy(stage, []node.File{program}); err != nil {
			t.Fatal(err)
		}
		err := host.Run(exec.CommandContext(t.Context(), stage+"/countersign"))
		if err == nil || !strings.Contains(err.Error(), "does not allow programs") {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("its processes are not visible", func(t *testing.T) {
		proc := t.TempDir()
		for _, name := range []string{"1", "self"} {
			if err := os.Symlink("/proc/self", filepath.Join(proc, name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := node.OpenHost(proc); err == nil || !strings.Contains(err.Error(), "hostPID: true") {
			t.Errorf("OpenHost returned %v", err)
		}
	})
	t.Run("there is no first process", func(t *testing.T) {
		if _, err := node.OpenHost(t.TempDir()); err == nil {
			t.Error("OpenHost returned no error")
		}
	})
}

func TestProgramsAreReadFromTheContainer(t *testing.T) {
	directory := t.TempDir()
	if _, err := node.Programs(directory, ""); err == nil {
		t.Error("Programs returned no error without programs")
	}
	for _, name := range []string{"countersign", "countersign-verifier", "policy"} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := node.Programs(directory, filepath.Join(directory, "policy"))
	if err != nil || len(files) != 3 || files[2].Name != node.PolicyName || string(files[2].Contents) != "policy" {
		t.Errorf("Programs returned %v, %v", files, err)
	}
	if _, err := node.Programs(directory, filepath.Join(directory, "none")); err == nil {
		t.Error("Programs returned no error without the policy")
	}
}

// TestTheFilesOfAKilledPodAreReplaced: what it has copied may be of another version, or incomplete.
func TestTheFilesOfAKilledPodAreReplaced(t *testing.T) {
	host := openHost(t, newHost(t, "mode=755"))
	copyFiles := func(names ...string) {
		t.Helper()
		var files []node.File
		for _, name := range names {
			files = append(files, node.File{Name: name, Mode: 0o600, Contents: []byte(name)})
		}
		if err := host.Copy(stage, files); err != nil {
			t.Fatal(err)
		}
	}
	copyFiles("countersign", node.PolicyName)
	copyFiles("countersign")
	var names []string
	err := host.Do(func() error {
		entries, err := os.ReadDir(stage)
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return err
	})
	if err != nil || len(names) != 1 || names[0] != "countersign" {
		t.Errorf("the stage has %q, %v", names, err)
	}
}

func TestWhatCannotBeCopiedLeavesNothing(t *testing.T) {
	host := openHost(t, newHost(t, "mode=755,size=8k"))
	program := node.File{Name: "countersign", Mode: 0o700, Contents: make([]byte, 64<<10)}
	if err := host.Copy(stage, []node.File{program}); err == nil || !strings.Contains(err.Error(), "copying programs") {
		t.Errorf("Copy returned %v", err)
	}
	if err := host.Do(func() error { _, err := os.Stat(stage); return err }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat returned %v after a copy to a full file system", err)
	}
}

// TestAFailureOnTheHostIsReturned, also for a program that is not there.
func TestAFailureOnTheHostIsReturned(t *testing.T) {
	host := openHost(t, newHost(t, "mode=755"))
	failure := errors.New("a failure")
	if err := host.Do(func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("Do returned %v", err)
	}
	if err := host.Run(exec.CommandContext(t.Context(), stage+"/countersign")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Run returned %v", err)
	}
}
