package containerd

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// verifierIn returns nil if containerd runs countersign-verifier from a directory. Otherwise it returns why containerd
// does not, or why it refuses every pull. Like containerd v2.4.2 (pkg/imageverifier/bindir) it reads as many entries as
// the limit allows, sorted by name; a negative limit is no limit. containerd runs each entry, and refuses the image if
// one cannot be executed. An entry may be a script that runs the verifier.
func verifierIn(directory string, limit int) error {
	const advice = "install countersign-verifier there: without it containerd admits every pull"
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; %s", err, advice)
	}
	if err != nil {
		return fmt.Errorf("%w: cannot read the directory of image verifiers: %w", ErrPullsRefused, err)
	}
	var ours string
	for i, entry := range entries {
		if limit >= 0 && i >= limit {
			break
		}
		if err := executable(filepath.Join(directory, entry.Name())); err != nil {
			return fmt.Errorf("%w: image verifier %s in %s cannot be executed: %w; repair or remove it",
				ErrPullsRefused, entry.Name(), directory, err)
		}
		if strings.Contains(entry.Name(), "countersign") {
			ours = entry.Name()
		}
	}
	if ours != "" {
		return nil
	}
	for _, entry := range entries {
		if strings.Contains(entry.Name(), "countersign") {
			return fmt.Errorf("%w: %s in %s is not among the first %d: increase max_verifiers", ErrTooManyVerifiers,
				entry.Name(), directory, limit)
		}
	}
	return fmt.Errorf("%s does not contain countersign-verifier; %s", directory, advice)
}

// executable returns why the kernel would not execute a file for root. It does not execute the file.
func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("its mode is %#o", info.Mode().Perm())
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	head, err := bufio.NewReader(io.LimitReader(file, 256)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if script, found := bytes.CutPrefix(head, []byte("#!")); found {
		interpreter := strings.Fields(string(script) + " ")
		if len(interpreter) == 0 {
			return errors.New("its first line does not name an interpreter")
		}
		_, err := exec.LookPath(interpreter[0])
		return err
	}
	return sameMachine(file)
}

// sameMachine returns why a program is not built for this machine.
func sameMachine(file *os.File) error {
	program, err := elf.NewFile(file)
	if err != nil {
		return fmt.Errorf("it is not a program or a script: %w", err)
	}
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil // There is no program to compare it with.
	}
	defer self.Close()
	if program.Machine != self.Machine || program.Class != self.Class {
		return fmt.Errorf("it is a program for %s, %s, but this machine is %s, %s",
			program.Machine, program.Class, self.Machine, self.Class)
	}
	return nil
}
