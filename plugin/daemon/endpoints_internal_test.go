package daemon

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryEndpointIsDescribed compares the description with the paths in the code.
func TestEveryEndpointIsDescribed(t *testing.T) {
	inCode := map[string]bool{}
	for _, pattern := range []string{"*.go", "../internal/socket/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range regexp.MustCompile(`[eE]ndpoint += "(/v1/[a-z/]+)"`).FindAllSubmatch(raw, -1) {
				inCode[string(path[1])] = true
			}
		}
	}
	var described []string
	for _, endpoint := range Endpoints() {
		described = append(described, endpoint.Path)
		if endpoint.Meaning == "" {
			t.Errorf("%s has no meaning", endpoint.Path)
		}
	}
	slices.Sort(described)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(inCode)), described); diff != "" {
		t.Errorf("describe the endpoint in Endpoints (-code +described):\n%s", diff)
	}
}
