package nri_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"
	nrilog "github.com/containerd/nri/pkg/log"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// TestMain makes this test binary a plugin when the runtime half of NRI starts it as one: installed_test.go puts it
// where plugins are looked for.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == installedName && os.Getenv(api.PluginSocketEnvVar) != "" {
		os.Exit(runInstalled())
	}
	nrilog.Set(silence{})
	os.Exit(m.Run())
}

// silence drops what the runtime half has to say.
type silence struct{}

func (silence) Debugf(context.Context, string, ...any) {}
func (silence) Infof(context.Context, string, ...any)  {}
func (silence) Warnf(context.Context, string, ...any)  {}
func (silence) Errorf(context.Context, string, ...any) {}

// runInstalled is the plugin of installed_test.go. It refuses every container, which proves that it was asked.
func runInstalled() int {
	handler := &nri.Handler{
		Deadline: policy.NewDeadline(time.Hour),
		Content: func(context.Context, policy.Container) ([]digestOf, error) {
			return nil, policy.Refuse(policy.UnknownOrigin, "refused by the installed plugin")
		},
		Volume: noVolume,
		Decide: func(context.Context, policy.Question) policy.Verdict { return policy.Verdict{} },
		Audit:  func(string) bool { return false },
		Report: func(context.Context, nri.Report) {},
	}
	plugin := &nri.Plugin{Handler: handler, Logger: slog.New(slog.DiscardHandler), Registered: func(error) {}}
	if err := plugin.Run(context.Background()); err != nil {
		return 1
	}
	return 0
}
