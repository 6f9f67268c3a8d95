package report_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/report"
)

// failingAPIServer plays an API server that fails a number of requests, and then has no report.
type failingAPIServer struct {
	client.Client

	failures int
	created  []string
}

func (s *failingAPIServer) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	if s.failures > 0 {
		s.failures--
		return errors.New("connection refused")
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (s *failingAPIServer) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	s.created = append(s.created, object.GetNamespace())
	return nil
}

func TestAReportThatCouldNotBeWrittenIsWrittenInTheNextRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &failingAPIServer{failures: 2}
		reports := report.NewReports("node-1", api, api, slog.New(slog.DiscardHandler))
		refused := refusal("team", "pod")
		refused.Time = time.Now()
		reports.Add(refused)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		if err := reports.Start(ctx); err != nil {
			t.Error(err)
		}
		if len(api.created) != 1 || api.created[0] != "team" {
			t.Errorf("reports were created in %q, want one in team", api.created)
		}
	})
}
