package watch

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
)

// few is how many objects are asked for one by one. More of them are asked for in one list.
const few = 10

// page is how many objects the API server sends at once.
const page = 500

// Confirm returns a function that asks the API server, not a cache. It reads names only.
func Confirm(api client.Reader) reconcile.Confirm {
	return func(ctx context.Context, absent []reconcile.ID) (reconcile.Confirmation, error) {
		c := reconcile.Confirmation{Gone: map[reconcile.ID]bool{}, CRDs: map[reconcile.Kind]types.UID{}}
		byKind := map[reconcile.Kind][]reconcile.ID{}
		for _, id := range absent {
			byKind[id.Kind] = append(byKind[id.Kind], id)
		}
		for kind, ids := range byKind {
			absent, err := gone(ctx, api, kind, ids)
			if err != nil {
				return c, err
			}
			maps.Copy(c.Gone, absent)
		}
		// The CRDs are read last: one that is there now was not deleted before the objects.
		for kind, plural := range map[reconcile.Kind]string{
			reconcile.ClusterKind: "clusterimagepolicies", reconcile.PolicyKind: "imagepolicies",
		} {
			uid, err := crd(ctx, api, plural+"."+v1alpha1.GroupVersion().Group)
			if err != nil {
				return c, err
			}
			if uid != "" {
				c.CRDs[kind] = uid
			}
		}
		return c, nil
	}
}

func kindOf(kind reconcile.Kind) schema.GroupVersionKind {
	if kind == reconcile.NamespaceKind {
		return schema.GroupVersionKind{Version: "v1", Kind: string(kind)}
	}
	return v1alpha1.GroupVersion().WithKind(string(kind))
}

// gone returns which of the objects do not exist. A kind that the API server does not serve has no objects.
func gone(
	ctx context.Context, api client.Reader, kind reconcile.Kind, ids []reconcile.ID,
) (map[reconcile.ID]bool, error) {
	if len(ids) > few {
		return goneOfMany(ctx, api, kind, ids)
	}
	absent := map[reconcile.ID]bool{}
	for _, id := range ids {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(kindOf(kind))
		err := api.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, object)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("getting %s %s: %w", kind, id.Name, err)
		}
		absent[id] = err != nil
	}
	return absent, nil
}

func goneOfMany(
	ctx context.Context, api client.Reader, kind reconcile.Kind, ids []reconcile.ID,
) (map[reconcile.ID]bool, error) {
	exists := map[reconcile.ID]bool{}
	for next := ""; ; {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kindOf(kind))
		err := api.List(ctx, list, client.Limit(page), client.Continue(next))
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("listing objects of kind %s: %w", kind, err)
		}
		for _, object := range list.Items {
			exists[reconcile.ID{Kind: kind, Namespace: object.Namespace, Name: object.Name}] = true
		}
		if next = list.Continue; err != nil || next == "" {
			break
		}
	}
	absent := map[reconcile.ID]bool{}
	for _, id := range ids {
		absent[id] = !exists[id]
	}
	return absent, nil
}

// crd returns the UID of a CRD, or "" if it does not exist or is being deleted. One that was established stays so, and
// one with another UID is not believed before a policy was seen.
func crd(ctx context.Context, api client.Reader, name string) (types.UID, error) {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(schema.GroupVersionKind{
		Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition",
	})
	err := api.Get(ctx, client.ObjectKey{Name: name}, object)
	if apierrors.IsNotFound(err) || err == nil && object.DeletionTimestamp != nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("getting the CRD %s: %w", name, err)
	}
	return object.UID, nil
}
