package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// warmUp is the number of containers that are created before the measurement.
const warmUp = 50

// creation creates containers on three nodes in turn: with countersign; with a plugin that does nothing, to compare the
// creation; and with a plugin that makes one snapshot Stat, to compare the callback, because that is what a decision
// needs at most from containerd.
func (b *bench) creation(ctx context.Context) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	var nodes [3]*node.Node
	for i, required := range []string{"countersign", "idle", "idle"} {
		nodes[i], err = node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{required}})
		if err != nil {
			return err
		}
		defer func() { closing(&err, nodes[i].Close) }()
	}
	if err := nodes[0].WritePolicy("", image.policy.JSON()); err != nil {
		return err
	}
	daemon, err := nodes[0].StartDaemon(ctx, node.DaemonConfig{Program: b.program})
	if err != nil {
		return err
	}
	stopIdle, err := startIdlePlugin(ctx, nodes[1].NRISocket())
	if err != nil {
		return err
	}
	defer func() { closing(&err, stopIdle) }()
	file := filepath.Join(b.directory, "stats.json")
	stopStats, err := startIdlePlugin(ctx, nodes[2].NRISocket(), nodes[2].ContainerdSocket(), file)
	if err != nil {
		return err
	}
	return b.compare(ctx, nodes, daemon, image.Reference, func() ([]float64, error) {
		if err := stopStats(); err != nil {
			return nil, err
		}
		return readStats(file)
	})
}

func readStats(file string) (seconds []float64, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading what the Stats took: %w", err)
	}
	return seconds, json.Unmarshal(raw, &seconds)
}

func (b *bench) compare(
	ctx context.Context, nodes [3]*node.Node, daemon *node.Daemon, reference string, stats func() ([]float64, error),
) error {
	creators, err := newCreators(ctx, nodes[:], reference)
	if err != nil {
		return err
	}
	if _, err := rounds(ctx, creators, warmUp); err != nil {
		return err
	}
	before, err := callbacks(daemon)
	if err != nil {
		return err
	}
	took, err := rounds(ctx, creators, b.pairs)
	if err != nil {
		return err
	}
	after, err := callbacks(daemon)
	if err != nil {
		return err
	}
	stat, err := stats()
	if err != nil {
		return err
	}
	b.reportCreation(took, after[len(before):], stat[len(stat)-b.pairs:])
	return b.tightLoop(ctx, nodes[0])
}

// tightLoop requests one snapshot repeatedly. No callback can be as fast, because no thread has to be woken for it.
func (b *bench) tightLoop(ctx context.Context, n *node.Node) error {
	stats, err := newStats(n.ContainerdSocket())
	if err != nil {
		return err
	}
	defer func() { _ = stats.close() }()
	running, err := n.CRI.Runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil || len(running.GetContainers()) == 0 {
		return fmt.Errorf("looking for a container on the node: %w", err)
	}
	for range b.pairs {
		if err := stats.take(ctx, running.GetContainers()[0].GetId()); err != nil {
			return err
		}
	}
	for _, q := range []float64{0.5, 0.99} {
		b.report.note(fmt.Sprintf("one snapshot Stat in a tight loop, p%g", 100*q), 1e3*quantile(stats.seconds, q), "ms")
	}
	return nil
}

func (b *bench) reportCreation(took [][]float64, callback, stats []float64) {
	low, ratio, high := ratioOfMedians(took[0], took[1])
	fmt.Fprintf(b.report.out, "\n%d rounds of containers created, warm\n", b.pairs)
	b.report.note("CreateContainer under a plugin that does nothing, median", 1e3*quantile(took[1], 0.5), "ms")
	b.report.note("CreateContainer under countersign, median", 1e3*quantile(took[0], 0.5), "ms")
	b.report.note("their ratio of medians", ratio, "")
	b.report.note("its bootstrap 95 % interval, lower end", low, "")
	b.report.atMost("its bootstrap 95 % interval, upper end", high, 1.08, "")
	_, overStat, _ := ratioOfMedians(took[0], took[2])
	b.report.note("ratio of medians over a plugin that does one Stat", overStat, "")
	for _, q := range []float64{0.5, 0.99} {
		stat := quantile(stats, q)
		b.report.note(fmt.Sprintf("one snapshot Stat in a callback, p%g", 100*q), 1e3*stat, "ms")
		answer := quantile(callback, q)
		b.report.note(fmt.Sprintf("the callback, by the daemon's log, p%g", 100*q), 1e3*answer, "ms")
		b.report.atMost(fmt.Sprintf("the callback over that Stat, p%g", 100*q), answer/stat, 1.5, "")
	}
}

// rounds creates and removes containers on the nodes in turn, starting with a different node each time, and returns the
// duration of each creation in seconds.
func rounds(ctx context.Context, creators []*creator, count int) (took [][]float64, err error) {
	took = make([][]float64, len(creators))
	for round := range count {
		for turn := range creators {
			i := (round + turn) % len(creators)
			seconds, err := creators[i].create(ctx)
			if err != nil {
				return took, err
			}
			took[i] = append(took[i], seconds)
		}
	}
	return took, nil
}

// creator creates one container of a pod repeatedly.
type creator struct {
	cri     *node.CRI
	request *cri.CreateContainerRequest
}

// newCreators returns a creator for each node.
func newCreators(ctx context.Context, nodes []*node.Node, reference string) ([]*creator, error) {
	creators := make([]*creator, len(nodes))
	for i := range nodes {
		var err error
		if creators[i], err = newCreator(ctx, nodes[i], reference); err != nil {
			return nil, err
		}
	}
	return creators, nil
}

func newCreator(ctx context.Context, n *node.Node, reference string) (*creator, error) {
	pod, err := n.RunPodUntil(ctx, node.Pod{
		Namespace: "default", Name: "bench", Container: node.Container{Image: reference},
	})
	if err != nil {
		return nil, err
	}
	request, err := pod.CreationRequest(ctx, node.Container{Name: "again", Image: reference})
	if err != nil {
		return nil, err
	}
	return &creator{n.CRI, request}, nil
}

// create creates and removes a container, and returns the duration of the creation in seconds.
func (c *creator) create(ctx context.Context) (float64, error) {
	c.request.Config.Metadata.Attempt++
	start := time.Now()
	created, err := c.cri.Runtime.CreateContainer(ctx, c.request)
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("creating a container: %w", err)
	}
	_, err = c.cri.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()})
	return took.Seconds(), err
}
