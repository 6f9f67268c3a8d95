//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// diskSize is the size of the file system with the stored evidence.
const diskSize = 2 << 20

// mountDisk mounts a small file system. Closing the node unmounts it.
func mountDisk(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("making a disk: %w", err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return fmt.Errorf("making a disk: %w", err)
	}
	return nil
}

func (l *lab) filling() string { return filepath.Join(l.disk, "filling") }

func fillDisk(_ context.Context, l *lab) error {
	err := os.WriteFile(l.filling(), make([]byte, 2*diskSize), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk: %w", err)
	}
	return nil
}

func emptyDisk(_ context.Context, l *lab) error {
	if err := os.Remove(l.filling()); err != nil {
		return fmt.Errorf("emptying the disk: %w", err)
	}
	return nil
}

// tearing writes parts of documents into their files, as an editor does that does not replace them.
type tearing struct {
	end  context.CancelFunc
	done sync.WaitGroup
}

func tearPolicies(ctx context.Context, l *lab) error {
	ctx, l.tearing.end = context.WithCancel(ctx)
	l.tearing.done.Go(func() {
		for part := 1; ; part += 37 {
			for path, document := range l.documents {
				_ = os.WriteFile(path, []byte(document[:part%len(document)]), 0o600)
			}
			if !pause(ctx, 50*time.Millisecond) {
				return
			}
		}
	})
	return nil
}

func repairPolicies(_ context.Context, l *lab) error {
	l.tearing.end()
	l.tearing.done.Wait()
	var failures []error
	for path, document := range l.documents {
		failures = append(failures, os.WriteFile(path, []byte(document), 0o600))
	}
	return errors.Join(failures...)
}
