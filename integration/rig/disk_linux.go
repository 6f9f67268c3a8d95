package rig

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system that a test can fill.
type Disk string

// NewDisk mounts a file system of 64 KiB until the test ends.
func NewDisk(t testing.TB) Disk {
	t.Helper()
	disk := t.TempDir()
	OK(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	return Disk(disk)
}

// Fill uses all free space, until Empty is called.
func (d Disk) Fill(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(d.filling(), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
}

// Empty frees the space that Fill has used.
func (d Disk) Empty(t testing.TB) {
	t.Helper()
	OK(t, os.Remove(d.filling()))
}

// Path returns a path in the file system.
func (d Disk) Path(name string) string { return filepath.Join(string(d), name) }

func (d Disk) filling() string { return d.Path("filling") }
