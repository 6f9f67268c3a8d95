package watch

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/plugin/agent/reconcile"
)

// retryKind is how long the agent waits for CRDs that are not there yet.
const retryKind = 2 * time.Second

// Options configures a cache for a [Source].
func Options(log *slog.Logger) cache.Options {
	return cache.Options{NewInformer: Informers{log}.New, DefaultTransform: strip}
}

// strip removes what the agent does not need, before it is stored.
func strip(object any) (any, error) {
	switch object := object.(type) {
	case *metav1.PartialObjectMetadata:
		object.ManagedFields, object.Annotations, object.OwnerReferences, object.Finalizers = nil, nil, nil, nil
	case *v1alpha1.ImagePolicy:
		object.ManagedFields, object.Annotations, object.Labels = nil, nil, nil
	case *v1alpha1.ClusterImagePolicy:
		object.ManagedFields, object.Annotations, object.Labels = nil, nil, nil
	}
	return object, nil
}

// Source is where the objects of a cluster come from.
type Source struct {
	cache cache.Cache
	// changed has an element if something has changed since it was last read.
	changed chan struct{}
}

// NewSource returns the source of objects in a cache, which was made with [Options].
func NewSource(from cache.Cache) *Source {
	return &Source{cache: from, changed: make(chan struct{}, 1)}
}

// Changed returns a channel that has an element if something has changed since it was last read.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Start waits until the cache has everything. While a CRD is not there, it waits.
func (s *Source) Start(ctx context.Context) error {
	for _, object := range []client.Object{&v1alpha1.ClusterImagePolicy{}, &v1alpha1.ImagePolicy{}, namespaces()} {
		for {
			registration, err := s.follow(ctx, object)
			if err == nil && toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for policies and namespaces: %w", ctx.Err())
			case <-time.After(retryKind):
			}
		}
	}
	return nil
}

func namespaces() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kindOf(reconcile.NamespaceKind))
	return object
}

//nolint:ireturn // It is the library's.
func (s *Source) follow(
	ctx context.Context, object client.Object,
) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := s.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	return informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.notify() }, UpdateFunc: func(any, any) { s.notify() }, DeleteFunc: func(any) { s.notify() },
	})
}

func (s *Source) notify() {
	select {
	case s.changed <- struct{}{}:
	default: // Somebody will read everything anyway.
	}
}

// Objects returns what the cache has. The objects are those of the cache: nobody changes them.
func (s *Source) Objects(ctx context.Context) (reconcile.Objects, error) {
	var cluster v1alpha1.ClusterImagePolicyList
	var policies v1alpha1.ImagePolicyList
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kindOf(reconcile.NamespaceKind))
	for _, into := range []client.ObjectList{&cluster, &policies, list} {
		if err := s.cache.List(ctx, into, client.UnsafeDisableDeepCopy); err != nil {
			return reconcile.Objects{}, fmt.Errorf("reading the cache: %w", err)
		}
	}
	objects := reconcile.Objects{Cluster: cluster.Items, Policies: policies.Items}
	for _, item := range list.Items {
		objects.Namespaces = append(objects.Namespaces, reconcile.Namespace{
			Namespace: compile.Namespace{Name: item.Name, Labels: item.Labels}, UID: item.UID,
		})
	}
	return objects, nil
}
