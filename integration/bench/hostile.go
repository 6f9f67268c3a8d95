package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"

	"github.com/countersign/countersign/integration/node"
)

const (
	// hostilePulls is how many hostile images come every second.
	hostilePulls = 10
	// mostCreations is how many containers are created in each phase.
	mostCreations = 2000
	// maxSettling is how long containerd's CRI plugin may take to process the events of the hostile images. It sorts all
	// names of an image for each new one (containerd v2.4.2, internal/cri/store/image), which takes minutes.
	maxSettling = 15 * time.Minute
)

// phase is what was measured, in seconds, while containers of the signed image were created.
type phase struct {
	callback []float64
	// stats are the durations of the snapshot Stats that another plugin requests for the same containers, one before
	// countersign is called and one after it. For an image that is known, the callback makes no other request, and none if
	// containerd's event about the snapshot has arrived.
	stats []float64
}

// among measures the callback for a signed image on a quiet node, then on the same node with a number of hostile
// images, and then while more are pulled.
func (b *bench) among(hostile int) part {
	return func(ctx context.Context) error { return b.hostileNode(ctx, hostile) }
}

func (b *bench) hostileNode(ctx context.Context, hostile int) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	unsigned, err := node.StartRegistry(ctx, node.RegistryConfig{InProcess: true})
	if err != nil {
		return err
	}
	defer func() { closing(&err, unsigned.Close) }()
	n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, n.Close) }()
	// Every image needs a signature, so that the evidence of the hostile ones is prefetched too.
	policy := node.Policy{Default: node.Cosign(b.key.Public), Scopes: image.policy.Scopes}
	err = errors.Join(
		n.WritePolicy("", policy.JSON()), n.WriteHosts("_default", node.Mirror{URL: unsigned.URL()}),
		n.WriteHosts(image.registry.Host, node.Mirror{URL: image.registry.URL()}),
	)
	if err != nil {
		return err
	}
	daemon, err := n.StartDaemon(ctx, node.DaemonConfig{Program: b.program})
	if err != nil {
		return err
	}
	return b.compareHostile(ctx, &hostileNode{n, daemon, image.Pushed, hostile})
}

// hostileNode is a node, the signed image, and how many hostile images the node is to have.
type hostileNode struct {
	*node.Node
	daemon *node.Daemon
	signed node.Pushed
	images int
}

// compareHostile measures the three phases, while another plugin requests the snapshot of each container as countersign
// does.
func (b *bench) compareHostile(ctx context.Context, n *hostileNode) error {
	creator, err := newCreator(ctx, n.Node, n.signed.Reference)
	if err != nil {
		return err
	}
	file := filepath.Join(b.directory, "stats-hostile.json")
	stopStats, err := startIdlePlugin(ctx, n.NRISocket(), n.ContainerdSocket(), file, aroundValidation)
	if err != nil {
		return err
	}
	phases, rate, err := b.phases(ctx, n, creator)
	if err := errors.Join(err, stopStats()); err != nil {
		return err
	}
	stats, err := readStats(file)
	if err != nil {
		return err
	}
	each := 2 * (warmUp + b.creations())
	for i := range phases {
		phases[i].stats = stats[i*each+2*warmUp : (i+1)*each]
	}
	return b.reportHostile(n, phases, rate)
}

// phases measures the callback in the three phases, and returns how many images a second were added in the last.
func (b *bench) phases(
	ctx context.Context, n *hostileNode, creator *creator,
) (phases [3]phase, rate float64, err error) {
	if phases[0].callback, err = b.phase(ctx, n, creator); err != nil {
		return phases, 0, err
	}
	containerd, err := client.New(n.ContainerdSocket(), client.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return phases, 0, fmt.Errorf("connecting to containerd: %w", err)
	}
	defer func() { closing(&err, containerd.Close) }()
	attacker, err := newAttacker(ctx, containerd, n.signed)
	if err != nil {
		return phases, 0, err
	}
	fmt.Fprintf(b.progress, "bench: adding %d hostile images\n", n.images)
	for i := range n.images {
		if err := attacker.add(ctx, i); err != nil {
			return phases, 0, err
		}
	}
	if err := b.settled(ctx, n, attacker); err != nil {
		return phases, 0, err
	}
	if phases[1].callback, err = b.phase(ctx, n, creator); err != nil {
		return phases, 0, err
	}
	attacking, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	var added int
	running.Go(func() { added = attacker.keepAdding(attacking, n.images) })
	began := time.Now()
	phases[2].callback, err = b.phase(ctx, n, creator)
	end()
	running.Wait()
	return phases, float64(added) / time.Since(began).Seconds(), err
}

// settled waits until containerd's CRI plugin, which handles an event of each image, has the last of the hostile ones.
func (b *bench) settled(ctx context.Context, n *hostileNode, attacker *attacker) error {
	ctx, cancel := context.WithTimeout(ctx, maxSettling)
	defer cancel()
	last, began := attacker.name(n.images-1), time.Now()
	for {
		id, err := n.CRI.ImageID(ctx, last)
		if err != nil {
			return fmt.Errorf("looking for the last hostile image: %w", err)
		}
		if id != "" {
			b.report.note("until containerd's CRI plugin had all of them", time.Since(began).Seconds(), "s")
			return nil
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

// creations returns how many containers are created in each phase, after those that warm the node up.
func (b *bench) creations() int { return min(b.pairs, mostCreations) }

// phase creates containers, and returns the durations of the callbacks.
func (b *bench) phase(ctx context.Context, n *hostileNode, creator *creator) ([]float64, error) {
	for range warmUp {
		if _, err := creator.create(ctx); err != nil {
			return nil, err
		}
	}
	before, err := callbacks(n.daemon)
	if err != nil {
		return nil, err
	}
	for range b.creations() {
		if _, err := creator.create(ctx); err != nil {
			return nil, err
		}
	}
	after, err := callbacks(n.daemon)
	if err != nil {
		return nil, err
	}
	return after[len(before):], nil
}

func (b *bench) reportHostile(n *hostileNode, phases [3]phase, rate float64) error {
	fmt.Fprintf(b.report.out, "\nthe callback for a signed image among hostile ones\n")
	for i, name := range []string{
		"on a quiet node", fmt.Sprintf("with %d hostile images", n.images),
		fmt.Sprintf("and %.1f more a second", rate),
	} {
		b.reportPhase(name, phases[i], phases[0], i > 0)
	}
	process := n.daemon.Process()
	if process == nil {
		return errors.New("the daemon does not run")
	}
	resident, err := residentSet(process.Pid)
	if err != nil {
		return err
	}
	b.report.atMost("resident set after that", resident, 200, "MiB")
	if rate < 0.9*hostilePulls {
		fmt.Fprintf(os.Stderr, "bench: this machine is too busy for %d images a second\n", hostilePulls)
		b.report.missed++
	}
	return nil
}

// reportPhase compares the callback with a Stat from the same place, and both with their values on the quiet node, on
// which the benchmark of creations limits the former.
func (b *bench) reportPhase(name string, measured, quiet phase, isHostile bool) {
	for _, q := range []float64{0.5, 0.99} {
		callback, stat := quantile(measured.callback, q), quantile(measured.stats, q)
		b.report.note(fmt.Sprintf("the callback %s, p%g", name, 100*q), 1e3*callback, "ms")
		b.report.note(fmt.Sprintf("one snapshot Stat of another plugin %s, p%g", name, 100*q), 1e3*stat, "ms")
		ratio := fmt.Sprintf("the callback over that Stat %s, p%g", name, 100*q)
		if isHostile {
			b.report.atMost(ratio, callback/stat, 1.2, "")
		} else {
			b.report.note(ratio, callback/stat, "")
		}
	}
	if !isHostile {
		return
	}
	b.report.note("that Stat "+name+", p99, over its quiet value",
		quantile(measured.stats, 0.99)/quantile(quiet.stats, 0.99), "")
	b.report.atMost("the callback "+name+", p99, over its quiet value",
		quantile(measured.callback, 0.99)/quantile(quiet.callback, 0.99), 1.5, "")
}
