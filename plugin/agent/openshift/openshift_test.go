package openshift_test

import (
	"fmt"
	"testing"
)

// TestDocumentsAreThoseOfOpenShift, but for the listed differences: those of each object alone, and those of each pair
// of a policy of the cluster and one of a namespace.
func TestDocumentsAreThoseOfOpenShift(t *testing.T) {
	m, known := newMachine(t), listed()
	objects := append(apiCases(t), m.fixtures(t)...)
	compare := func(name string, policies ...policy) {
		t.Run(name, func(t *testing.T) {
			theirs, ours := m.theirs(t, policies), m.ours(t, policies)
			if want, got := normal(t, theirs.cluster, known), normal(t, ours.cluster, nil); got != want {
				t.Errorf("the document of the cluster is\n%s\nwant\n%s", got, want)
			}
			dropped := known.dropped(t, policies)
			if want, got := normal(t, theirs.namespace, known, dropped...), normal(t, ours.namespace, nil); got != want {
				t.Errorf("the document of the namespace is\n%s\nwant\n%s", got, want)
			}
		})
	}
	for _, object := range objects {
		compare(object.kind+" "+object.name, object)
		if object.kind != clusterKind {
			continue
		}
		for _, other := range objects {
			if other.kind == namespaceKind {
				compare(fmt.Sprintf("%s over %s", object.name, other.name), object, other)
			}
		}
	}
	known.check(t)
}
