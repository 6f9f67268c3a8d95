package node_test

import (
	"os"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func TestBuildTools(t *testing.T) {
	if _, err := node.BuildTools(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
}
