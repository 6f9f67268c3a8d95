package watch

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// Informers makes informers.
type Informers struct{ Log *slog.Logger }

// New is [toolscache.NewSharedIndexInformer] with a client that notices when revisions go back, and that asks an API
// server which does not answer more often than client-go does.
//
//nolint:ireturn // It is the library's.
func (i Informers) New(
	client toolscache.ListerWatcher, example runtime.Object, resync time.Duration, indexers toolscache.Indexers,
) toolscache.SharedIndexInformer {
	log := i.Log.With("kind", fmt.Sprintf("%T", example))
	return toolscache.NewSharedIndexInformer(
		rewindable{toolscache.ToListerWatcherWithContext(client), log}, example, resync, indexers)
}

// rewindable lists consistently, and does not watch from a revision in the future.
type rewindable struct {
	client toolscache.ListerWatcherWithContext
	log    *slog.Logger
}

// IsWatchListSemanticsUnSupported keeps the reflector from replacing lists by watches, whose first revision is not
// known before they begin.
func (rewindable) IsWatchListSemanticsUnSupported() bool { return true }

//nolint:ireturn // As above.
func (r rewindable) List(options metav1.ListOptions) (runtime.Object, error) {
	return r.ListWithContext(context.Background(), options)
}

func (r rewindable) Watch(options metav1.ListOptions) (apiwatch.Interface, error) { //nolint:ireturn // As above.
	return r.WatchWithContext(context.Background(), options)
}

//nolint:ireturn // As above.
func (r rewindable) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	options.ResourceVersion, options.ResourceVersionMatch = "", ""
	return r.list(ctx, options)
}

//nolint:ireturn // As above.
func (r rewindable) WatchWithContext(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
	// A watch that fails is not tried again here: etcd may have been restored in the meantime.
	listed, err := r.list(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	list, err := meta.ListAccessor(listed)
	if err != nil {
		return nil, err
	}
	if newer(options.ResourceVersion, list.GetResourceVersion()) {
		return nil, apierrors.NewResourceExpired(fmt.Sprintf("revision %s was seen, and the newest is %s: etcd was restored",
			options.ResourceVersion, list.GetResourceVersion()))
	}
	return r.client.WatchWithContext(ctx, options)
}

// newer reports whether revision a is newer than b. Revisions of the built-in kinds and of CRDs are numbers.
func newer(a, b string) bool {
	seen, ok := new(big.Int).SetString(a, 10)
	newest, known := new(big.Int).SetString(b, 10)
	return ok && known && seen.Cmp(newest) > 0
}
