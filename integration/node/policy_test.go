package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/signature"
)

func TestPoliciesParse(t *testing.T) {
	key := filepath.Join(t.TempDir(), "cosign.pub")
	for how, test := range map[string]struct {
		policy node.Policy
		want   []string // The types of the requirements: the default's, then the scope's.
	}{
		"the zero policy rejects": {node.Policy{}, []string{"reject"}},
		"accept":                  {node.Policy{Default: node.Accept()}, []string{"insecureAcceptAnything"}},
		"a key for a scope": {
			node.Policy{Scopes: map[string]node.Requirement{"registry.example": node.Cosign(key)}},
			[]string{"reject", "sigstoreSigned"},
		},
	} {
		t.Run(how, func(t *testing.T) {
			parser := signature.NewParser(signature.Kinds(nil))
			document, err := parser.Parse([]byte(test.policy.JSON()), func(string) ([]byte, error) {
				return nil, errors.New("this test has no keys")
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, requirement := range append(document.Default, document.Scopes["registry.example"]...) {
				got = append(got, string(requirement.Kind))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("types of requirements (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPoliciesAreWrittenAndRemoved(t *testing.T) {
	n := node.Start(t, node.Config{})
	for namespace, path := range map[string]string{
		"": n.SystemPolicy(), "prod": filepath.Join(n.PolicyDirectory(), "prod.json"),
	} {
		for _, document := range []string{"first", "second"} {
			if err := n.WritePolicy(namespace, document); err != nil {
				t.Fatal(err)
			}
			if contents, err := os.ReadFile(path); err != nil || string(contents) != document {
				t.Errorf("%s contains %q, %v; want %q", path, contents, err, document)
			}
		}
		if err := n.RemovePolicy(namespace); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}
