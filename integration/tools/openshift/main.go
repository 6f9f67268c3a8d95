//go:build operator

// Operator prints what OpenShift's machine config operator makes of policies: the functions that it calls are the
// operator's own. They are not exported, so the tests that build this program take their source from the pinned module.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	config "github.com/openshift/api/config/v1alpha1"
	// The module of the functions is pinned by a package of it that is small.
	_ "github.com/openshift/machine-config-operator/pkg/version"
)

// input is what the operator renders.
type input struct {
	Template json.RawMessage              `json:"template"`
	Cluster  []*config.ClusterImagePolicy `json:"cluster"`
	Policies []*config.ImagePolicy        `json:"policies"`
}

// output are the documents of the cluster and of namespaces.
type output struct {
	Cluster    json.RawMessage            `json:"cluster"`
	Namespaces map[string]json.RawMessage `json:"namespaces"`
}

// fixtures are the objects of the operator's own tests.
type fixtures struct {
	Cluster  map[string]config.ClusterImagePolicy `json:"cluster"`
	Policies map[string]config.ImagePolicy        `json:"policies"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 && os.Args[1] == "fixtures" {
		return json.NewEncoder(os.Stdout).Encode(fixtures{clusterImagePolicyTestCRs(), imagePolicyTestCRs()})
	}
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("reading the input: %w", err)
	}
	cluster, policies, err := getValidScopePolicies(in.Cluster, in.Policies, nil)
	if err != nil {
		return err
	}
	document, err := updatePolicyJSON(in.Template, nil, nil, "", cluster)
	if err != nil {
		return err
	}
	out := output{Cluster: document, Namespaces: map[string]json.RawMessage{}}
	namespaces, err := updateNamespacedPolicyJSONs(document, nil, nil, policies)
	for name, document := range namespaces {
		out.Namespaces[name] = document
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// Controller writes statuses in the operator. Here there is none.
type Controller struct{}

func (*Controller) syncImagePolicyStatusOnly(_, _, _, _, _ string, _ any) {}
