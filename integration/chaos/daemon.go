//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// restartDelay is RestartSec of conf/countersign.service.
const restartDelay = 200 * time.Millisecond

// daemon is countersign in a cgroup of its own, which is restarted as systemd does it.
type daemon struct {
	*node.Daemon
	limits *limits

	end     context.CancelFunc
	running sync.WaitGroup
	// memory, descriptors and goroutines are those after the start.
	before growth
}

// newDaemon starts the program on a node.
func newDaemon(ctx context.Context, n *node.Node, program string, settings map[string]map[string]any) (*daemon, error) {
	limits, err := newLimits(n.CgroupParent())
	if err != nil {
		return nil, err
	}
	wrapper := n.Path("countersign-in-cgroup")
	if err := os.WriteFile(wrapper, []byte(limits.script(program)), 0o700); err != nil { //nolint:gosec // It is a program.
		return nil, fmt.Errorf("preparing the daemon: %w", err)
	}
	running, err := n.NewDaemon(ctx, node.DaemonConfig{Program: wrapper, Settings: settings})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(running.Start(), running.Ready(ctx)); err != nil {
		return nil, err
	}
	d := &daemon{Daemon: running, limits: limits}
	supervising, end := context.WithCancel(context.WithoutCancel(ctx))
	d.end = end
	d.running.Go(func() { d.supervise(supervising) })
	return d, nil
}

// supervise restarts the daemon whenever it ends.
func (d *daemon) supervise(ctx context.Context) {
	for ctx.Err() == nil {
		_, _ = d.Wait(ctx)
		if !pause(ctx, restartDelay) {
			return
		}
		_ = d.Start() // If it does not start, the bounds are not held.
	}
}

// close ends the daemon and what restarts it.
func (d *daemon) close(ctx context.Context) error {
	d.end()
	d.running.Wait()
	return d.Terminate(ctx)
}

// growth is what must not grow.
type growth struct{ memory, descriptors, goroutines float64 }

// The bounds of growth during a soak: of design's resident memory, and what a few more connections need.
const (
	maxMemory      = 200 << 20
	maxDescriptors = 50
	maxGoroutines  = 100
)

func (d *daemon) measure(ctx context.Context) (g growth, err error) {
	for series, value := range map[string]*float64{
		"process_resident_memory_bytes": &g.memory, "process_open_fds": &g.descriptors, "go_goroutines": &g.goroutines,
	} {
		if *value, err = d.Metric(ctx, series); err != nil {
			return g, err
		}
	}
	return g, nil
}

// checkGrowth waits until the daemon is back at what it had after the start, or nearly.
func (d *daemon) checkGrowth(ctx context.Context) error {
	if err := d.Ready(ctx); err != nil {
		return err
	}
	err := node.Until(ctx, "the daemon to use no more than at its start", func(ctx context.Context) error {
		now, err := d.measure(ctx)
		if err == nil && (now.memory > maxMemory || now.descriptors > d.before.descriptors+maxDescriptors ||
			now.goroutines > d.before.goroutines+maxGoroutines) {
			err = fmt.Errorf("it uses %+v, and used %+v", now, d.before)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errBounds, err)
	}
	return nil
}

// limits are the cgroup of a daemon.
type limits struct{ cpu, memory string }

const cgroups = "/sys/fs/cgroup"

// newLimits makes a cgroup below another one, in the hierarchies of version 1 or in that of version 2.
func newLimits(parent string) (*limits, error) {
	l := &limits{
		cpu:    filepath.Join(cgroups, "cpu", parent, "countersign"),
		memory: filepath.Join(cgroups, "memory", parent, "countersign"),
	}
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		l.cpu = filepath.Join(cgroups, parent, "countersign")
		l.memory = l.cpu
		for _, at := range []string{cgroups, filepath.Join(cgroups, parent)} {
			_ = os.MkdirAll(at, 0o755)
			_ = os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+cpu +memory"), 0o600)
		}
	}
	for _, path := range []string{l.cpu, l.memory} {
		if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // As all cgroups.
			return nil, fmt.Errorf("making a cgroup: %w", err)
		}
	}
	return l, nil
}

// script is a program that enters the cgroup and becomes another one.
func (l *limits) script(program string) string {
	return fmt.Sprintf("#!/bin/sh\necho $$ > '%s/cgroup.procs'\necho $$ > '%s/cgroup.procs'\nexec '%s' \"$@\"\n",
		l.cpu, l.memory, program)
}

// isV2 reports whether both limits are in the one hierarchy of version 2.
func (l *limits) isV2() bool { return l.cpu == l.memory }

// setCPU limits the processor time to thousandths of one processor; 0: no limit.
func (l *limits) setCPU(thousandths int) error {
	name, value, none := "cpu.cfs_quota_us", fmt.Sprint(thousandths*100), "-1"
	if l.isV2() {
		name, value, none = "cpu.max", fmt.Sprintf("%d 100000", thousandths*100), "max"
	}
	return l.set(l.cpu, name, value, none, thousandths == 0)
}

// setMemory limits the memory to MiB; 0: no limit.
func (l *limits) setMemory(mib int) error {
	name, none := "memory.limit_in_bytes", "-1"
	if l.isV2() {
		name, none = "memory.max", "max"
	}
	return l.set(l.memory, name, fmt.Sprint(mib<<20), none, mib == 0)
}

func (l *limits) set(directory, name, value, none string, isNone bool) error {
	if isNone {
		value = none
	}
	if err := os.WriteFile(filepath.Join(directory, name), []byte(value), 0o600); err != nil {
		return fmt.Errorf("limiting the daemon: %w", err)
	}
	return nil
}
