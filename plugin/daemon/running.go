package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/policy"
)

const (
	// evaluationInterval is how often running containers are evaluated without a change of the policies.
	evaluationInterval = 24 * time.Hour
	// policiesSettle is the time after a change of the policies in which others may follow, and evaluationPause the least
	// time between two evaluations.
	policiesSettle  = 2 * time.Second
	evaluationPause = 15 * time.Second
	// stopInterval is how often it is checked whether a container is to be stopped, while one is in drift.
	stopInterval = 5 * time.Second
	// runningTimeout limits the time to list the running containers.
	runningTimeout = 30 * time.Second
)

// running evaluates the running containers again after each change of the policies, and once a day. The plugin
// evaluates them when it registers.
type running struct {
	changed notifier
	list    func(context.Context) ([]containerd.Container, error)
	// evaluate evaluates containers, and reports each verdict.
	evaluate func(context.Context, []nri.ContainerInfo, func(context.Context, nri.Report))
	record   func(context.Context, nri.Report)
	drift    *drift
	stopper  *stopper
	panicked policy.PanicFunc
	log      *slog.Logger
}

// run evaluates until the context ends.
func (r *running) run(ctx context.Context) {
	daily := time.NewTicker(evaluationInterval)
	defer daily.Stop()
	var next, stop <-chan time.Time
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.changed:
			if next == nil {
				next = time.After(max(policiesSettle, evaluationPause-time.Since(last)))
			}
			continue
		case <-daily.C:
		case <-next:
		case <-stop:
			stop = r.stopOne(ctx)
			continue
		}
		next, last = nil, time.Now()
		r.evaluateAll(ctx)
		stop = r.stopOne(ctx)
	}
}

// evaluateAll evaluates all running containers, and forgets those that ended.
func (r *running) evaluateAll(ctx context.Context) {
	_ = policy.Guard("evaluating running containers", r.panicked, func() error {
		containers, err := r.listed(ctx)
		if err != nil {
			r.log.WarnContext(ctx, "cannot evaluate the running containers again", "error", err)
			return err
		}
		infos := make([]nri.ContainerInfo, 0, len(containers))
		for _, container := range containers {
			infos = append(infos, infoOf(container))
		}
		r.evaluate(ctx, infos, r.report)
		return nil
	})
}

// listed lists the running containers, and forgets those in drift that are not among them.
func (r *running) listed(ctx context.Context) ([]containerd.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, runningTimeout)
	defer cancel()
	containers, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	runs := make(map[string]bool, len(containers))
	for _, container := range containers {
		runs[container.ID] = true
	}
	r.drift.onlyRunning(func(id string) bool { return runs[id] })
	return containers, nil
}

// report records the verdict on a container if it is news: a node whose policies change often would write little else.
func (r *running) report(ctx context.Context, report nri.Report) {
	news := r.drift.has(report.ID)
	if !report.Verdict.Admitted() {
		news = !r.drift.knows(report.ID, report.Volume, string(report.Verdict.Reason))
	}
	if news {
		r.record(ctx, report)
	}
}

// stopOne stops one container if it is time, and returns when to check again.
func (r *running) stopOne(ctx context.Context) <-chan time.Time {
	_ = policy.Guard("stopping a container", r.panicked, func() error { return r.stopper.stopOne(ctx, r) })
	if len(r.drift.list()) == 0 || !r.stopper.stops() {
		return nil
	}
	return time.After(stopInterval)
}

// infoOf returns what NRI reports about a container.
func infoOf(container containerd.Container) nri.ContainerInfo {
	info := nri.ContainerInfo{
		Namespace: container.Namespace, Pod: container.Pod, PodUID: container.PodUID,
		Sandbox: container.Sandbox, ID: container.ID, Name: container.Name,
		Reference: container.Reference, Labels: container.Labels,
	}
	for _, mount := range container.Mounts {
		info.Mounts = append(info.Mounts, nri.Mount(mount))
	}
	return info
}
