package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Stage is the directory on the host with copies of this container's programs, for as long as they run there. Its file
// system usually allows programs, which those of /run and /tmp often do not.
const Stage = "/var/lib/countersign-installer"

// File is a file to copy to the host.
type File struct {
	Name     string
	Mode     fs.FileMode
	Contents []byte
}

// Programs returns the programs of a directory that install needs, and a system policy if its path is not empty.
func Programs(directory, policy string) ([]File, error) {
	var files []File
	for _, name := range []string{"countersign", "countersign-verifier"} {
		contents, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			return nil, err
		}
		files = append(files, File{Name: name, Mode: 0o700, Contents: contents})
	}
	if policy == "" {
		return files, nil
	}
	contents, err := os.ReadFile(policy)
	if err != nil {
		return nil, fmt.Errorf("--system-policy: %w", err)
	}
	return append(files, File{Name: PolicyName, Mode: 0o600, Contents: contents}), nil
}

// PolicyName is the name of the system policy in the stage.
const PolicyName = "system.json"

// Copy copies files into a directory of the host, which is emptied before: an earlier run may have been killed.
func (h *Host) Copy(directory string, files []File) error {
	return h.Do(func() error {
		if err := os.RemoveAll(directory); err != nil {
			return fmt.Errorf("copying programs to the host: %w", err)
		}
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return fmt.Errorf("copying programs to the host: %w", err)
		}
		for _, file := range files {
			if err := os.WriteFile(filepath.Join(directory, file.Name), file.Contents, file.Mode); err != nil {
				return errors.Join(fmt.Errorf("copying programs to the host: %w", err), os.RemoveAll(directory))
			}
		}
		return nil
	})
}

// Remove removes a directory of the host.
func (h *Host) Remove(directory string) error {
	return h.Do(func() error { return os.RemoveAll(directory) })
}
