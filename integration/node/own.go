package node

import (
	"context"
	"io"
)

// Directory is a temporary directory for tests that build their own node. What runs in the cgroup with its name ends
// when it is removed, as for a [Node]; [Sweep] removes it if its process was killed.
type Directory struct{ directory *directory }

// NewDirectory makes a directory. The caller must remove it.
func NewDirectory() (*Directory, error) {
	if err := Sweep(); err != nil {
		return nil, err
	}
	made, err := newDirectory()
	if err != nil {
		return nil, err
	}
	return &Directory{made}, nil
}

// Path returns a path below the directory.
func (d *Directory) Path(elements ...string) string { return d.directory.join(elements...) }

// Cgroup names the cgroup of the directory.
func (d *Directory) Cgroup() string { return cgroupOf(d.directory.path) }

// StartProgram starts a program in the directory. The kernel kills it when this process dies.
func (d *Directory) StartProgram(p Program) (*Process, error) {
	return startProgram(d.directory.path, p)
}

// Remove ends the processes of the directory's cgroup, unmounts everything below the directory and deletes it.
func (d *Directory) Remove() error { return d.directory.remove() }

// ContainerdPrograms returns the directory with the containerd, shim and ctr of a release. It builds them if necessary.
func (t *Tools) ContainerdPrograms(ctx context.Context, wanted Release) (string, error) {
	found, err := t.containerd(ctx, wanted)
	return found.directory, err
}

// InstallDebian installs Debian packages on this machine. It has an error if this is not Debian, or not root.
func InstallDebian(ctx context.Context, progress io.Writer, packages ...string) error {
	return aptInstall(ctx, progress, packages...)
}

// Lock waits until this process has an exclusive lock on a file. The kernel releases it when the process ends.
func Lock(ctx context.Context, path string, progress io.Writer) (unlock func(), err error) {
	return lockFile(ctx, path, progress)
}

// Repository returns the root of this repository.
func Repository() (string, error) { return findRepository() }
