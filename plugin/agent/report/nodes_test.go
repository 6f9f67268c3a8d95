package report_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/report"
)

// statuses plays an API server that keeps the statuses of nodes, and counts requests. With a real one, the test
// TestManyPolicies in integration/kubernetes does the same.
type statuses struct {
	client.Client

	mutex sync.Mutex
	known map[string]v1alpha1.NodePolicyStatus
	since time.Time
	// requests has the number in each second, and bytes what the objects in them have in JSON.
	requests map[int]int
	bytes    int
	// written are the times of the writes of each node.
	written map[string][]time.Time
}

// count begins to count.
func (s *statuses) count() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.since, s.requests, s.bytes, s.written = time.Now(), map[int]int{}, 0, map[string][]time.Time{}
}

func (s *statuses) request(object *v1alpha1.NodePolicyStatus) {
	s.requests[int(time.Since(s.since).Seconds())]++
	raw, _ := json.Marshal(object) // It has no field that cannot be encoded.
	s.bytes += len(raw)
}

func (s *statuses) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	status, ok := into.(*v1alpha1.NodePolicyStatus)
	known, exists := s.known[key.Name]
	if !ok || !exists { // The nodes do not exist either.
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	*status = known
	s.request(status)
	return nil
}

func (s *statuses) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	return s.write(object)
}

func (s *statuses) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	return s.write(object)
}

func (s *statuses) write(object client.Object) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	status := object.(*v1alpha1.NodePolicyStatus)
	s.known[status.Name] = *status
	s.request(status)
	s.written[status.Name] = append(s.written[status.Name], time.Now())
	return nil
}

// TestTheStatusesOf5000Nodes counts what they cost the API server: docs/kubernetes.md has the figures.
func TestTheStatusesOf5000Nodes(t *testing.T) {
	const count = 5000
	synctest.Test(t, func(t *testing.T) {
		api := &statuses{known: map[string]v1alpha1.NodePolicyStatus{}}
		api.count()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		nodes := make([]*report.Node, count)
		for i := range nodes {
			nodes[i] = report.NewNode(fmt.Sprintf("node-%d", i), api, api, slog.New(slog.DiscardHandler))
			running.Go(func() { _ = nodes[i].Start(ctx) })
		}
		set := func(generation int64) {
			policies := generations{id("", "guard"): generation}
			for _, n := range nodes {
				n.Set(reconcile.Outcome{Current: policies, Obeyed: policies, Documents: 1})
			}
		}
		set(1)
		time.Sleep(time.Minute)
		synctest.Wait()

		api.count()
		set(2)
		time.Sleep(time.Minute)
		synctest.Wait()
		total, peak, last := api.sums()
		t.Logf("one change: %d requests and %d KiB in %d s, at most %d requests in a second",
			total, api.bytes>>10, last+1, peak)
		if total != 2*count || last > 20 || peak > 1200 {
			t.Error("want a GET and a PUT of each node within 20 s, and at most 1,200 in a second")
		}

		api.count()
		time.Sleep(10 * time.Minute)
		if total, _, _ := api.sums(); total > 0 {
			t.Errorf("without a change there are %d requests", total)
		}

		api.count()
		const changes = 300
		for generation := range changes {
			set(3 + int64(generation))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		total, peak, _ = api.sums()
		t.Logf("a change in each second: %d requests a second, at most %d", total/changes, peak)
		if total/changes > 700 || peak > 1200 {
			t.Error("want at most 700 requests a second on average, and 1,200 in one of them")
		}
		for name, written := range api.written {
			for i := 1; i < len(written); i++ {
				if pause := written[i].Sub(written[i-1]); pause < 10*time.Second {
					t.Fatalf("%s has written its status twice in %v", name, pause)
				}
			}
		}
		stop()
		running.Wait()
	})
}

// sums returns the number of requests, the most in one second, and the last second with a request.
func (s *statuses) sums() (total, peak, last int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for second, requests := range s.requests {
		total, peak, last = total+requests, max(peak, requests), max(last, second)
	}
	return total, peak, last
}

// BenchmarkTheSumOf5000Nodes sums up the statuses of 5,000 nodes for 5,000 policies, as the leader does every ten
// seconds. One node in ten lacks a policy.
func BenchmarkTheSumOf5000Nodes(b *testing.B) {
	const count = 5000
	policies, obeyed := generations{}, generations{}
	for i := range count {
		policies[id(fmt.Sprint("team-", i), "policy")] = 1
	}
	maps.Copy(obeyed, policies)
	delete(obeyed, id("team-0", "policy"))
	var history report.History
	history.Observe(policies)
	nodes := slices.Repeat([]v1alpha1.NodePolicyStatus{node("", policies, policies)}, count)
	behind := node("", policies, obeyed)
	for i := range nodes {
		if i%10 == 0 {
			nodes[i] = behind
		}
		nodes[i].Name = fmt.Sprint("node-", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		counts := history.Count(nodes)
		if got := counts[id("team-0", "policy")].Summary + " " + counts[id("team-1", "policy")].Summary; got !=
			"4500/5000 5000/5000" {
			b.Fatalf("counts are %s", got)
		}
	}
}
