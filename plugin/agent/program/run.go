package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
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
	joined, err := newManager(configuration, o)
	if err != nil {
		return fmt.Errorf("preparing the client of the API server: %w", err)
	}
	return joined.Start(ctx)
}

// apiServer returns how to reach the API server.
func apiServer(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		return clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	return rest.InClusterConfig()
}

//nolint:ireturn // It is the library's.
func newManager(configuration *rest.Config, o options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	made, err := manager.New(configuration, manager.Options{
		Scheme:                 scheme,
		Metrics:                metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress: o.probeAddress,
	})
	if err != nil {
		return nil, err
	}
	return made, errors.Join(made.AddHealthzCheck("ping", healthz.Ping), made.AddReadyzCheck("ping", healthz.Ping))
}
