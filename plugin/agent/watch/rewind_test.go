package watch_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/watch"
)

// server plays an API server, which accepts a watch from a revision in its future. The real one is in
// integration/kubernetes.
type server struct {
	mutex    sync.Mutex
	revision int
	names    []string
	// listed are the revisions with which lists were asked for.
	listed  []string
	watches []*apiwatch.FakeWatcher
	// down is the error of every request, if there is one; failed counts these requests.
	down   error
	failed int
}

//nolint:ireturn // It is the library's interface.
func (s *server) List(options metav1.ListOptions) (runtime.Object, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.down != nil {
		s.failed++
		return nil, s.down
	}
	s.listed = append(s.listed, options.ResourceVersion)
	list := &v1alpha1.ImagePolicyList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.revision)}}
	for _, name := range s.names {
		list.Items = append(list.Items, v1alpha1.ImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}})
	}
	return list, nil
}

//nolint:ireturn // It is the library's interface.
func (s *server) Watch(metav1.ListOptions) (apiwatch.Interface, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.down != nil {
		s.failed++
		return nil, s.down
	}
	s.watches = append(s.watches, apiwatch.NewFake())
	return s.watches[len(s.watches)-1], nil
}

//nolint:ireturn // It is the library's.
func newInformer(api *server) toolscache.SharedIndexInformer {
	return watch.Informers{Log: slog.New(slog.DiscardHandler)}.New(api, &v1alpha1.ImagePolicy{}, 0, toolscache.Indexers{})
}

// restore goes back to an earlier revision, which ends all watches.
func (s *server) restore(revision int, names ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.revision, s.names = revision, names
	for _, watching := range s.watches {
		watching.Stop()
	}
	s.watches = nil
}

// fail has every request fail from now on, or none.
func (s *server) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.down = err
	for _, watching := range s.watches {
		watching.Stop()
	}
	s.watches = nil
}

func TestAnEtcdThatWasRestored(t *testing.T) {
	tests := map[string]struct {
		revision int
		want     []string
	}{
		"is read again when its revision went back":        {revision: 5, want: []string{"old"}},
		"is not read again while its revisions go forward": {revision: 20, want: []string{"a", "b"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &server{revision: 10, names: []string{"a", "b"}}
				informer := newInformer(api)
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { informer.RunWithContext(ctx) })
				toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
				time.Sleep(time.Minute) // A watch that ends at once is followed by a list anyway.
				api.restore(test.revision, "old")
				time.Sleep(time.Minute) // The reflector waits before it watches again.
				synctest.Wait()
				if names := informer.GetStore().ListKeys(); len(names) != len(test.want) {
					t.Errorf("the cache has %q, want %q", names, test.want)
				}
				for _, revision := range api.listed {
					if revision != "" {
						t.Errorf("a list of revision %s is asked for, which may be older than what was seen", revision)
					}
				}
				stop()
				running.Wait()
			})
		})
	}
}
