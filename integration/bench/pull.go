package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/countersign/countersign/integration/node"
)

const (
	// mostPulls is the number of pulls of one image with and without a verifier. freshPulls is the number of pulled images
	// whose signatures are not stored on the node.
	mostPulls  = 200
	freshPulls = 20
)

// pulls measures how much longer a pull takes because containerd runs the image verifier first.
func (b *bench) pulls(ctx context.Context) (err error) {
	image, err := b.signedImage(ctx)
	if err != nil {
		return err
	}
	defer func() { closing(&err, image.registry.Close) }()
	verifier, err := b.tools.BuildProgram(ctx, "./plugin/verifier/countersign-verifier", b.directory, false)
	if err != nil {
		return err
	}
	n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, n.Close) }()
	if err := n.WritePolicy("", image.policy.JSON()); err != nil {
		return err
	}
	daemon, err := n.StartDaemon(ctx, node.DaemonConfig{Program: b.program})
	if err != nil {
		return err
	}
	p := &puller{node: n, daemon: daemon, verifier: verifier}
	fmt.Fprintf(b.report.out, "\npulls from a registry on this machine\n")
	if err := b.freshPulls(ctx, p, image.registry); err != nil {
		return err
	}
	if err := b.knownPulls(ctx, p, image.Pushed); err != nil {
		return err
	}
	return b.verifier(ctx, p, image.Pushed)
}

// freshPulls pulls images whose signatures have to be fetched first, and then again without a verifier.
func (b *bench) freshPulls(ctx context.Context, p *puller, registry *node.Registry) error {
	var asking, plain []float64
	for i := range freshPulls {
		image, err := b.pushSigned(ctx, registry, fmt.Sprintf("bench/fresh:v%d", i))
		if err != nil {
			return err
		}
		took, err := p.pair(ctx, image, false)
		if err != nil {
			return err
		}
		asking, plain = append(asking, took[0]), append(plain, took[1])
	}
	b.reportPulls("signatures fetched meanwhile", asking, plain)
	return nil
}

// knownPulls pulls one image repeatedly, with and without a verifier, starting with either in turn.
func (b *bench) knownPulls(ctx context.Context, p *puller, image node.Pushed) error {
	var asking, plain []float64
	if _, err := p.pair(ctx, image, false); err != nil {
		return err
	}
	for i := range min(b.pairs, mostPulls) {
		took, err := p.pair(ctx, image, i%2 == 0)
		if err != nil {
			return err
		}
		asking, plain = append(asking, took[0]), append(plain, took[1])
	}
	b.reportPulls("signatures known", asking, plain)
	return nil
}

func (b *bench) reportPulls(what string, asking, plain []float64) {
	without, with := quantile(plain, 0.5), quantile(asking, 0.5)
	b.report.note("PullImage without a verifier, median", 1e3*without, "ms")
	b.report.note("PullImage with countersign's, "+what+", median", 1e3*with, "ms")
	b.report.note("what that adds", 1e3*(with-without), "ms")
}

// verifier measures only the program, from its start to its exit.
func (b *bench) verifier(ctx context.Context, p *puller, image node.Pushed) error {
	var seconds []float64
	for range min(b.pairs, mostPulls) {
		took, err := p.verify(ctx, image)
		if err != nil {
			return err
		}
		seconds = append(seconds, took)
	}
	b.report.atMost("the verifier program, start to exit, signatures known, median", 1e3*quantile(seconds, 0.5), 10, "ms")
	b.report.note("the verifier program, start to exit, signatures known, p99", 1e3*quantile(seconds, 0.99), "ms")
	return nil
}

// puller pulls images on a node.
type puller struct {
	node     *node.Node
	daemon   *node.Daemon
	verifier string
}

// pair pulls an image with and without the verifier, and returns both durations in seconds, with the verifier first.
func (p *puller) pair(ctx context.Context, image node.Pushed, plainFirst bool) (took [2]float64, err error) {
	turns := []int{0, 1}
	if plainFirst {
		turns = []int{1, 0}
	}
	for _, turn := range turns {
		if turn == 0 {
			err = p.node.InstallVerifier(p.verifier, p.daemon)
		}
		if err != nil {
			return took, err
		}
		took[turn], err = p.pull(ctx, image)
		if err != nil {
			return took, err
		}
		if turn == 0 {
			err = p.node.RemoveVerifier(node.Verifier)
		}
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

// pull pulls an image that is not on the node, and removes it.
func (p *puller) pull(ctx context.Context, image node.Pushed) (seconds float64, err error) {
	start := time.Now()
	if _, err := p.node.CRI.PullImage(ctx, image.Reference, nil, nil); err != nil {
		return 0, fmt.Errorf("pulling an image: %w", err)
	}
	seconds = time.Since(start).Seconds()
	return seconds, p.node.CRI.RemoveImage(ctx, image.Reference)
}

// verify runs the verifier as containerd does.
func (p *puller) verify(ctx context.Context, image node.Pushed) (seconds float64, err error) {
	command := exec.CommandContext(ctx, p.verifier, "-config", p.daemon.ConfigFile(), "-name", image.Reference,
		"-digest", image.Digest.String(), "-stdin-media-type", "application/vnd.oci.descriptor.v1+json")
	command.Stdin = strings.NewReader(fmt.Sprintf(
		`{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": %q, "size": %d}`, image.Digest, image.Size))
	command.Stderr = io.Discard
	start := time.Now()
	output, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("asking the verifier: %w: %s", err, output)
	}
	return time.Since(start).Seconds(), nil
}
