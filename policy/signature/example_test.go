package signature_test

import (
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

func ExampleParser_Parse() {
	document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(`{
		"default": [{"type": "reject"}],
		"transports": {"docker": {"registry.example/team": [{
			"type": "sigstoreSigned",
			"keyPath": "testdata/containers-image/cosign.pub",
			"signedIdentity": {"type": "matchRepository"}
		}, {
			"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/pki/missing.gpg"
		}]}}
	}`), os.ReadFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	ref, err := policy.Normalize("registry.example/team/app:v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	scope, requirements := document.Select(ref)
	fmt.Println("scope:", scope)
	for _, requirement := range requirements {
		fmt.Printf("%s %q\n", requirement.Kind, requirement.Problem)
	}
	// Output:
	// scope: registry.example/team
	// sigstoreSigned ""
	// signedBy "reading key file /etc/pki/missing.gpg: no such file or directory"
}

func ExampleJudge_Judge() {
	const directory = "testdata/skopeo"
	manifest, err := os.ReadFile(directory + "/manifest.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(`{"default": [{
		"type": "sigstoreSigned", "keyPath": "testdata/containers-image/cosign.pub"
	}]}`), os.ReadFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	judge := signature.NewJudge()
	for _, name := range []string{"192.168.64.2:5000/skopeo-signed:tag", "192.168.64.2:5000/skopeo-signed:other"} {
		ref, err := policy.Normalize(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		finding := judge.Judge(context.Background(), policy.JudgeRequest{
			Requirement: document.Default[0],
			Reference:   ref,
			Manifest:    policy.Manifest{Digest: digest.FromBytes(manifest), Bytes: manifest},
			Evidence:    policy.Evidence{State: policy.Found, Directory: directory, Signatures: 1},
		})
		fmt.Printf("%t %q\n", finding.Met, finding.Detail)
	}
	// Output:
	// true ""
	// false "Signature for identity \"192.168.64.2:5000/skopeo-signed:tag\" is not accepted"
}
