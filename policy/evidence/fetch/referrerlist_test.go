package fetch_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/fetch"
)

func TestOfAHundredThousandReferrersTheLastAreConsidered(t *testing.T) {
	d := manifestOf("bundle")
	entry := fmt.Sprintf(`{"digest":%q}`, d)
	list := `{"schemaVersion":2,"manifests":[{"digest":"md5:0"},` + strings.Repeat(entry+",", 99_999) + entry + `]}`
	ordered, _, bad, err := fetch.ParseReferrers([]byte(list))
	if err != nil || bad != 0 || len(ordered) != 16384 {
		t.Errorf("%d, %d left out, %v", len(ordered), bad, err)
	}
}

// TestReferrersAreTrimmed: a list can have 32 pages of 4 MiB, all of which are in memory until the list is complete.
func TestReferrersAreTrimmed(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	raw, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{{
		MediaType: ocispec.MediaTypeImageManifest, Digest: manifestOf("bundle"), Size: 9, URLs: []string{long},
		ArtifactType: "application/vnd.dev.sigstore.bundle" + long, Data: []byte(long),
		Annotations: map[string]string{"x": long, ocispec.AnnotationCreated: long},
		Platform:    &ocispec.Platform{OS: long},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	raw = append([]byte(`{"schemaVersion":2,`), strings.Replace(string(raw[1:]), `"schemaVersion":0,`, "", 1)...)
	held, err := fetch.SizeOfReferrers(raw)
	if err != nil || held == 0 || held > 1024 {
		t.Errorf("%d bytes in memory, %v", held, err)
	}
}
