//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// fault is something that goes wrong.
type fault struct {
	name string
	// happen causes the fault once, and returns when it has ended.
	happen func(context.Context, *lab) error
	// part is the share of the tries that must be answered: one in part. During most of a long fault, none is.
	part int
	// isHarmless reports whether the daemon goes on answering all the time, and refuses nothing that it should admit,
	// unless it has no time to decide.
	isHarmless bool
	// isFresh reports whether an image that was never seen before has to be admitted meanwhile.
	isFresh bool
}

// hold is how long faults last that have no length of their own, and between is how long all is well before a fault
// during which nothing is answered.
const (
	hold    = 4 * time.Second
	between = 2 * time.Second
)

// noFault is the name of the row during which nothing goes wrong.
const noFault = "none"

// faults lists all faults, in the order of the table.
func faults() []fault {
	list := []fault{
		{name: noFault, happen: holding(nothing, nothing), isHarmless: true, isFresh: true},
		{name: "daemon killed", happen: killed},
		{name: "daemon stopped for 1 s", happen: stoppedFor(time.Second)},
		{name: "daemon stopped for 3 s", happen: stoppedFor(3 * time.Second), part: 4},
		{name: "daemon stopped for 30 s", happen: stoppedFor(30 * time.Second), part: 20},
		{name: "daemon starved", happen: holding(starve, feed), part: 4},
		{name: "daemon out of descriptors", happen: outOfDescriptors},
		{name: "daemon out of memory", happen: outOfMemory, part: 4},
	}
	list = append(list, clockFaults()...)
	return append(list, []fault{
		{name: "containerd restarted", happen: containerdRestarted, part: 2},
		{name: "disk full", happen: holding(fillDisk, emptyDisk), isHarmless: true, isFresh: true},
		{name: "policy torn", happen: holding(tearPolicies, repairPolicies), isHarmless: true, isFresh: true},
		{name: "registry slow", happen: registryIn(slowly), isHarmless: true},
		{name: "registry silent", happen: registryIn(silent), isHarmless: true},
		{name: "registry hostile", happen: registryIn(junk), isHarmless: true},
		{name: "registry failing", happen: registryIn(failing), isHarmless: true},
		{name: "registry gone", happen: registryIn(gone), isHarmless: true},
		{name: "attack: invented registries", happen: inventedRegistries, isHarmless: true, isFresh: true},
		{name: "attack: signatures replaced", happen: holding(replaceSignatures, restoreSignatures), isHarmless: true},
	}...)
}

// step is the beginning or the end of a fault.
type step func(context.Context, *lab) error

func nothing(context.Context, *lab) error { return nil }

// holding returns a fault that begins, lasts for some time, and ends.
func holding(begin, end step) step {
	return func(ctx context.Context, l *lab) error {
		err := begin(ctx, l)
		pause(ctx, hold)
		return errors.Join(err, end(context.WithoutCancel(ctx), l))
	}
}

func registryIn(mood mood) step {
	return holding(
		func(_ context.Context, l *lab) error { l.moody.set(mood); return nil },
		func(_ context.Context, l *lab) error { l.moody.set(good); return nil },
	)
}

// containerdRestarted ends when CRI answers again.
func containerdRestarted(ctx context.Context, l *lab) error {
	pause(ctx, between)
	// How it ends does not matter here: with requests in progress, containerd 2.4.2 sometimes panics when it is stopped.
	_ = l.node.StopContainerd(ctx)
	return l.startContainerd(ctx)
}

// startContainerd waits longer than a test does until containerd is ready: it reads all images, containers and pods
// that a soak has left behind, on a machine that is busy. If it is never ready, the error has the end of its log.
func (l *lab) startContainerd(ctx context.Context) error {
	if err := l.node.StartContainerd(ctx); err == nil {
		return nil
	}
	err := node.Until(ctx, "containerd to be ready after a restart", func(ctx context.Context) error {
		// It is started again if it has ended.
		if err := l.node.StartContainerd(ctx); err != nil {
			return err
		}
		answer, err := l.node.CRI.Runtime.Status(ctx, &cri.StatusRequest{})
		if err != nil {
			return err
		}
		for _, condition := range answer.GetStatus().GetConditions() {
			if condition.GetType() == "RuntimeReady" && !condition.GetStatus() {
				return errors.New(condition.GetMessage())
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, node.Tail(l.node.ContainerdLog()))
	}
	return nil
}
