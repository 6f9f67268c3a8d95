package report

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/text"
)

const (
	// reportInterval is the shortest time between two reports about a namespace; as much is added at random.
	reportInterval = 30 * time.Second
	// maxResults limits the results of a report. A report has the last ones.
	maxResults = 100
	// forget is how long a result stays in a report after the image was refused for the last time.
	forget = time.Hour
)

// result is an image that was refused in a pod.
type result struct{ pod, container, image string }

// Reports writes a PolicyReport for each namespace in which this node refuses images, or would refuse them. Where the
// cluster does not have that kind, it writes nothing.
type Reports struct {
	node   string
	reader client.Reader
	writer client.Writer
	log    *slog.Logger

	mutex sync.Mutex // Guards the following fields.
	// results are those of each namespace, and changed the namespaces whose reports are to be written.
	results map[string]map[result]socket.DeniedRequest
	changed map[string]bool
}

// NewReports returns what writes the reports of a node.
func NewReports(node string, reader client.Reader, writer client.Writer, log *slog.Logger) *Reports {
	return &Reports{
		node: node, reader: reader, writer: writer, log: log,
		results: map[string]map[result]socket.DeniedRequest{}, changed: map[string]bool{},
	}
}

// Add adds a refusal.
func (r *Reports) Add(refusal socket.DeniedRequest) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	all := r.results[refusal.Namespace]
	if all == nil {
		all = map[result]socket.DeniedRequest{}
		r.results[refusal.Namespace] = all
	}
	key := result{refusal.Pod, refusal.Container, refusal.Image}
	known, ok := all[key]
	all[key] = refusal
	if !ok && len(all) > maxResults {
		delete(all, oldest(all))
	}
	if !ok || known.Reason != refusal.Reason || known.WouldDeny != refusal.WouldDeny {
		r.changed[refusal.Namespace] = true
	}
}

func oldest(all map[result]socket.DeniedRequest) result {
	return slices.MinFunc(slices.Collect(maps.Keys(all)), func(a, b result) int {
		return all[a].Time.Compare(all[b].Time)
	})
}

// NeedLeaderElection reports that every agent runs it.
func (r *Reports) NeedLeaderElection() bool { return false }

// Start writes reports until the context ends.
func (r *Reports) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reportInterval + rand.N(reportInterval)):
		}
		for namespace, results := range r.take(time.Now()) {
			err := r.write(ctx, namespace, results)
			if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
				continue // The kind is not installed, or the namespace is gone.
			}
			if err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "a policy report could not be written", "namespace", namespace, "error", err)
				r.again(namespace)
			}
		}
	}
}

// again has the report of a namespace written in the next round.
func (r *Reports) again(namespace string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.changed[namespace] = true
}

// take returns the results of the namespaces that have changed. What is old is dropped.
func (r *Reports) take(now time.Time) map[string][]socket.DeniedRequest {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for namespace, all := range r.results {
		before := len(all)
		maps.DeleteFunc(all, func(_ result, refusal socket.DeniedRequest) bool { return now.Sub(refusal.Time) > forget })
		r.changed[namespace] = r.changed[namespace] || len(all) < before
	}
	taken := map[string][]socket.DeniedRequest{}
	for namespace, changed := range r.changed {
		if changed {
			taken[namespace] = slices.SortedFunc(maps.Values(r.results[namespace]), func(a, b socket.DeniedRequest) int {
				return cmp.Or(cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Container, b.Container), cmp.Compare(a.Image, b.Image))
			})
		}
		if len(r.results[namespace]) == 0 {
			delete(r.results, namespace)
		}
	}
	clear(r.changed)
	return taken
}

// write replaces the report of this node about a namespace. A report without results is deleted.
func (r *Reports) write(ctx context.Context, namespace string, results []socket.DeniedRequest) error {
	report := PolicyReport(r.node, namespace, results)
	if len(results) == 0 {
		return client.IgnoreNotFound(r.writer.Delete(ctx, report))
	}
	known := &unstructured.Unstructured{}
	known.SetGroupVersionKind(reportKind())
	err := r.reader.Get(ctx, client.ObjectKeyFromObject(report), known)
	if apierrors.IsNotFound(err) {
		return r.writer.Create(ctx, report)
	}
	if err != nil {
		return err
	}
	report.SetResourceVersion(known.GetResourceVersion())
	return r.writer.Update(ctx, report)
}

func reportKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "wgpolicyk8s.io", Version: "v1alpha2", Kind: "PolicyReport"}
}

// PolicyReport returns the report of a node about a namespace.
func PolicyReport(node, namespace string, results []socket.DeniedRequest) *unstructured.Unstructured {
	var failed, warned int64
	list := make([]any, 0, len(results))
	for _, refusal := range results {
		outcome := "fail"
		if refusal.WouldDeny {
			outcome = "warn"
			warned++
		} else {
			failed++
		}
		list = append(list, map[string]any{
			"source": "countersign", "policy": "image-signature", "rule": refusal.Reason, "result": outcome,
			"message":   text.Shorten(refusal.Message, maxNote),
			"timestamp": map[string]any{"seconds": refusal.Time.Unix(), "nanos": int64(0)},
			"resources": []any{map[string]any{
				"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": refusal.Pod, "uid": refusal.PodUID,
			}},
			"properties": map[string]any{"container": refusal.Container, "image": refusal.Image},
		})
	}
	report := &unstructured.Unstructured{Object: map[string]any{
		"results": list,
		"summary": map[string]any{"fail": failed, "warn": warned, "pass": int64(0), "error": int64(0), "skip": int64(0)},
	}}
	report.SetGroupVersionKind(reportKind())
	report.SetNamespace(namespace)
	report.SetName("countersign-" + node)
	report.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "countersign-agent"})
	return report
}
