//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// inventRegistries gives an image the names that pulls from many registries would give it. It does so when they are
// first needed, because containerd's CRI is busy with thousands of names for some time.
func (l *lab) inventRegistries(ctx context.Context) error {
	image, err := l.tools.Image("invented")
	if err != nil {
		return err
	}
	if _, err := l.hostile.Push(ctx, "app:v1", image); err != nil {
		return err
	}
	first := node.Pushed{Reference: "invented-0.evil.test/app:v1"}
	request, err := l.request(ctx, strict, first, first.Reference)
	if err != nil {
		return err
	}
	containerd, err := client.New(l.node.ContainerdSocket(), client.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return fmt.Errorf("connecting to containerd: %w", err)
	}
	defer containerd.Close()
	pulled, err := containerd.ImageService().Get(ctx, first.Reference)
	if err != nil {
		return fmt.Errorf("reading an image: %w", err)
	}
	for i := range l.names {
		name := fmt.Sprintf("invented-%d.evil.test/app:v1", i)
		if i > 0 {
			copied := images.Image{Name: name, Target: pulled.Target, Labels: pulled.Labels}
			_, err = containerd.ImageService().Create(ctx, copied)
		}
		if err != nil {
			return fmt.Errorf("naming an image: %w", err)
		}
		named, _ := proto.Clone(request).(*cri.CreateContainerRequest)
		named.Config.Image.UserSpecifiedImage = name
		l.invented = append(l.invented, &trial{name: "an image of an invented registry", request: named})
	}
	return nil
}

// inventedRegistries requests containers from all invented registries, which do not answer.
func inventedRegistries(ctx context.Context, l *lab) error {
	if len(l.invented) == 0 {
		if err := l.inventRegistries(ctx); err != nil {
			return err
		}
	}
	l.attacker.set(silent)
	attacking, end := context.WithCancel(ctx)
	var attackers sync.WaitGroup
	for worker := range workers {
		attackers.Go(func() {
			for at := worker; attacking.Err() == nil; at += workers {
				l.observe(l.requests.try(attacking, l.invented[at%len(l.invented)]))
			}
		})
	}
	pause(ctx, 2*hold)
	end()
	attackers.Wait()
	return nil
}

// replaceSignatures does what whoever can push to a signed repository can do: signatures are replaced by junk. The
// namespace that requires another key triggers fetches.
func replaceSignatures(ctx context.Context, l *lab) error {
	addenda := make([]mutate.Addendum, 64)
	for i := range addenda {
		addenda[i] = mutate.Addendum{
			Layer:       static.NewLayer(fmt.Appendf(nil, "junk %d", i), types.MediaType(simpleSigning)),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": "MEUCIQ=="},
		}
	}
	junk, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), addenda...)
	if err != nil {
		return fmt.Errorf("making signatures: %w", err)
	}
	if l.signatures, _, err = l.registry.Manifest(ctx, l.signatureTag()); err != nil {
		return err
	}
	if _, err := l.registry.Push(ctx, l.signatureTag(), junk); err != nil {
		return err
	}
	pause(ctx, 4*hold) // Until they are fetched.
	return nil
}

const simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"

func (l *lab) signatureTag() string { return "shop/app:" + node.SignatureTag(l.signed.Digest) }

func restoreSignatures(ctx context.Context, l *lab) error {
	_, err := l.registry.PushManifest(ctx, l.signatureTag(), string(types.OCIManifestSchema1), l.signatures)
	return err
}
