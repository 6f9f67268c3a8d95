package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
)

// policyFlags say which policies apply in which namespace.
type policyFlags struct {
	namespace, config, systemPolicy, clusterPolicy, policyDir string
	// root is the directory below which key files are looked up; empty: they are where the documents say.
	root string
}

func (f *policyFlags) add(command *cobra.Command) {
	set := command.Flags()
	set.StringVarP(&f.namespace, "namespace", "n", "default", "the pod's namespace")
	set.StringVar(&f.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVar(&f.systemPolicy, "system-policy", "", "system policy `file`, instead of the configured one")
	set.StringVar(&f.clusterPolicy, "cluster-policy", "", clusterPolicyUsage)
	set.StringVar(&f.policyDir, "policy-dir", "", "`directory` of NAMESPACE.json, instead of the configured one")
}

// read returns the node's configuration, with the policies that the flags name instead of its own.
func (f *policyFlags) read() (*conf.Config, error) {
	config, err := conf.Read(f.config)
	if err != nil {
		return nil, err
	}
	if err := clusterPolicyExists("--cluster-policy", f.clusterPolicy); err != nil {
		return nil, err
	}
	f.apply(config)
	return config, nil
}

// clusterPolicyUsage is the usage of --cluster-policy.
const clusterPolicyUsage = "cluster policy `file`, instead of the configured one and of any system policy"

// given reports whether the policies are other than the node's own.
func (f *policyFlags) given() bool {
	return f.systemPolicy != "" || f.clusterPolicy != "" || f.policyDir != ""
}

// apply replaces the policies in a configuration. A system policy applies only without a cluster policy, so the node's
// own is not used with --system-policy.
func (f *policyFlags) apply(config *conf.Config) {
	if f.systemPolicy != "" {
		config.Policy.System, config.Policy.Cluster = f.systemPolicy, ""
	}
	if f.clusterPolicy != "" {
		config.Policy.Cluster = f.clusterPolicy
	}
	if f.policyDir != "" {
		config.Policy.Directory = f.policyDir
	}
}

// clusterPolicyExists returns an error unless a cluster policy that is given is there: without it, the system policy
// would apply.
func clusterPolicyExists(flag, path string) error {
	if path == "" {
		return nil
	}
	return exists(flag, path, false)
}

// exists returns an error unless the path of a flag is a directory, or a file.
func exists(flag, path string, directory bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	if info.IsDir() != directory {
		return fmt.Errorf("%s %s is not a %s", flag, path, map[bool]string{true: "directory", false: "file"}[directory])
	}
	return nil
}
