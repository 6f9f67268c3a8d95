package evidence_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// layersManifest is a manifest under a signatures' tag, made by hand.
func layersManifest(t testing.TB, layers ...map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "layers": layers})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func layer(s signature, size int) map[string]any {
	return map[string]any{
		"mediaType": s.mediaType, "digest": digest.FromString(s.payload), "size": size, "annotations": s.annotations(),
		// What must not be followed.
		"urls": []string{"http://169.254.169.254/x"}, "data": []byte("not the payload"),
	}
}

// serving makes a registry serve a manifest under every tag, and blobs.
func serving(manifest string, blobs ...string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				http.ServeContent(w, r, "manifest.json", time.Time{}, bytes.NewReader([]byte(manifest)))
				return
			}
			for _, blob := range blobs {
				if strings.HasSuffix(r.URL.Path, digest.FromString(blob).String()) {
					_, _ = w.Write([]byte(blob))
					return
				}
			}
			w.WriteHeader(http.StatusNotFound)
		})
	}
}

func TestWhatIsWrongWithOneSignatureDoesNotSpoilTheOthers(t *testing.T) {
	good, bad := signed(1), signed(2)
	sound := layer(good, len(good.payload))
	large := strings.Repeat("x", format.MaxFile+1)
	for name, test := range map[string]struct {
		bad    map[string]any
		blobs  []string
		detail string
	}{
		"a layer of 2 GiB is announced": {layer(bad, 2<<30), nil, "has 2147483648 bytes"},
		"a layer of more than 1 MiB": {
			layer(signature{large, simpleSigning, "s"}, len(large)), []string{large}, "at most",
		},
		"a layer that is not there":     {layer(bad, len(bad.payload)), nil, "does not have"},
		"a layer longer than announced": {layer(bad, 3), []string{bad.payload}, "larger than the announced 3 bytes"},
		"a layer shorter than announced": {
			layer(bad, len(bad.payload)+9), []string{bad.payload}, "were announced",
		},
		"a layer with a size below nothing": {layer(bad, -1), []string{bad.payload}, "has -1 bytes"},
		"a layer without a digest": {
			map[string]any{"mediaType": simpleSigning, "size": 3}, nil, "has the digest",
		},
		"a layer with a path for a digest": {
			map[string]any{"mediaType": simpleSigning, "size": 3, "digest": "sha256:../../../x"}, nil, "has the digest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.spoilBy(serving(layersManifest(t, test.bad, sound), append(test.blobs, good.payload)...))
			got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), manifestOf("image"))
			if got.State != policy.Found || got.Signatures != 1 || !strings.Contains(got.Detail, test.detail) {
				t.Fatalf("%+v\nlacks %q", got, test.detail)
			}
			if filesIn(t, got.Directory)[0] != string(good.file(t)) {
				t.Error("the good one was not stored")
			}
		})
	}
}

func TestLayersOfOtherTypesAreNoSignatures(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	other := signature{payload: "text", mediaType: "text/plain", signed: "s"}
	var list []signature
	for range 100 {
		list = append(list, other)
	}
	r.sign(t, "app", m, append(list, signed(1))...)
	got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), m)
	if got.State != policy.Found || got.Signatures != 1 || got.Detail != "" {
		t.Errorf("%+v", got)
	}
	only := manifestOf("only others")
	r.sign(t, "app", only, other)
	if got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), only); got.State != policy.None {
		t.Errorf("with nothing but others: %+v", got)
	}
}

func TestOfTenThousandSignaturesTheNewestCount(t *testing.T) {
	good := signed(1)
	layers := make([]map[string]any, 0, 10_000)
	for range 9_999 {
		layers = append(layers, map[string]any{
			"mediaType": simpleSigning, "digest": digest.FromString(good.payload), "size": len(good.payload),
		})
	}
	manifest := layersManifest(t, append(layers, layer(good, len(good.payload)))...)
	if len(manifest) > registry.MaxManifest {
		t.Fatal("the manifest is too large for the test")
	}
	r := newRegistry(t)
	r.spoilBy(serving(manifest, good.payload))
	got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), manifestOf("image"))
	if got.Signatures != 64 || !strings.Contains(got.Detail, "9936 signatures were left out") {
		t.Fatalf("%+v", got)
	}
	if files := filesIn(t, got.Directory); files[63] != string(good.file(t)) {
		t.Error("the last one is not the last")
	}
	if asked := strings.Join(r.asked(), " "); strings.Count(asked, "/blobs/") > 1 {
		t.Errorf("asked %s", asked)
	}
}

func TestARedirectToABlobElsewhereIsFollowed(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	blobs := httptest.NewServer(serve(signed(1).payload))
	t.Cleanup(blobs.Close)
	r.spoilBy(onlyFor("/blobs/", redirect(blobs.URL+"/some/where?secret=x")))
	got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), m)
	if got.State != policy.Found {
		t.Errorf("%+v", got)
	}
}
