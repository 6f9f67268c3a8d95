package node_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/countersign/countersign/integration/node"
)

func TestReferrersAreCopied(t *testing.T) {
	tools := node.NewTools(t)
	for kind, config := range map[string]node.RegistryConfig{
		"distribution": {Tools: tools}, "go-containerregistry": {InProcess: true},
	} {
		t.Run(kind, func(t *testing.T) {
			registry := node.NewRegistry(t, config)
			pushed := push(t, tools, registry, "app:v1", "v1")
			if err := registry.CopyReferrers(t.Context(), pushed, "other"); err == nil {
				t.Error("it copies referrers where there are none")
			}
			for range 2 {
				if err := tools.Sign(t.Context(), node.Signing{Image: pushed, Key: key(t, tools)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := registry.CopyReferrers(t.Context(), pushed, "other"); err != nil {
				t.Fatal(err)
			}
			copied, err := name.NewDigest(registry.Host+"/other@"+pushed.Digest.String(), name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Referrers(copied)
			if err != nil {
				t.Fatal(err)
			}
			list, err := index.IndexManifest()
			if err != nil || len(list.Manifests) != 2 {
				t.Errorf("the copy has the referrers %+v, %v; want two", list, err)
			}
		})
	}
}
