//go:build !linux

package node

import (
	"errors"
	"syscall"
)

// A node requires Linux: [Supported] reports this before anything in this file is called.

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func unmount(string) error { return nil }

func cgroupProcesses(string) []int { return nil }

func cgroupRoots(string) []string { return nil }

func removeCgroup(string) error { return nil }

func supported() error { return errors.New("a node needs Linux") }
