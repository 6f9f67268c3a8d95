// Simulate plays the agents of many nodes to an API server, for tests: each writes the status of its node, with the
// code of countersign-agent, as if the node obeyed each policy at once. It runs until it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/report"
	"github.com/countersign/countersign/plugin/agent/watch"
)

// startTime is in how much time the agents are started.
const startTime = 10 * time.Second

func main() {
	kubeconfig := flag.String("kubeconfig", "", "`file` that says how to reach the API server")
	count := flag.Int("nodes", 0, "`number` of nodes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *kubeconfig, *count); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // Nothing is left to be stopped.
	}
}

func run(ctx context.Context, kubeconfig string, count int) error {
	configuration, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	configuration.QPS = -1 // Every agent has a limit of its own.
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	api, err := client.New(configuration, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	options := watch.Options(log)
	options.Scheme = scheme
	policies, err := cache.New(configuration, options)
	if err != nil {
		return err
	}
	go func() { _ = policies.Start(ctx) }() // It ends with the program.
	source := watch.NewSource(policies)
	if err := source.Start(ctx); err != nil {
		return err
	}
	return play(ctx, source, start(ctx, api, count, log))
}

// start starts what writes the statuses of nodes.
func start(ctx context.Context, api client.Client, count int, log *slog.Logger) []*report.Node {
	nodes := make([]*report.Node, count)
	for i := range nodes {
		nodes[i] = report.NewNode(fmt.Sprintf("simulated-%d", i), api, api, log)
		time.AfterFunc(rand.N(startTime), func() { _ = nodes[i].Start(ctx) }) // It ends with the program.
	}
	return nodes
}

// play has all nodes obey the policies whenever they change.
func play(ctx context.Context, source *watch.Source, nodes []*report.Node) error {
	for {
		objects, err := source.Objects(ctx)
		if err != nil {
			return err
		}
		policies := map[reconcile.ID]int64{}
		for _, policy := range objects.Cluster {
			policies[reconcile.ID{Kind: reconcile.ClusterKind, Name: policy.Name}] = policy.Generation
		}
		for _, policy := range objects.Policies {
			id := reconcile.ID{Kind: reconcile.PolicyKind, Namespace: policy.Namespace, Name: policy.Name}
			policies[id] = policy.Generation
		}
		for _, n := range nodes {
			n.Set(reconcile.Outcome{Current: policies, Obeyed: policies, Documents: len(policies)})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-source.Changed():
		}
	}
}
