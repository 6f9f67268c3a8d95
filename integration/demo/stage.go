package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/countersign/countersign/integration/node"
)

// stage is the node of the demo, with its registry and images.
type stage struct {
	out      io.Writer
	node     *node.Node
	registry *node.Registry
	key      node.Key
	unsigned node.Pushed
	signed   node.Pushed
	bundled  node.Pushed
	foreign  node.Pushed
	closers  []func() error
	step     int
}

// setUp boots the node with countersign, and pushes images to its registry, some of them signed.
func setUp(ctx context.Context, out io.Writer) (_ *stage, err error) {
	if err := node.Supported(); err != nil {
		return nil, fmt.Errorf("the demo needs a node: %w", err)
	}
	s := &stage{out: out}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.say("Building containerd, runc, a registry, cosign and countersign (takes some minutes the first time) …")
	tools, err := node.BuildTools(ctx, out)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "countersign-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the demo: %w", err)
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(directory) })
	programs := make(map[string]string)
	for _, name := range []string{"countersign", "verifier/countersign-verifier"} {
		if programs[name], err = tools.BuildProgram(ctx, "./plugin/"+name, directory, false); err != nil {
			return nil, err
		}
	}
	if s.registry, err = node.StartRegistry(ctx, node.RegistryConfig{Tools: tools}); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.registry.Close)
	if err := s.makeImages(ctx, tools, directory); err != nil {
		return nil, err
	}
	s.node, err = node.Boot(ctx, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.node.Close)
	return s, s.startDaemon(ctx, programs["countersign"], programs["verifier/countersign-verifier"])
}

func (s *stage) makeImages(ctx context.Context, tools *node.Tools, directory string) error {
	for _, image := range []struct {
		name   string
		pushed *node.Pushed
	}{
		{"shop/unsigned", &s.unsigned},
		{"shop/signed", &s.signed},
		{"shop/bundled", &s.bundled},
		{"elsewhere/foreign", &s.foreign},
	} {
		made, err := tools.Image("hello from the " + path.Base(image.name) + " image")
		if err != nil {
			return err
		}
		if *image.pushed, err = s.registry.Push(ctx, image.name+":v1", made); err != nil {
			return err
		}
	}
	var err error
	if s.key, err = tools.GenerateKey(ctx, directory, "prod"); err != nil {
		return err
	}
	name := map[string]string{"docker-reference": s.bundled.Repository}
	return errors.Join(
		tools.Sign(ctx, node.Signing{Image: s.signed, Key: s.key, OldFormat: true}),
		tools.Sign(ctx, node.Signing{Image: s.bundled, Key: s.key, Annotations: name}),
	)
}

// startDaemon writes three policies: the system policy rejects everything, dev accepts every image of the shop, prod
// requires a signature by the key. It also installs the image verifier.
func (s *stage) startDaemon(ctx context.Context, program, verifier string) error {
	s.say("\nThe node's policies:")
	for _, document := range []struct {
		namespace, says string
		policy          node.Policy
	}{
		{"", "system policy: reject every image", node.Policy{Default: node.Reject()}},
		{"dev", "dev: accept every image from the registry's shop", s.shopPolicy(node.Accept())},
		{"prod", "prod: require a signature by prod's cosign key", s.shopPolicy(node.Cosign(s.key.Public))},
	} {
		if err := s.node.WritePolicy(document.namespace, document.policy.JSON()); err != nil {
			return err
		}
		s.say("  %s", document.says)
	}
	daemon, err := s.node.StartDaemon(ctx, node.DaemonConfig{Program: program})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return daemon.Terminate(context.Background()) })
	return s.node.InstallVerifier(verifier, daemon)
}

// shopPolicy has a requirement for the images in the registry's shop, and rejects all others.
func (s *stage) shopPolicy(requirement node.Requirement) node.Policy {
	return node.Policy{Scopes: map[string]node.Requirement{s.registry.Host + "/shop": requirement}}
}

// close stops everything in reverse order.
func (s *stage) close() error {
	var failures []error
	for _, closer := range slices.Backward(s.closers) {
		failures = append(failures, closer())
	}
	s.closers = nil
	return errors.Join(failures...)
}

func (s *stage) say(format string, arguments ...any) {
	fmt.Fprintf(s.out, format+"\n", arguments...)
}
