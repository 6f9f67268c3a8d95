package node_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// TestVerifierIsAskedBeforeLayers shows that, with the configuration of these nodes, the CRI plugin pulls with the
// transfer service: only this service runs image verifiers.
func TestVerifierIsAskedBeforeLayers(t *testing.T) {
	lab := newLab(t)
	told := lab.Path("told")
	script := `{ echo "$@"; cat; } > '` + told + `'; echo "no image is good enough"; exit 1`
	if err := lab.WriteVerifier("picky", script); err != nil {
		t.Fatal(err)
	}
	pushed := lab.push(t, "app:v1", "v1")
	_, err := lab.CRI.PullImage(t.Context(), pushed.Reference, nil, nil)
	const want = "verifier picky rejected image (exit code 1): no image is good enough"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("the verifier refuses, and the pull says: %v", err)
	}
	contents, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	arguments := "-name " + pushed.Reference + " -digest " + pushed.Digest.String() +
		" -stdin-media-type application/vnd.oci.descriptor.v1+json\n"
	if said := string(contents); !strings.HasPrefix(said, arguments) || !strings.Contains(said, `"size":`) {
		t.Errorf("the verifier received %q, want %q and a descriptor", said, arguments)
	}
	requests, err := lab.registry.Requests()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(requests, isContainerdsBlob) {
		t.Errorf("before the refusal, containerd requested more than the manifest of its name: %+v", requests)
	}
	if err := lab.RemoveVerifier("picky"); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.CRI.PullImage(t.Context(), pushed.Reference, nil, nil); err != nil {
		t.Errorf("without a verifier: %v", err)
	}
}

func isContainerdsBlob(request node.Request) bool {
	return strings.HasPrefix(request.UserAgent, "containerd/") && strings.Contains(request.Path, "/blobs/")
}
