package daemon_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/daemon"
	"github.com/countersign/countersign/plugin/internal/socket"
)

// serve serves a daemon's socket.
func serve(t *testing.T, mux *http.ServeMux) *socket.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "countersign.sock")
	listener, err := socket.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- socket.Serve(ctx, listener, mux) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return socket.NewClient(path)
}

func TestWhatIsRefusedAndWhatIsUndecidedCounts(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("POST "+socket.PreviewEndpoint, socket.Endpoint(
		func(_ context.Context, request socket.PreviewRequest) (socket.PreviewAnswer, error) {
			if string(request.Documents["kube-system"]) != `{"a":1}` {
				t.Errorf("the daemon is asked about %s", request.Documents)
			}
			return socket.PreviewAnswer{
				Refused:   []socket.PreviewContainer{{Namespace: "kube-system", Pod: "p", Container: "c", Reason: "unsigned"}},
				Undecided: []socket.PreviewContainer{{Namespace: "kube-system", Pod: "q", Container: "d", Reason: "pending"}},
			}, nil
		}))
	got, err := daemon.Preview(serve(t, mux))(t.Context(), map[string][]byte{"kube-system": []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"kube-system": {"container c of pod p (unsigned)", "container d of pod q (pending)"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

func TestAFeedContinues(t *testing.T) {
	mux := http.NewServeMux()
	var asked []uint64
	mux.Handle("POST "+socket.DecisionsEndpoint, socket.Endpoint(
		func(_ context.Context, request socket.DecisionsRequest) (socket.DecisionsAnswer, error) {
			asked = append(asked, request.After)
			next := request.After + 1
			return socket.DecisionsAnswer{
				Start: "s", Sequence: next, Decisions: []socket.DeniedRequest{{Sequence: next}},
			}, nil
		}))
	feed := daemon.NewFeed(serve(t, mux))
	for i := range uint64(3) {
		got, err := feed.Next(t.Context())
		if err != nil || len(got) != 1 || got[0].Sequence != i+1 {
			t.Fatalf("the feed has %v, %v", got, err)
		}
	}
	if diff := cmp.Diff([]uint64{0, 1, 2}, asked); diff != "" {
		t.Errorf("asked for refusals after (-want +got):\n%s", diff)
	}
}

func TestADaemonThatIsNotThere(t *testing.T) {
	client := socket.NewClient(filepath.Join(t.TempDir(), "none"))
	if _, err := daemon.Preview(client)(t.Context(), nil); err == nil {
		t.Error("nobody listens, and there is a preview")
	}
	if _, err := daemon.NewFeed(client).Next(t.Context()); err == nil {
		t.Error("nobody listens, and there is a feed")
	}
}
