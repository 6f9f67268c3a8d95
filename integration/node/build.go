package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// build builds one program under a temporary name and renames it, so the program is always complete.
func (t *Tools) build(ctx context.Context, tool Recipe, progress io.Writer) error {
	environment := []string{"CGO_ENABLED=0"}
	if tool.Cgo {
		compiler, err := compiler(ctx, progress)
		if err != nil {
			return fmt.Errorf("building %s: %w", tool.Name, err)
		}
		environment = []string{"CGO_ENABLED=1", "CC=" + compiler}
	}
	if tool.Library != "" {
		if err := library(ctx, tool, progress); err != nil {
			return fmt.Errorf("building %s: %w", tool.Name, err)
		}
	}
	temporary := t.Path("." + tool.Name + ".new")
	arguments := []string{"-ldflags=-s -w", "-tags=" + tool.Tags}
	module := filepath.Join(t.repository, tool.module())
	if err := goBuild(ctx, module, tool.Package, temporary, arguments, environment); err != nil {
		return err
	}
	if err := os.Rename(temporary, t.Path(tool.Name)); err != nil {
		return fmt.Errorf("building %s: %w", tool.Name, err)
	}
	return nil
}

// BuildProgram builds a program of this repository, such as "./plugin/countersign", into a directory, and returns its
// path. It builds the program each time; Go's own cache detects what has changed. race enables the race detector.
func (t *Tools) BuildProgram(ctx context.Context, pkg, directory string, race bool) (string, error) {
	path := filepath.Join(directory, filepath.Base(pkg))
	arguments, environment := []string{"-tags=containers_image_openpgp"}, []string{"CGO_ENABLED=0"}
	if race {
		arguments, environment = append(arguments, "-race"), []string{"CGO_ENABLED=1"}
	}
	return path, goBuild(ctx, t.repository, pkg, path, arguments, environment)
}

func goBuild(ctx context.Context, module, pkg, path string, arguments, environment []string) error {
	arguments = append([]string{"build", "-buildvcs=false", "-o", path}, arguments...)
	command := exec.CommandContext(ctx, "go", append(arguments, pkg)...)
	command.Dir = module
	command.Env = append(append(os.Environ(), "GOWORK=off"), environment...)
	if text, err := command.CombinedOutput(); err != nil {
		if missing := missingModule(string(text)); missing != "" {
			return fmt.Errorf("building %s: a Go module is neither in Go's module cache nor can it be downloaded; connect this "+
				"machine to a Go module proxy (go env GOPROXY) and try again: %s", pkg, missing)
		}
		return fmt.Errorf("building %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// missingModule returns the cause if a build failed because modules could not be downloaded, and otherwise "". The go
// command prints it once for each of hundreds of modules.
func missingModule(text string) string {
	for line := range strings.Lines(text) {
		for _, cause := range []string{
			"disabled by GOPROXY", "dial tcp", "no such host", "connection refused", "i/o timeout", "proxyconnect",
		} {
			if at := strings.Index(line, cause); at >= 0 {
				return strings.TrimSpace(line[at:])
			}
		}
	}
	return ""
}

// compiler finds a C compiler, or installs one with apt if possible.
func compiler(ctx context.Context, progress io.Writer) (string, error) {
	if path, ok := findCompiler(); ok {
		return path, nil
	}
	missing := errors.New("it needs a C compiler: install gcc and the headers of the C library " +
		"(apt-get install gcc libc6-dev, dnf install gcc glibc-devel, apk add gcc musl-dev)")
	if err := aptInstall(ctx, progress, "gcc", "libc6-dev"); err != nil {
		return "", fmt.Errorf("%w; %w", missing, err)
	}
	if path, ok := findCompiler(); ok {
		return path, nil
	}
	return "", missing
}

// library makes sure that the C library of a program can be linked.
func library(ctx context.Context, tool Recipe, progress io.Writer) error {
	exists := func() bool { return exec.CommandContext(ctx, "pkg-config", "--exists", tool.Library).Run() == nil }
	if exists() {
		return nil
	}
	missing := fmt.Errorf("it needs the C library %s: install pkg-config and %s", tool.Library, tool.LibraryPackage)
	if err := aptInstall(ctx, progress, "pkg-config", tool.LibraryPackage); err != nil {
		return fmt.Errorf("%w; %w", missing, err)
	}
	if !exists() {
		return missing
	}
	return nil
}

// aptInstall installs Debian packages. It has an error if this is not Debian, or not root.
func aptInstall(ctx context.Context, progress io.Writer, packages ...string) error {
	if os.Geteuid() != 0 {
		return errors.New("they are installed automatically if this runs as root")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("they are installed automatically on Debian only")
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	for _, arguments := range [][]string{{"update"}, install} {
		fmt.Fprintf(progress, "apt-get %s …\n", strings.Join(arguments, " "))
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if text, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", arguments[0], err, text)
		}
	}
	return nil
}

func findCompiler() (string, bool) {
	for _, name := range []string{os.Getenv("CC"), "gcc", "cc", "clang"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// lockFile waits until this process has an exclusive lock on a file. The kernel releases it when the process ends.
func lockFile(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cache of tools: %w", err)
	}
	told := false
	err = poll(ctx, "another process that builds the tools", func(context.Context) error {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !told {
			fmt.Fprintln(progress, "waiting for another process that builds the tools …")
			told = true
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// output runs a command and returns its stdout. Its stderr becomes part of the error.
func output(ctx context.Context, directory, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = directory
	return runCommand(command)
}

func runCommand(command *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		name, text := filepath.Base(command.Path), strings.TrimSpace(stderr.String())
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(command.Args[1:], " "), err, text)
	}
	return stdout.String(), nil
}
