package node

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const cgroups = "/sys/fs/cgroup"

// attributes puts a process into its own process group, and lets the kernel kill it when the thread that started it
// ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// unmount unmounts everything below a directory, the deepest first.
func unmount(directory string) error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	defer file.Close()
	var points []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], directory+"/") {
			points = append(points, fields[4])
		}
	}
	var problem error
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			problem = errors.Join(problem, fmt.Errorf("unmounting %s: %w", point, err))
		}
	}
	return problem
}

// cgroupProcesses lists the processes in a cgroup and those below it, in every hierarchy.
func cgroupProcesses(name string) []int {
	var processes []int
	for _, root := range cgroupRoots(name) {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "cgroup.procs" {
				processes = append(processes, numbers(path)...)
			}
			return nil
		})
	}
	slices.Sort(processes)
	return slices.Compact(processes)
}

// removeCgroup removes a cgroup without processes, and those below it.
func removeCgroup(name string) error {
	var problem error
	for _, root := range cgroupRoots(name) {
		var found []string
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil
		})
		for _, path := range slices.Backward(found) {
			if err := syscall.Rmdir(path); err != nil && !errors.Is(err, syscall.ENOENT) {
				problem = errors.Join(problem, fmt.Errorf("removing cgroup %s: %w", path, err))
			}
		}
	}
	return problem
}

// cgroupRoots finds a cgroup in the one hierarchy of version 2 and in the several of version 1.
func cgroupRoots(name string) []string {
	roots, _ := filepath.Glob(filepath.Join(cgroups, name))
	more, _ := filepath.Glob(filepath.Join(cgroups, "*", name))
	return append(roots, more...)
}

func numbers(path string) []int {
	contents, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var found []int
	for field := range strings.FieldsSeq(string(contents)) {
		if number, err := strconv.Atoi(field); err == nil {
			found = append(found, number)
		}
	}
	return found
}

func supported() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root")
	}
	return nil
}
