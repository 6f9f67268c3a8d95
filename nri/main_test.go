package nri_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/nri/pkg/api"
	nrilog "github.com/containerd/nri/pkg/log"

	"github.com/countersign/countersign/nri"
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

// runInstalled is the plugin of installed_test.go.
func runInstalled() int {
	if err := nri.Decline(context.Background(), installedReason); err != nil {
		return 1
	}
	return 0
}
