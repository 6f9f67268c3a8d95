package main

import (
	"context"
	"fmt"

	"github.com/countersign/countersign/integration/node"
)

// releases creates containers in turn on a node with containerd 2.4, which reports images, and on one with 2.3, on
// which countersign finds them by their layers. Two nodes with a plugin that does nothing show the difference between
// the releases themselves.
func (b *bench) releases(ctx context.Context) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	compared := []struct {
		release node.Release
		plugin  string
	}{
		{node.Containerd23, "countersign"},
		{node.Containerd24, "countersign"},
		{node.Containerd23, "idle"},
		{node.Containerd24, "idle"},
	}
	nodes := make([]*node.Node, len(compared))
	var daemons []*node.Daemon
	for i, c := range compared {
		config := node.Config{Tools: b.tools, Containerd: c.release, RequiredPlugins: []string{c.plugin}}
		if nodes[i], err = node.Boot(ctx, config); err != nil {
			return err
		}
		defer func() { closing(&err, nodes[i].Close) }()
		if c.plugin == "idle" {
			stop, err := startIdlePlugin(ctx, nodes[i].NRISocket())
			if err != nil {
				return err
			}
			defer func() { closing(&err, stop) }()
			continue
		}
		if err := nodes[i].WritePolicy("", image.policy.JSON()); err != nil {
			return err
		}
		daemon, err := nodes[i].StartDaemon(ctx, node.DaemonConfig{Program: b.program})
		if err != nil {
			return err
		}
		daemons = append(daemons, daemon)
	}
	return b.compareReleases(ctx, nodes, daemons, image.Reference)
}

func (b *bench) compareReleases(
	ctx context.Context, nodes []*node.Node, daemons []*node.Daemon, reference string,
) error {
	creators, err := newCreators(ctx, nodes, reference)
	if err != nil {
		return err
	}
	if _, err := rounds(ctx, creators, warmUp); err != nil {
		return err
	}
	var before, during [2]histogram
	for i := range daemons {
		if before[i], err = callbacks(daemons[i]); err != nil {
			return err
		}
	}
	took, err := rounds(ctx, creators, b.pairs)
	if err != nil {
		return err
	}
	for i := range daemons {
		after, err := callbacks(daemons[i])
		if err != nil {
			return err
		}
		during[i] = after.since(before[i])
	}
	b.reportReleases(took, during)
	return nil
}

func (b *bench) reportReleases(took [][]float64, callback [2]histogram) {
	fmt.Fprintf(b.report.out, "\n%d rounds of containers created on containerd 2.3 and 2.4, warm\n", b.pairs)
	for i, release := range []node.Release{node.Containerd23, node.Containerd24} {
		b.report.note(fmt.Sprintf("CreateContainer on %s under countersign, median", release),
			1e3*quantile(took[i], 0.5), "ms")
		b.report.note(fmt.Sprintf("CreateContainer on %s under a plugin that does nothing, median", release),
			1e3*quantile(took[i+2], 0.5), "ms")
		b.report.note(fmt.Sprintf("the callback on %s, median", release), 1e3*callback[i].quantile(0.5), "ms")
	}
	low, ratio, high := ratioOfMedians(took[0], took[1])
	b.report.atMost("CreateContainer on 2.3 over 2.4 under countersign, ratio of medians", ratio, 1.03, "")
	b.report.note("its bootstrap 95 % interval, lower end", low, "")
	b.report.note("its bootstrap 95 % interval, upper end", high, "")
	_, idle, _ := ratioOfMedians(took[2], took[3])
	b.report.note("the same under a plugin that does nothing", idle, "")
	b.report.atMost("the callback on 2.3 over 2.4, ratio of medians",
		callback[0].quantile(0.5)/callback[1].quantile(0.5), 1.03, "")
}
