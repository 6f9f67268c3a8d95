package watch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/watch"
)

// objects plays an API server with these objects, by kind, namespace and name. The real one is in
// integration/kubernetes.
type objects struct {
	all map[string]metav1.ObjectMeta
	// fails is an error for a kind.
	fails map[string]error
	// page is the most that a list has.
	page  int
	lists int
}

func (o *objects) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	kind := object.GetObjectKind().GroupVersionKind().Kind
	if err := o.fails[kind]; err != nil {
		return err
	}
	found, ok := o.all[kind+" "+key.String()]
	if !ok {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind}, key.Name)
	}
	object.(*metav1.PartialObjectMetadata).ObjectMeta = found
	return nil
}

func (o *objects) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	o.lists++
	asked := client.ListOptions{}
	asked.ApplyOptions(options)
	into := list.(*metav1.PartialObjectMetadataList)
	for i := range o.page {
		name := fmt.Sprintf("p%d", i)
		if asked.Continue != "" {
			name = "last"
		}
		item := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}}
		into.Items = append(into.Items, item)
	}
	if asked.Continue == "" {
		into.Continue = "more"
	}
	return nil
}

const clusterCRD, policyCRD = "CustomResourceDefinition /clusterimagepolicies.policy.countersign.dev",
	"CustomResourceDefinition /imagepolicies.policy.countersign.dev"

func policyID(name string) reconcile.ID {
	return reconcile.ID{Kind: reconcile.PolicyKind, Namespace: "a", Name: name}
}

func TestWhatTheAPIServerConfirms(t *testing.T) {
	now := metav1.Now()
	crds := map[string]metav1.ObjectMeta{clusterCRD: {UID: "c"}, policyCRD: {UID: "p"}}
	both := map[reconcile.Kind]types.UID{reconcile.ClusterKind: "c", reconcile.PolicyKind: "p"}
	with := func(more map[string]metav1.ObjectMeta) map[string]metav1.ObjectMeta {
		all := maps.Clone(crds)
		maps.Copy(all, more)
		return all
	}
	tests := map[string]struct {
		objects
		gone bool
		crds map[reconcile.Kind]types.UID
		err  bool
	}{
		"an object that does not exist is gone": {objects: objects{all: crds}, gone: true, crds: both},
		"an object that exists is not": {
			objects: objects{all: with(map[string]metav1.ObjectMeta{"ImagePolicy a/one": {}})}, crds: both,
		},
		"a CRD that does not exist has no UID": {
			objects: objects{all: map[string]metav1.ObjectMeta{clusterCRD: {UID: "c"}}},
			gone:    true, crds: map[reconcile.Kind]types.UID{reconcile.ClusterKind: "c"},
		},
		"a CRD that is being deleted has none either": {
			objects: objects{all: with(map[string]metav1.ObjectMeta{policyCRD: {UID: "p", DeletionTimestamp: &now}})},
			gone:    true, crds: map[reconcile.Kind]types.UID{reconcile.ClusterKind: "c"},
		},
		"without the permission for policies nothing is known": {
			objects: objects{all: crds, fails: map[string]error{"ImagePolicy": errors.New("forbidden")}}, err: true,
		},
		"without the permission for CRDs nothing is known": {
			objects: objects{all: crds, fails: map[string]error{"CustomResourceDefinition": errors.New("forbidden")}},
			err:     true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := watch.Confirm(&test.objects)(t.Context(), []reconcile.ID{policyID("one")})
			if (err != nil) != test.err {
				t.Fatalf("the error is %v", err)
			}
			if err != nil {
				return
			}
			if got.Gone[policyID("one")] != test.gone {
				t.Errorf("gone are %v", got.Gone)
			}
			if diff := cmp.Diff(test.crds, got.CRDs); diff != "" {
				t.Errorf("CRDs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestManyObjectsAreAskedForInOneList(t *testing.T) {
	api := &objects{page: 8, all: map[string]metav1.ObjectMeta{}}
	var absent []reconcile.ID
	for i := range 12 {
		absent = append(absent, policyID(fmt.Sprintf("p%d", i)))
	}
	absent = append(absent, policyID("last"))
	got, err := watch.Confirm(api)(t.Context(), absent)
	if err != nil {
		t.Fatal(err)
	}
	for id, gone := range got.Gone {
		if want := id.Name == "p8" || id.Name == "p9" || id.Name == "p10" || id.Name == "p11"; gone != want {
			t.Errorf("%s is gone: %v, want %v", id.Name, gone, want)
		}
	}
	if len(got.Gone) != len(absent) || api.lists != 2 {
		t.Errorf("%d lists were asked for, about %d objects", api.lists, len(got.Gone))
	}
}
