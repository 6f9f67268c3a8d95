package watch_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
)

// TestAfterAnOutagePoliciesAreSeenWithinSeconds, however long it was, and few requests are made meanwhile.
func TestAfterAnOutagePoliciesAreSeenWithinSeconds(t *testing.T) {
	policies := schema.GroupResource{Resource: "imagepolicies"}
	for name, down := range map[string]error{
		"nobody listens":            fmt.Errorf("dial tcp: %w", syscall.ECONNREFUSED),
		"a proxy has no API server": apierrors.NewGenericServerResponse(503, "get", policies, "", "", 0, false),
		"etcd is unreachable":       apierrors.NewGenericServerResponse(500, "get", policies, "", "", 0, false),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &server{revision: 10, names: []string{"a"}}
				informer := newInformer(api)
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { informer.RunWithContext(ctx) })
				toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
				api.fail(down)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if names := informer.GetStore().ListKeys(); len(names) != 1 {
					t.Errorf("during the outage, the cache has %q", names)
				}
				if api.failed < 60 || api.failed > 200 {
					t.Errorf("%d requests were made in ten minutes, want one in about four seconds", api.failed)
				}
				api.restore(11, "a", "b")
				api.fail(nil)
				ended := time.Now()
				for len(informer.GetStore().ListKeys()) < 2 && time.Since(ended) < time.Hour {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(ended); took > 6*time.Second {
					t.Errorf("a policy is seen %v after the outage, want at most 6 s", took)
				}
				stop()
				running.Wait()
			})
		})
	}
}
