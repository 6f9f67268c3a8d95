package program

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// options are the flags of the program.
type options struct {
	nodeName, kubeconfig                     string
	directory, clusterDocument, systemPolicy string
	state, socket                            string
	metricsAddress, probeAddress, namespace  string
	allowSelfLockout                         bool
}

// namespaceFile has the namespace of a pod's service account.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// readOptions reads the arguments. Its error is [flag.ErrHelp] if they ask for help, which is printed.
func readOptions(arguments []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("countersign-agent", flag.ContinueOnError)
	flags.SetOutput(output)
	text := func(into *string, name, value, usage string) { flags.StringVar(into, name, value, usage) }
	text(&o.nodeName, "node-name", os.Getenv("NODE_NAME"), "`name` of this node; by default $NODE_NAME")
	text(&o.kubeconfig, "kubeconfig", "", "`file` that says how to reach the API server; by default that of the pod")
	text(&o.directory, "directory", "/etc/countersign/policies",
		"`directory` of the documents: [policy] directory of the daemon's configuration")
	text(&o.clusterDocument, "cluster-document", "/etc/countersign/cluster.json",
		"`file` with the document of namespaces without one of their own: [policy] cluster of the daemon's configuration")
	text(&o.systemPolicy, "system-policy", "/etc/containers/policy.json",
		"`file` with the system policy of the node, which is part of every document")
	text(&o.state, "state", "/var/lib/countersign/agent", "`directory` for the list of files that the agent has written")
	text(&o.socket, "socket", "/run/countersign/countersign.sock", "`path` of the daemon's socket")
	text(&o.metricsAddress, "metrics-bind-address", "0", "`address` of the metrics, such as :9464; 0 serves none")
	text(&o.probeAddress, "health-probe-bind-address", "0",
		"`address` of /healthz and /readyz, such as :9465; 0 serves none")
	text(&o.namespace, "leader-election-namespace", "",
		"`namespace` of the lease with which one agent is elected to write the statuses of policies; "+
			"by default that of the pod")
	flags.BoolVar(&o.allowSelfLockout, "allow-self-lockout", false,
		"write documents also if they refuse running containers of kube-system or of the agent's namespace")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("the program takes no arguments, only flags: %q", flags.Args())
	}
	if raw, err := os.ReadFile(namespaceFile); err == nil && o.namespace == "" {
		o.namespace = strings.TrimSpace(string(raw))
	}
	return o, o.check()
}

// check reports everything that is wrong with the flags at once.
func (o options) check() error {
	var all []error
	if o.nodeName == "" {
		all = append(all, errors.New("--node-name is not set, nor is NODE_NAME"))
	} else if wrong := validation.IsDNS1123Subdomain(o.nodeName); wrong != nil {
		all = append(all, fmt.Errorf("--node-name %q: %s", o.nodeName, strings.Join(wrong, "; ")))
	}
	if o.namespace == "" {
		all = append(all, errors.New("--leader-election-namespace is not set, and the agent does not run in a pod"))
	}
	for name, path := range map[string]string{
		"directory": o.directory, "cluster-document": o.clusterDocument, "system-policy": o.systemPolicy,
		"state": o.state, "socket": o.socket,
	} {
		if !filepath.IsAbs(path) {
			all = append(all, fmt.Errorf("--%s %q is not an absolute path", name, path))
		}
	}
	return errors.Join(all...)
}
