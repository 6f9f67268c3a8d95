package main

import (
	"context"

	"github.com/containerd/nri/pkg/api"
)

// aroundValidation is the argument that makes the idle plugin an [around].
const aroundValidation = "around-validation"

// around is an NRI plugin that requests the container's snapshot just before and just after its validation. It is for a
// node on which countersign runs too: containerd validates with all plugins at the same time (nri v0.12.3,
// pkg/adaptation), so that the requests of a plugin that validates would slow countersign's down.
type around struct {
	registered chan<- struct{}
	stat       func(ctx context.Context, container string) error
}

// Synchronize signals that the plugin is registered.
//
//nolint:unparam // The signature is NRI's.
func (a around) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) {
	close(a.registered)
	return nil, nil
}

// CreateContainer is called before the validation, and adjusts nothing.
//
//nolint:unparam // The signature is NRI's.
func (a around) CreateContainer(ctx context.Context, _ *api.PodSandbox, container *api.Container) (
	*api.ContainerAdjustment, []*api.ContainerUpdate, error,
) {
	return nil, nil, a.stat(ctx, container.GetId())
}

// PostCreateContainer is called after the validation.
func (a around) PostCreateContainer(ctx context.Context, _ *api.PodSandbox, container *api.Container) error {
	return a.stat(ctx, container.GetId())
}
