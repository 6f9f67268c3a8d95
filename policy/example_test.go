package policy_test

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// A namespace that requires a signature refuses the image that another namespace, which requires none, has pulled.
func ExampleDecider_Decide() {
	const pulledAs = "registry.example/app:v1"
	config, manifest := digest.FromString("the config"), digest.FromString("the manifest")

	// The documents: the system policy accepts anything, and namespace prod requires a signature.
	anything := &policy.Requirement{ID: digest.FromString("anything"), Kind: policy.InsecureAcceptAnything}
	signature := &policy.Requirement{ID: digest.FromString("signature"), Kind: policy.SigstoreSigned, NeedsEvidence: true}
	documents := &policy.Set{
		System: policy.Source{Document: &policy.Document{
			Name: "/etc/containers/policy.json", Default: []*policy.Requirement{anything},
		}},
		Namespaces: map[string]policy.Source{"prod": {Document: &policy.Document{
			Name: "/etc/countersign/policies/prod.json", Default: []*policy.Requirement{signature},
		}}},
	}

	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return documents },
		// The image that runs was pulled under one name.
		Image: func(context.Context, policy.Question) (*policy.Image, error) {
			original, err := policy.Normalize(pulledAs)
			if err != nil {
				return nil, err
			}
			return &policy.Image{
				Config:    config,
				Manifests: []policy.Manifest{{Digest: manifest, Repositories: []string{original.Name()}}},
				PulledAs:  []reference.Named{original},
			}, nil
		},
		// The stored evidence: the registry was asked, and there is no signature.
		Lookup: func([]policy.Manifest, reference.Named) policy.StoredEvidence {
			return policy.StoredEvidence{{Manifest: manifest, Generation: 1, State: policy.None}}
		},
		Kinds: policy.Kinds{
			policy.InsecureAcceptAnything: {Judges: []policy.Judge{{Name: "example", Func: judge}}},
			policy.SigstoreSigned:         {NeedsEvidence: true, Judges: []policy.Judge{{Name: "example", Func: judge}}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, namespace := range []string{"dev", "prod"} {
		verdict := decider.Decide(context.Background(), policy.Question{
			Namespace: namespace, Reference: pulledAs, Config: config,
		})
		fmt.Printf("%s: %s (%s) by %s\n", namespace, verdict.Outcome, verdict.Reason, verdict.Document)
	}

	// Output:
	// dev: admit (accepted) by /etc/containers/policy.json
	// prod: deny (unsigned) by /etc/countersign/policies/prod.json
}

// judge supports two kinds of requirements and meets no signature; package signature has the real judge.
func judge(_ context.Context, request policy.JudgeRequest) policy.Finding {
	switch {
	case request.Requirement.Kind == policy.InsecureAcceptAnything:
		return policy.Finding{Met: true}
	case request.Evidence.State == policy.None:
		return policy.Finding{Reason: policy.Unsigned, Detail: "a signature is required and none was found"}
	default:
		return policy.Finding{Reason: policy.Rejected}
	}
}
