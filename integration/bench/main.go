// Bench measures the project's limits on real nodes, and prints each result with its limit.
//
// Results that depend on the speed of the machine are ratios, and both sides of a ratio are measured in the same run.
// If a limit is exceeded, the output reports it and the exit status is 1. Without an argument it measures what takes
// some minutes together. With the argument creation it measures only the creation of thousands of containers, with the
// argument releases only containerd 2.3 compared with 2.4, with the argument proxy only the image service, with the
// argument hostile only the callback among hostile images, with the argument explain only the command explain, with the
// argument rest only the idle daemon, and with the argument pods only how long many pods take to start on a kubelet.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/countersign/countersign/integration/node"
)

func main() {
	pairs := flag.Int("pairs", 5000, "how many pairs of containers to create")
	pods := flag.Int("pods", 110, "how many pods to start at once, with the argument pods")
	rounds := flag.Int("rounds", 6, "how often to start them on each node, at least 2")
	hostile := flag.Int("hostile", 10_000, "how many hostile images to add, with the argument hostile")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *pairs, func(b *bench) []part {
		return map[string][]part{
			"":         {b.pulls, b.imageService, b.serviceMemory, b.explanations, b.smallNode, b.largeNode},
			"creation": {b.creation},
			"releases": {b.releases},
			"proxy":    {b.imageService, b.serviceMemory},
			"hostile":  {b.among(*hostile)},
			"explain":  {b.explanations},
			"rest":     {b.smallNode, b.largeNode},
			"pods":     {func(ctx context.Context) error { return b.podsAtOnce(ctx, *pods, *rounds) }},
		}[flag.Arg(0)]
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run measures the parts, or serves as a plugin if the first argument says so.
func run(ctx context.Context, pairs int, parts func(*bench) []part) error {
	switch {
	case flag.Arg(0) == idlePlugin:
		return runIdlePlugin(ctx, flag.Args()[1:])
	case len(parts(&bench{})) == 0:
		return fmt.Errorf("nothing is called %q", flag.Arg(0))
	default:
		return measure(ctx, pairs, parts)
	}
}

// part is one group of measurements.
type part func(context.Context) error

func measure(ctx context.Context, pairs int, parts func(*bench) []part) error {
	if err := node.Supported(); err != nil {
		return fmt.Errorf("the benchmark needs nodes: %w", err)
	}
	tools, err := node.BuildTools(ctx, os.Stderr)
	if err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return fmt.Errorf("making a directory for the benchmark: %w", err)
	}
	defer os.RemoveAll(directory)
	program, err := tools.BuildProgram(ctx, "./plugin/countersign", directory, false)
	if err != nil {
		return err
	}
	key, err := tools.GenerateKey(ctx, directory, "bench")
	if err != nil {
		return err
	}
	report := &report{out: os.Stdout}
	bench := &bench{
		tools: tools, program: program, directory: directory, pairs: pairs, report: report, key: key, progress: os.Stderr,
	}
	for _, part := range parts(bench) {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if report.missed > 0 {
		return fmt.Errorf("%d bounds are missed", report.missed)
	}
	return nil
}

// bench is shared by all measurements.
type bench struct {
	tools     *node.Tools
	program   string
	directory string
	pairs     int
	report    *report
	key       node.Key
	progress  io.Writer
}

// signedImage is an image in a registry of its own, signed with the benchmark's key.
type signedImage struct {
	node.Pushed
	registry *node.Registry
	// policy requires this signature.
	policy node.Policy
}

// signedImage starts a registry, and pushes and signs an image. The caller must close the registry.
func (b *bench) signedImage(ctx context.Context) (signedImage, error) {
	registry, err := node.StartRegistry(ctx, node.RegistryConfig{Tools: b.tools})
	if err != nil {
		return signedImage{}, err
	}
	pushed, err := b.pushSigned(ctx, registry, "bench/app:v1")
	if err != nil {
		return signedImage{}, errors.Join(err, registry.Close())
	}
	scopes := map[string]node.Requirement{registry.Host: node.Cosign(b.key.Public)}
	return signedImage{pushed, registry, node.Policy{Default: node.Reject(), Scopes: scopes}}, nil
}

// pushSigned pushes an image that no other name has, and signs it with the benchmark's key.
func (b *bench) pushSigned(ctx context.Context, registry *node.Registry, name string) (node.Pushed, error) {
	made, err := b.tools.Image("benchmark " + name)
	if err != nil {
		return node.Pushed{}, err
	}
	pushed, err := registry.Push(ctx, name, made)
	if err != nil {
		return node.Pushed{}, err
	}
	return pushed, b.tools.Sign(ctx, node.Signing{Image: pushed, Key: b.key, OldFormat: true})
}

// closing joins an error with the error of a close function.
func closing(err *error, closers ...func() error) {
	for _, closer := range closers {
		*err = errors.Join(*err, closer())
	}
}
