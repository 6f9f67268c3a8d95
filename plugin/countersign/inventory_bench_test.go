package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

const benchRepository = "registry.example/team/app"

// benchImages are images, each signed by one of several keys, with stored evidence.
type benchImages struct {
	references []reference.Named
	configs    []digest.Digest
	images     map[digest.Digest]*policy.Image
	evidence   map[digest.Digest]policy.Evidence
}

func newBenchImages(b *testing.B, count int, keys []*ecdsa.PrivateKey) *benchImages {
	b.Helper()
	made := &benchImages{images: map[digest.Digest]*policy.Image{}, evidence: map[digest.Digest]policy.Evidence{}}
	for i := range count {
		ref, err := policy.Normalize(fmt.Sprintf("%s:v%d", benchRepository, i))
		if err != nil {
			b.Fatal(err)
		}
		raw := signaturetest.Manifest(fmt.Sprint("app ", i))
		signed := signaturetest.Sign(b, keys[i%len(keys)], benchRepository, digest.FromBytes(raw)).File(b)
		manifest, evidence := signaturetest.Image(b, raw, [][]byte{signed}, nil)
		manifest.Repositories = []string{benchRepository}
		config := digest.FromString(fmt.Sprint("config ", i))
		evidence.Generation = uint64(i + 1)
		made.references, made.configs = append(made.references, ref), append(made.configs, config)
		made.images[config] = &policy.Image{
			Config: config, Confirmed: true, PulledAs: []reference.Named{ref}, Manifests: []policy.Manifest{manifest},
		}
		made.evidence[manifest.Digest] = evidence
	}
	return made
}

func (m *benchImages) sources(set *policy.Set, kinds policy.Kinds) policy.Sources {
	return policy.Sources{
		Documents: func() *policy.Set { return set },
		Image:     func(_ context.Context, q policy.Question) (*policy.Image, error) { return m.images[q.Config], nil },
		Lookup: func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
			found := make(policy.StoredEvidence, len(manifests))
			for i, manifest := range manifests {
				found[i] = m.evidence[manifest.Digest]
			}
			return found
		},
		Kinds: kinds,
	}
}

// BenchmarkInventoryWithSignatures takes the inventory of 1,000 signed images in 1,000 namespaces, each with a document
// of its own, that require the signature of one of ten keys: 10,000 verifications. Bound: 5 s.
func BenchmarkInventoryWithSignatures(b *testing.B) {
	kinds, set := daemon.RequirementKinds(nil), &policy.Set{Namespaces: map[string]policy.Source{}}
	parse := daemon.PolicyParser(kinds)
	var keys []*ecdsa.PrivateKey
	var documents []string
	for range 10 {
		key := signaturetest.NewKey(b)
		keys = append(keys, key)
		documents = append(documents, fmt.Sprintf(
			`{"default":[{"type":"sigstoreSigned","keyData":%q,"signedIdentity":{"type":"matchRepository"}}]}`,
			base64.StdEncoding.EncodeToString(signaturetest.PublicPEM(b, key.Public()))))
	}
	var namespaces []string
	for i := range 1000 {
		namespace := fmt.Sprint("n", i)
		document, err := parse([]byte(documents[i%len(documents)]), nil)
		if err != nil {
			b.Fatal(err)
		}
		document.Name = namespace
		namespaces = append(namespaces, namespace)
		set.Namespaces[namespace] = policy.Source{Document: document}
	}
	images := newBenchImages(b, 1000, keys)
	for b.Loop() {
		decider, err := policy.NewDecider(images.sources(set, kinds))
		if err != nil {
			b.Fatal(err)
		}
		inventory, admitted := decider.Inventory(namespaces), 0
		for i, ref := range images.references {
			for _, verdict := range inventory.Decide(b.Context(), ref, images.configs[i]) {
				if verdict.Verdict.Admitted() {
					admitted += len(verdict.Namespaces)
				}
			}
		}
		// Each image is admitted where its key is required.
		if admitted != 1000*100 {
			b.Fatalf("%d of 1,000,000 pairs are admitted, want 100,000", admitted)
		}
	}
}
