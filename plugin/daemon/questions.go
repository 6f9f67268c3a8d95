package daemon

import (
	"context"

	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/cri"
	"github.com/countersign/countersign/policy"
)

func (d *daemon) newChecks() *checks {
	return &checks{
		decide:  d.decider.Decide,
		advise:  d.decider.Advice,
		mode:    d.modeOf,
		foundBy: d.foundBy,
		alike:   d.images.Alike,
		signers: func(ctx context.Context, q policy.Question) []string {
			return Signers(ctx, d.decider, d.kinds, q)
		},
		slots: make(slots, maxChecks),
	}
}

// newExplainer returns the explainer, which shares the slots of the checks.
func (d *daemon) newExplainer() *explainer {
	return &explainer{
		decider:   d.decider,
		decisions: d.recorder.decisions,
		mode:      d.modeOf,
		kinds:     d.kinds,
		foundBy:   d.foundBy,
		alike:     d.images.Alike,
		running:   d.runningContainers,
		record:    d.images.Record,
		content:   d.images.Content,
		slots:     d.checks.slots,
	}
}

func (d *daemon) newRunning() *running {
	return &running{
		changed:  d.runningChanged,
		list:     d.runningContainers,
		evaluate: d.plugin.Reevaluate,
		record:   d.recorder.record,
		drift:    d.recorder.drift,
		stopper: &stopper{
			config: d.current.config, stop: d.stopContainer, counted: d.metrics.Stopped, file: d.config.StopsFile(),
			log: d.log,
		},
		panicked: d.panicked,
		log:      d.log,
	}
}

// stopContainer stops a container as the kubelet does.
func (d *daemon) stopContainer(ctx context.Context, id string) error {
	client, err := cri.Connect(d.config.Containerd.Address)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return client.Stop(ctx, id, stopWait)
}

func (d *daemon) modeOf(namespace string) string { return d.current.config().Mode(namespace).String() }

func (d *daemon) foundBy() policy.FoundBy { return d.plugin.Runtime().FoundBy }

// runningContainers lists the running containers of this node.
func (d *daemon) runningContainers(ctx context.Context) ([]containerd.Container, error) {
	connection, err := containerd.Connect(ctx, d.config.Containerd.Address, d.config.Containerd.Namespace)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return containerd.Running(ctx, connection)
}
