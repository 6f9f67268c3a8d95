package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// opened opens a store in a new directory, and returns both.
func opened(t *testing.T) (*evidence.Keeper, string) {
	t.Helper()
	directory := t.TempDir()
	keeper, err := evidence.Open(evidence.Config{Directory: directory, MaxSize: 1 << 30, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keeper.Close)
	return keeper, directory
}

// carry exports the evidence of a directory and imports it into another, which it returns.
func carry(t *testing.T, from string) string {
	t.Helper()
	stored, err := store.List(from)
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	none := func(format.Item) (ocispec.Descriptor, bool) { return ocispec.Descriptor{}, false }
	if err := archive.Write(&written, itemsOf(stored), none); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "evidence.tar")
	if err := os.WriteFile(path, written.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	keeper, to := opened(t)
	for found := range l.Evidence(nil) {
		if found.Err != nil {
			t.Fatal(found.Err)
		}
		if _, err := keeper.Import(found.Item); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// verdict decides about an image with the evidence in a directory.
func verdict(t *testing.T, directory string, requirement any, image *policy.Image) policy.Verdict {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"default": []any{requirement}})
	if err != nil {
		t.Fatal(err)
	}
	document, err := signature.NewParser(daemon.RequirementKinds(nil)).Parse(raw, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	document.Name = "policy.json"
	set := &policy.Set{System: policy.Source{Name: "policy.json", Document: document}}
	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return set },
		Image:     func(context.Context, policy.Question) (*policy.Image, error) { return image, nil },
		Lookup:    evidence.Read(directory), Kinds: daemon.RequirementKinds(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	return decider.Decide(t.Context(), policy.Question{
		Namespace: "prod", Reference: image.PulledAs[0].String(), Config: image.Config,
	})
}

// TestCarriedEvidenceGivesTheSameVerdict compares the verdicts of a node that has evidence with those of a node that
// imported it; both must be identical.
func TestCarriedEvidenceGivesTheSameVerdict(t *testing.T) {
	const repository = "registry.example/app"
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{` +
		`"mediaType":"application/vnd.oci.image.config.v1+json","size":2,` +
		`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`)
	manifest := digest.FromBytes(raw)
	image := &policy.Image{
		Config: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", Confirmed: true,
		Manifests: []policy.Manifest{{
			Digest: manifest, MediaType: ocispec.MediaTypeImageManifest, Bytes: raw, Repositories: []string{repository},
		}},
		PulledAs: []reference.Named{normalized(t, repository+":v1")},
	}
	key, other := signaturetest.NewKey(t), signaturetest.NewKey(t)
	good := signaturetest.Sign(t, key, repository, manifest).File(t)
	wrong := signaturetest.Sign(t, other, repository, manifest).File(t)
	elsewhere := signaturetest.Sign(t, key, "registry.example/other", manifest).File(t)
	bundleOf := func(name string) []byte { return bundletest.Sign(t, bundletest.KeyOf(t, key), manifest, name).JSON(t) }
	requirement := bundletest.KeyOf(t, key).Requirement(t)
	sigstore, builder := signaturetest.NewSigstore(t), signaturetest.Identity{Email: "a@b.example", Issuer: "https://i"}
	message, err := os.ReadFile(filepath.Join(fixtureDirectory, "valid.signature"))
	if err != nil {
		t.Fatal(err)
	}
	gpg := map[string]any{
		"type": "signedBy", "keyType": "GPGKeys", "keyPath": filepath.Join(fixtureDirectory, "public-key.gpg"),
	}
	for name, test := range map[string]struct {
		requirement         any
		signatures, bundles [][]byte
		want                policy.Reason
	}{
		"a good signature":                 {requirement, [][]byte{good}, nil, policy.Accepted},
		"a good one among others":          {requirement, [][]byte{wrong, elsewhere, good}, nil, policy.Accepted},
		"one by another key":               {requirement, [][]byte{wrong}, nil, policy.Rejected},
		"one of another repository":        {requirement, [][]byte{elsewhere}, nil, policy.Rejected},
		"a good bundle":                    {requirement, nil, [][]byte{bundleOf(repository)}, policy.Accepted},
		"a bundle of another repository":   {requirement, nil, [][]byte{bundleOf("registry.example/x")}, policy.Rejected},
		"a bundle of no repository":        {requirement, nil, [][]byte{bundleOf("")}, policy.Rejected},
		"a good bundle, a wrong signature": {requirement, [][]byte{wrong}, [][]byte{bundleOf(repository)}, policy.Accepted},
		"a keyless signature": {
			sigstore.Requirement(t, builder),
			[][]byte{sigstore.Sign(t, builder, repository, manifest).File(t)},
			nil,
			policy.Accepted,
		},
		"an OpenPGP message of another image": {gpg, [][]byte{message}, nil, policy.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			keeper, here := opened(t)
			if _, err := keeper.Import(format.Item{
				Manifest: manifest, Repository: repository, Files: slices.Concat(
					format.Files(format.KindSignature, test.signatures...), format.Files(format.KindBundle, test.bundles...),
				),
			}); err != nil {
				t.Fatal(err)
			}
			before := verdict(t, here, test.requirement, image)
			after := verdict(t, carry(t, here), test.requirement, image)
			if diff := cmp.Diff(before, after); diff != "" || before.Reason != test.want {
				t.Errorf("want %s; exporting and importing node (-exporting +importing):\n%s", test.want, diff)
			}
		})
	}
}

func normalized(t *testing.T, s string) reference.Named {
	t.Helper()
	ref, err := policy.Normalize(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
