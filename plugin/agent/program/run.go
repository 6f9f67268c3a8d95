package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/daemon"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/report"
	"github.com/countersign/countersign/plugin/agent/watch"
	"github.com/countersign/countersign/plugin/agent/write"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/text"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// Requests a second to the API server, and how many at once.
const (
	requestRate  = 50
	requestBurst = 100
	// maxNote limits the text of an event.
	maxNote = 1000
	// renewTimeout limits a request for the lease.
	renewTimeout = 10 * time.Second
)

// Run runs the program until the context ends, and returns its exit code.
func Run(ctx context.Context, arguments []string, stderr io.Writer) int {
	o, err := readOptions(arguments, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "countersign-agent: %v\n", err)
		return exitUsage
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := run(ctx, o, log); err != nil {
		log.ErrorContext(ctx, "the agent has failed", "error", err)
		return exitFailed
	}
	return 0
}

func run(ctx context.Context, o options, log *slog.Logger) error {
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	configuration, err := apiServer(o.kubeconfig)
	if err != nil {
		return fmt.Errorf("reading how to reach the API server: %w", err)
	}
	configuration.QPS, configuration.Burst = requestRate, requestBurst
	joined, err := newManager(configuration, o, log)
	if err != nil {
		return fmt.Errorf("preparing the client of the API server: %w", err)
	}
	if err := addParts(joined, o, log); err != nil {
		return err
	}
	return joined.Start(ctx)
}

// addParts adds what runs.
func addParts(to manager.Manager, o options, log *slog.Logger) error {
	writer, err := write.Open(write.Target{Directory: o.directory, Cluster: o.clusterDocument, State: o.state})
	if err != nil {
		return err
	}
	calls := socket.NewClient(o.socket)
	rules := reconcile.Config{
		Writer: writer, Confirm: watch.Confirm(to.GetAPIReader()), Protected: []string{metav1.NamespaceSystem, o.namespace},
		SystemPolicy: func() ([]byte, error) { return os.ReadFile(o.systemPolicy) },
	}
	if !o.allowSelfLockout {
		rules.Preview = daemon.Preview(calls)
	}
	documents := &follower{source: watch.NewSource(to.GetCache()), log: log, reconciler: reconcile.New(rules)}
	reporting, err := reporters(to, o, documents, log)
	if err != nil {
		return err
	}
	reports := report.NewReports(o.nodeName, to.GetAPIReader(), to.GetClient(), log)
	refusals := report.NewRefusals(
		daemon.NewFeed(calls).Next, to.GetEventRecorder("countersign-agent"), reports.Add, log)
	return errors.Join(to.Add(documents), to.Add(reporting.node), to.Add(reporting.leader), to.Add(reports),
		to.Add(refusals), to.AddHealthzCheck("ping", healthz.Ping), to.AddReadyzCheck("documents", documents.check))
}

// statuses are what tells users what became of policies.
type statuses struct {
	node   *report.Node
	leader *report.Leader
}

// reporters makes what is told about each pass. It has a client of its own, which does not delay that of the policies.
func reporters(to manager.Manager, o options, documents *follower, log *slog.Logger) (statuses, error) {
	configuration := rest.CopyConfig(to.GetConfig())
	api, err := client.New(configuration, client.Options{Scheme: to.GetScheme()})
	if err != nil {
		return statuses{}, fmt.Errorf("preparing the client for statuses: %w", err)
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, o.namespace, "countersign-agent",
		resourcelock.ResourceLockConfig{Identity: o.nodeName}, configuration, renewTimeout)
	if err != nil {
		return statuses{}, fmt.Errorf("preparing the leader election lease: %w", err)
	}
	s := statuses{
		node: report.NewNode(o.nodeName, api, api, log),
		leader: report.NewLeader(report.LeaderConfig{
			Lock: lock, Client: api, Reader: api, Objects: documents.source.Objects, Log: log,
		}),
	}
	events := to.GetEventRecorder("countersign-agent")
	self := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: o.nodeName}
	documents.event = func(reason, message string) {
		events.Eventf(self, nil, corev1.EventTypeWarning, reason, "WriteDocument", "%s", text.Shorten(message, maxNote))
	}
	documents.report = func(outcome reconcile.Outcome) { s.node.Set(outcome); s.leader.Set(outcome) }
	return s, nil
}

// apiServer returns how to reach the API server.
func apiServer(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		return clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	return rest.InClusterConfig()
}

//nolint:ireturn // It is the library's.
func newManager(configuration *rest.Config, o options, log *slog.Logger) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return manager.New(configuration, manager.Options{
		Scheme: scheme, Cache: watch.Options(log), Metrics: metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress: o.probeAddress,
	})
}
