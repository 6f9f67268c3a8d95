// Package policies_test loads the example documents as the daemon does, with the real parser and from real files.
// Packages conf and policy do not link that parser into their tests, because its code would make fuzzing a hundred
// times slower.
package policies_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/signature"
)

// installed writes the documents as policies/README.md describes, and loads them as the daemon does.
func installed(t *testing.T) (*policy.Set, files.Status) {
	t.Helper()
	directory := t.TempDir()
	entries, err := fs.Glob(conf.Files(), "policies/*.json")
	if err != nil || len(entries) < 4 {
		t.Fatalf("the documents are %v, %v", entries, err)
	}
	for _, name := range entries {
		raw, err := fs.ReadFile(conf.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(directory, filepath.Base(name)), raw)
	}
	system := filepath.Join(t.TempDir(), "policy.json")
	if err := os.Rename(filepath.Join(directory, "system.json"), system); err != nil {
		t.Fatal(err)
	}
	parse := signature.NewParser(signature.Kinds(nil)).Parse
	documents := files.Open(files.Config{System: system, Directory: directory, Parse: parse})
	return documents.Current(), documents.Status()
}

// TestTheSandboxImageHasAScopeOfItsOwn, which must remain if the scope above it requires more.
func TestTheSandboxImageHasAScopeOfItsOwn(t *testing.T) {
	set, _ := installed(t)
	image, err := policy.Normalize("registry.k8s.io/pause:3.10.2") // containerd v2.4.2's default.
	if err != nil {
		t.Fatal(err)
	}
	document, err := set.For("kube-system")
	if err != nil {
		t.Fatal(err)
	}
	if scope, _ := document.Select(image); scope != "registry.k8s.io/pause" {
		t.Errorf("the sandbox image is in scope %q", scope)
	}
	kinds := signature.Kinds(signature.NewJudge())
	none := func(context.Context, policy.JudgeRequest) policy.Finding {
		return policy.Finding{Reason: policy.Unsigned}
	}
	kinds.AddJudge(policy.Attested, policy.Judge{Name: "none", Func: none})
	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return set },
		Image:     func(context.Context, policy.Question) (*policy.Image, error) { return nil, nil },
		Lookup:    func([]policy.Manifest, reference.Named) policy.StoredEvidence { return nil },
		Kinds:     kinds,
	})
	if err != nil {
		t.Fatal(err)
	}
	if verdict := decider.DecidePull(t.Context(), policy.PullQuestion{Reference: image}); !verdict.Admitted() {
		t.Errorf("its pull is %s: %s", verdict.Reason, verdict.Detail)
	}
}

func TestTheExampleDocuments(t *testing.T) {
	set, status := installed(t)
	if status.Failures > 0 {
		t.Fatalf("problems: %v", status.Problems)
	}
	for _, problem := range status.Problems {
		if !strings.Contains(problem.Text, "/etc/countersign/keys/") {
			t.Errorf("problem: %s; want none but for keys, which the operator brings", problem.Text)
		}
	}
	tests := map[string]struct{ namespace, image, want string }{
		"the pause image":   {"kube-system", "registry.k8s.io/pause:3.10", "insecureAcceptAnything"},
		"Kubernetes itself": {"kube-system", "registry.k8s.io/kube-proxy:v1.37.0", "insecureAcceptAnything"},
		"the pause image by its digest": {
			"kube-system", "registry.k8s.io/pause@sha256:" + strings.Repeat("0", 64), "insecureAcceptAnything",
		},
		"any other without a document": {"kube-system", "docker.io/library/busybox", "reject"},
		"any in dev":                   {"dev", "busybox", "insecureAcceptAnything"},
		"one of prod in prod":          {"prod", "registry.example/prod/app:v1", "sigstoreSigned"},
		"another in prod":              {"prod", "registry.example/staging/app:v1", "reject"},
		"one of staging in staging":    {"staging", "registry.example/staging/app:v1", "sigstoreSigned"},
		"another in staging":           {"staging", "busybox", "reject"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			document, err := set.For(test.namespace)
			if err != nil {
				t.Fatal(err)
			}
			image, err := policy.Normalize(test.image)
			if err != nil {
				t.Fatal(err)
			}
			if _, list := document.Select(image); len(list) != 1 || string(list[0].Kind) != test.want {
				t.Errorf("%v asks for %+v, want %s", image, list, test.want)
			}
		})
	}
}
