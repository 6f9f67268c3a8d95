package chart_test

import (
	"bufio"
	"bytes"
	"os"
	"testing"

	strict "sigs.k8s.io/yaml"
)

func bufioReader(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }

func decode(t *testing.T, o object, into any) {
	t.Helper()
	if err := strict.Unmarshal(o.raw, into); err != nil {
		t.Fatalf("%s: %v", o.name(), err)
	}
}

// base is what conf/kustomize has instead of the chart. With COUNTERSIGN_UPDATE=1 the test writes it: make chart.
const base = "../../conf/kustomize/countersign.yaml"

const baseHeader = "# Generated from conf/chart by make chart.\n"

// TestTheKustomizeBaseIsTheChart compares the base with what the chart has by default, without the CRDs, which
// scripts/generate.sh writes.
func TestTheKustomizeBaseIsTheChart(t *testing.T) {
	want := bytes.NewBufferString(baseHeader)
	for _, o := range rendered(t, "crds: {install: false}") {
		var value map[string]any
		decode(t, o, &value)
		relabel(value)
		want.WriteString("---\n")
		want.Write(must(strict.Marshal(value))(t))
	}
	if os.Getenv("COUNTERSIGN_UPDATE") != "" {
		if err := os.WriteFile(base, want.Bytes(), 0o644); err != nil { //nolint:gosec // It is configuration.
			t.Fatal(err)
		}
	}
	if got := must(os.ReadFile(base))(t); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the chart has: run make chart", base)
	}
}

// relabel removes the labels that say that Helm manages an object.
func relabel(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "helm.sh/chart")
		delete(v, "app.kubernetes.io/managed-by")
		for _, nested := range v {
			relabel(nested)
		}
	case []any:
		for _, nested := range v {
			relabel(nested)
		}
	}
}

func TestTheKustomizeBaseHasTheCRDs(t *testing.T) {
	crds := must(split(must(os.ReadFile("../../conf/kustomize/crds.yaml"))(t)))(t)
	for _, o := range rendered(t, "") {
		if o.Kind != "CustomResourceDefinition" {
			continue
		}
		find[map[string]any](t, crds, o.name())
	}
}
