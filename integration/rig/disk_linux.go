package rig

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small one that a test can fill.
type Disk string

// NewDisk mounts a disk of 64 KiB for as long as the test runs.
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

// Fill takes all the room that is left, until Empty.
func (d Disk) Fill(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(d.filling(), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
}

// Empty gives back what Fill took.
func (d Disk) Empty(t testing.TB) {
	t.Helper()
	OK(t, os.Remove(d.filling()))
}

// Path is a path on the disk.
func (d Disk) Path(name string) string { return filepath.Join(string(d), name) }

func (d Disk) filling() string { return d.Path("filling") }
