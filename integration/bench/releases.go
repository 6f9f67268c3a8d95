package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/countersign/countersign/integration/node"
)

// releases creates containers in turn on a node with containerd 2.4, which reports images, and on one with 2.3, on
// which countersign finds them by their layers. On each release, another node has a plugin that makes one snapshot
// Stat: these show the difference between the releases themselves.
func (b *bench) releases(ctx context.Context) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	var measured [2]release
	for i, series := range []node.Release{node.Containerd23, node.Containerd24} {
		measured[i].series = series
		defer func() { closing(&err, measured[i].close) }()
		if err := measured[i].boot(ctx, b, image.policy.JSON()); err != nil {
			return err
		}
	}
	return b.compareReleases(ctx, measured, image.Reference)
}

// release has two nodes of one release of containerd.
type release struct {
	series node.Release
	// countersign is the node of the daemon.
	countersign *node.Node
	daemon      *node.Daemon
	// stat is the node of the plugin that makes one Stat. Its durations are in the file after stop.
	stat *node.Node
	stop func() error
	file string
}

func (r *release) boot(ctx context.Context, b *bench, policy string) (err error) {
	config := node.Config{Tools: b.tools, Containerd: r.series, RequiredPlugins: []string{"countersign"}}
	if r.countersign, err = node.Boot(ctx, config); err != nil {
		return err
	}
	if err := r.countersign.WritePolicy("", policy); err != nil {
		return err
	}
	if r.daemon, err = r.countersign.StartDaemon(ctx, node.DaemonConfig{Program: b.program}); err != nil {
		return err
	}
	config.RequiredPlugins = []string{"idle"}
	if r.stat, err = node.Boot(ctx, config); err != nil {
		return err
	}
	r.file = filepath.Join(b.directory, fmt.Sprintf("stats-%s.json", r.series))
	r.stop, err = startIdlePlugin(ctx, r.stat.NRISocket(), r.stat.ContainerdSocket(), r.file)
	return err
}

func (r *release) close() (err error) {
	for _, n := range []*node.Node{r.countersign, r.stat} {
		if n != nil {
			closing(&err, n.Close)
		}
	}
	return err
}

// callbacksOf reads the durations of the callbacks of both releases.
func callbacksOf(measured [2]release) (durations [2][]float64, err error) {
	for i := range measured {
		if durations[i], err = callbacks(measured[i].daemon); err != nil {
			return durations, err
		}
	}
	return durations, nil
}

func (b *bench) compareReleases(ctx context.Context, measured [2]release, reference string) error {
	nodes := []*node.Node{measured[0].countersign, measured[1].countersign, measured[0].stat, measured[1].stat}
	creators, err := newCreators(ctx, nodes, reference)
	if err != nil {
		return err
	}
	if _, err := rounds(ctx, creators, warmUp); err != nil {
		return err
	}
	before, err := callbacksOf(measured)
	if err != nil {
		return err
	}
	took, err := rounds(ctx, creators, b.pairs)
	if err != nil {
		return err
	}
	after, err := callbacksOf(measured)
	if err != nil {
		return err
	}
	var callback, stat [2]float64
	for i := range measured {
		callback[i] = quantile(after[i][len(before[i]):], 0.5)
		if stat[i], err = measured[i].medianStat(b.pairs); err != nil {
			return err
		}
	}
	b.reportReleases(took, callback, stat)
	return nil
}

// medianStat ends the plugin that makes Stats, and returns the median of the last of them.
func (r *release) medianStat(count int) (float64, error) {
	if err := r.stop(); err != nil {
		return 0, err
	}
	stats, err := readStats(r.file)
	if err != nil {
		return 0, err
	}
	return quantile(stats[len(stats)-count:], 0.5), nil
}

func (b *bench) reportReleases(took [][]float64, callback, stat [2]float64) {
	fmt.Fprintf(b.report.out, "\n%d rounds of containers created on containerd 2.3 and 2.4, warm\n", b.pairs)
	for i, series := range []node.Release{node.Containerd23, node.Containerd24} {
		b.report.note(fmt.Sprintf("CreateContainer on %s under countersign, median", series),
			1e3*quantile(took[i], 0.5), "ms")
		b.report.note(fmt.Sprintf("CreateContainer on %s under a plugin that does one Stat, median", series),
			1e3*quantile(took[i+2], 0.5), "ms")
		b.report.note(fmt.Sprintf("the callback on %s, median", series), 1e3*callback[i], "ms")
		b.report.note(fmt.Sprintf("one snapshot Stat in a callback on %s, median", series), 1e3*stat[i], "ms")
		_, over, _ := ratioOfMedians(took[i], took[i+2])
		b.report.note(fmt.Sprintf("CreateContainer on %s over a plugin that does one Stat, ratio of medians", series),
			over, "")
		b.report.note(fmt.Sprintf("the callback on %s over that Stat, ratio of medians", series), callback[i]/stat[i], "")
	}
	low, ratio, high := ratioOfMedians(took[0], took[1])
	b.report.atMost("CreateContainer on 2.3 over 2.4 under countersign, ratio of medians", ratio, 1.03, "")
	b.report.note("its bootstrap 95 % interval, lower end", low, "")
	b.report.note("its bootstrap 95 % interval, upper end", high, "")
	_, baseline, _ := ratioOfMedians(took[2], took[3])
	b.report.note("the same under a plugin that does one Stat", baseline, "")
	b.report.atMost("the callback on 2.3 over 2.4, ratio of medians", callback[0]/callback[1], 1.03, "")
	b.report.note("the Stat alone on 2.3 over 2.4, ratio of medians", stat[0]/stat[1], "")
}
