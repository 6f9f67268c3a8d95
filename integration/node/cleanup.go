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

// endAll ends every process that works below a directory or in its cgroup and unmounts what is mounted there. A shim
// outlives its containerd by design, and a container its shim, so both are looked for: shims by the socket of
// containerd among their arguments, containers by the cgroup that is named after the directory.
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

// processesOf lists the processes, but for this one, that belong to a directory. Zombies do not count: whoever
// started them has yet to ask for their end.
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

// worksBelow reports whether a process is one of a node's own programs and one of its arguments lies below the node's
// directory, whose name occurs once. A zombie has no arguments.
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
