package bundle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
)

// A bundle by "cosign sign -a docker-reference=registry.example/team/app:v1" counts in that repository only.
func Example() {
	directory, err := os.MkdirTemp("", "evidence-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join("testdata", "cosign-3.1.3", name))
		if err != nil {
			panic(err)
		}
		return raw
	}
	// The stored evidence of a manifest.
	raw := read("manifest.json")
	if err := os.WriteFile(filepath.Join(directory, "bundle-1.json"), read("key-annotated.json"), 0o600); err != nil {
		panic(err)
	}
	manifest := policy.Manifest{Digest: digest.FromBytes(raw), Bytes: raw}
	evidence := policy.Evidence{Manifest: manifest.Digest, State: policy.Found, Directory: directory, Bundles: 1}
	// A requirement as package signature parses it.
	contents, err := json.Marshal(map[string]any{"type": "sigstoreSigned", "keyData": read("cosign.pub")})
	if err != nil {
		panic(err)
	}
	requirement := &policy.Requirement{
		ID: digest.FromBytes(contents), Kind: "sigstoreSigned", JSON: contents, NeedsEvidence: true,
	}

	judge := bundle.NewJudge()
	for _, name := range []string{"registry.example/team/app:v1", "registry.example/prod/app:v1"} {
		ref, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			panic(err)
		}
		finding := judge.Judge(context.Background(), policy.JudgeRequest{
			Requirement: requirement, Reference: ref, Manifest: manifest, Evidence: evidence,
		})
		fmt.Printf("%t %q\n", finding.Met, finding.Reason)
	}
	// Output:
	// true ""
	// false "rejected"
}
