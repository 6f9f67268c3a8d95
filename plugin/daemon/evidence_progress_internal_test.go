package daemon

import (
	"context"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
)

func TestProgressOfAnImageIsReportedBeforeItsEnd(t *testing.T) {
	calls := 0
	w := &fakeNode{}
	w.hold(t, "registry.example/app:v1", "platform")
	service := w.service()
	service.Fetch = func(context.Context, digest.Digest, reference.Named) error {
		if calls++; calls == 1 {
			return &evidencefetch.UnfinishedError{Read: 120, Of: 301}
		}
		return nil
	}
	var got []FetchReport
	request := FetchRequest{References: []string{"registry.example/app:v1"}, Timeout: time.Hour}
	err := service.FetchAll(t.Context(), request, func(report FetchReport) error {
		got = append(got, report)
		return nil
	})
	want := []FetchReport{
		{Reference: "registry.example/app:v1", Read: 120, Of: 301, Done: 1, Total: 1},
		{Reference: "registry.example/app:v1", Manifests: 1, Signatures: 2, Bundles: 1, Done: 1, Total: 1},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}
