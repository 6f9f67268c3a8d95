package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
)

// nodeView is what is on this node: all images, and the running containers. The caller must close it.
type nodeView struct {
	images  *origin.Containerd
	running []runningContainer
	stored  policy.LookupFunc
	foundBy policy.FoundBy
	close   func()
}

// runningContainer is a running container, and the digest of its image's config, or why that is not known.
type runningContainer struct {
	containerd.Container
	config digest.Digest
	err    error
}

// openNode reads all images and running containers of the node.
func openNode(ctx context.Context, config *conf.Config) (*nodeView, error) {
	connection, err := containerd.Connect(ctx, config.Containerd.Address, config.Containerd.Namespace)
	if err != nil {
		return nil, err
	}
	images := origin.New(connection, config.Containerd.Namespace, slog.New(slog.DiscardHandler))
	following, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = images.Run(following) })
	view := &nodeView{
		images: images, stored: storedOnce(evidence.Read(config.Evidence.Directory)),
		foundBy: foundBy(ctx, connection),
		close: func() {
			stop()
			running.Wait()
			_ = errors.Join(images.Close(), connection.Close())
		},
	}
	waiting, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	err = daemon.AwaitImages(waiting, images)
	if err == nil {
		var running []containerd.Container
		running, err = containerd.Running(ctx, connection)
		for _, container := range running {
			record, err := images.Record(ctx, container.ID)
			if errors.Is(err, policy.ErrNoContainer) {
				continue // It was removed meanwhile.
			}
			view.running = append(view.running, runningContainer{container, record.Config, err})
		}
	}
	if err != nil {
		view.close()
		return nil, err
	}
	return view, nil
}

// storedOnce reads the evidence of each manifest once, so that all decisions use the same, and findings are cached.
func storedOnce(read policy.LookupFunc) policy.LookupFunc {
	type key struct {
		manifest   digest.Digest
		repository string
	}
	known := map[key]policy.Evidence{}
	var mu sync.Mutex
	return func(manifests []policy.Manifest, ref reference.Named) policy.StoredEvidence {
		mu.Lock()
		defer mu.Unlock()
		found := make(policy.StoredEvidence, len(manifests))
		for i, manifest := range manifests {
			k := key{manifest.Digest, ref.Name()}
			evidence, ok := known[k]
			if !ok {
				evidence = read(manifests[i:i+1], ref)[0]
				known[k] = evidence
			}
			found[i] = evidence
		}
		return found
	}
}

// judged decides about the images of a node by one set of policies.
type judged struct {
	*policy.Decider
	set   *policy.Set
	kinds policy.Kinds
}

// judge returns what decides by the policies of a configuration.
func (v *nodeView) judge(config *conf.Config) (*judged, error) {
	kinds := daemon.RequirementKinds(nil)
	set := files.Open(daemon.Documents(config, kinds)).Current()
	decider, err := policy.NewDecider(policy.Sources{
		Documents:  func() *policy.Set { return set },
		Image:      v.images.Image,
		Lookup:     v.stored,
		Kinds:      kinds,
		NoIdentity: func(namespace string) bool { return config.Identity(namespace) == conf.IdentityDigest },
	})
	if err != nil {
		return nil, fmt.Errorf("connecting the parts of a decision: %w", err)
	}
	return &judged{decider, set, kinds}, nil
}

// question is what the container would be asked.
func (c runningContainer) question() policy.Question {
	return policy.Question{Namespace: c.Namespace, Reference: c.Reference, Config: c.config}
}

// decide decides about a running container's image, whose config its record has.
func (j *judged) decide(ctx context.Context, container runningContainer) policy.Verdict {
	if container.err != nil {
		return policy.Denial(container.err)
	}
	return j.Decide(ctx, container.question())
}
