package main

import (
	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
)

// policyFlags say which policies apply in which namespace.
type policyFlags struct {
	namespace, config, systemPolicy, policyDir string
	// root is the directory below which key files are looked up; empty: they are where the documents say.
	root string
}

func (f *policyFlags) add(command *cobra.Command) {
	set := command.Flags()
	set.StringVarP(&f.namespace, "namespace", "n", "default", "the pod's namespace")
	set.StringVar(&f.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVar(&f.systemPolicy, "system-policy", "", "system policy `file`, instead of the configured one")
	set.StringVar(&f.policyDir, "policy-dir", "", "`directory` of NAMESPACE.json, instead of the configured one")
}

// read returns the node's configuration, with the policies that the flags name instead of its own.
func (f *policyFlags) read() (*conf.Config, error) {
	config, err := conf.Read(f.config)
	if err != nil {
		return nil, err
	}
	if f.systemPolicy != "" {
		config.Policy.System = f.systemPolicy
	}
	if f.policyDir != "" {
		config.Policy.Directory = f.policyDir
	}
	return config, nil
}
