package monitoring_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/plugin/tracingtest"
)

// TestTraces follows decisions from containerd into the daemon, and a slow one to what it waits for.
func TestTraces(t *testing.T) {
	w, collector := rig.NewWorkshop(t), &tracingtest.Collector{}
	server := httptest.NewServer(collector)
	t.Cleanup(server.Close)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true, Wrap: silentAbout("shop/slow")})
	r := w.On(node.Start(t, node.Config{
		Tools: node.NewTools(t), RequiredPlugins: []string{"countersign"},
		Environment: []string{
			"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_BSP_SCHEDULE_DELAY=200",
		},
	}), registry)
	r.Write(t, "", node.Policy{Default: node.Cosign(w.Key.Public)})
	r.Daemon = r.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"tracing": {"endpoint": server.URL}, "pull": {"timeout": "1s"},
	}})
	rig.OK(t, r.InstallVerifier(w.Build(t, "./plugin/verifier/countersign-verifier"), r.Daemon))
	r.Start(t)
	image := r.Push(t, "shop/web:v1")
	rig.OK(t, r.Tools.Sign(t.Context(), node.Signing{Image: image, Key: w.Key, OldFormat: true}))
	pod := r.Begin(t, "prod", image)

	t.Run("a decision is a part of containerd's trace", func(t *testing.T) {
		rig.Eventually(t, "the trace of "+pod.Pod.Name, func() error { return followed(collector.Spans(), pod.Pod.Name) })
	})
	t.Run("a slow pull shows what it waits for", func(t *testing.T) {
		slow := r.Push(t, "shop/slow:v1")
		r.Pull(t, slow)
		rig.Eventually(t, "the trace of a slow pull", func() error { return explained(collector.Spans(), slow.Reference) })
	})
	if dropped := rig.Must(r.Daemon.Metric(t.Context(), "countersign_trace_spans_dropped_total"))(t); dropped != 0 {
		t.Errorf("%v spans were dropped", dropped)
	}
}

// silentAbout wraps a registry that does not answer requests for the signatures of a repository.
func silentAbout(repository string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			for _, path := range []string{"/manifests/sha256-", "/referrers/"} {
				if strings.HasPrefix(request.URL.Path, "/v2/"+repository+path) {
					<-request.Context().Done()
					return
				}
			}
			next.ServeHTTP(writer, request)
		})
	}
}

// followed returns an error unless a decision about a pod is below a span of containerd.
func followed(spans []tracingtest.Span, pod string) error {
	byID := map[string]tracingtest.Span{}
	for _, span := range spans {
		byID[span.ID] = span
	}
	for _, span := range spans {
		if span.Service != "countersign" || span.Name != "decide creation" || span.Attributes["k8s.pod.name"] != pod ||
			span.Attributes["countersign.reason"] != "accepted" {
			continue
		}
		caller, known := byID[span.Parent]
		if known && caller.Service == "containerd" && caller.Trace == span.Trace {
			return nil
		}
		return fmt.Errorf("the caller of %v is %v", span, caller)
	}
	return fmt.Errorf("there is no decision about it in %d spans", len(spans))
}

// explained returns an error unless the trace of a pull shows that it waits for signatures.
func explained(spans []tracingtest.Span, reference string) error {
	for _, pull := range spans {
		if pull.Name != "decide pull" || pull.Attributes["container.image.name"] != reference {
			continue
		}
		if pull.Attributes["countersign.reason"] != "pending" {
			return fmt.Errorf("the pull is %v", pull)
		}
		for _, part := range spans {
			if part.Parent != pull.ID || part.Name != "fetch evidence" {
				continue
			}
			if took, all := part.End.Sub(part.Start), pull.End.Sub(pull.Start); took < all/2 {
				return fmt.Errorf("the fetch took %s of %s", took, all)
			}
			return nil
		}
		return errors.New("the fetch has not ended")
	}
	return errors.New("there is no such pull")
}
