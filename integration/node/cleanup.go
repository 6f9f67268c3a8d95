package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endAll ends every process of a directory or its cgroup, and unmounts everything below the directory. By design, a
// shim outlives its containerd, and a container its shim. So it finds both: shims by the socket of containerd among
// their arguments, containers by the cgroup that is named after the directory.
func endAll(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	gone := until(ctx, "processes of "+path+" to end", func(context.Context) error {
		left := processesOf(path)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(left) > 0 {
			return fmt.Errorf("processes %v still run", left)
		}
		return nil
	})
	if gone != nil {
		return gone
	}
	if err := unmount(path); err != nil {
		return err
	}
	return until(ctx, "cgroup "+cgroupOf(path)+" to go", func(context.Context) error {
		return removeCgroup(cgroupOf(path))
	})
}

// cgroupOf names the cgroup below which the containers of a node run.
func cgroupOf(path string) string { return filepath.Base(path) }

// processesOf lists the processes that belong to a directory, without this process. Zombies do not count: their parents
// have not waited for them yet.
func processesOf(path string) []int {
	found := cgroupProcesses(cgroupOf(path))
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && pid != os.Getpid() && worksBelow(pid, path) {
			found = append(found, pid)
		}
	}
	return found
}

// worksBelow reports whether a process is one of a node's programs, with an argument that is a path below the node's
// directory. A zombie has no arguments.
func worksBelow(pid int, path string) bool {
	contents, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return false
	}
	arguments := strings.Split(string(contents), "\x00")
	switch filepath.Base(arguments[0]) {
	case "containerd", "containerd-shim-runc-v2", "runc":
	default:
		return false
	}
	return slices.ContainsFunc(arguments[1:], func(argument string) bool {
		return strings.HasPrefix(argument, path+"/")
	})
}
