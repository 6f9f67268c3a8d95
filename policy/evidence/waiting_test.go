package evidence_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

// signedBundle is a bundle that somebody signed, with a number and as long as that.
func signedBundle(name string, n, size int) []byte {
	return fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","by":%q,"n":%d,"x":%q}`,
		name, n, strings.Repeat("x", size))
}

// flooded is a registry with many referrers of an image, and a node that decides on that image. A bundle meets the
// requirement of whom it names.
type flooded struct {
	*cluster
	pusher
	keeper *evidence.Keeper
	// junk is what the registry serves in addition, by the end of its path, and listed is the list of referrers.
	junk   map[string][]byte
	listed []ocispec.Descriptor
}

func newFlooded(t *testing.T, p pusher, config evidence.Config) *flooded {
	t.Helper()
	f := &flooded{pusher: p, keeper: open(p.t, config), junk: map[string][]byte{}}
	f.cluster = &cluster{node: &node{world: &world{t: t}, keeper: f.keeper}, named: p.named(p.t, "app")}
	f.marker = func(name string) []byte { return fmt.Appendf(nil, `"by":%q,`, name) }
	f.start()
	return f
}

// created returns a time so many minutes before another, far in the future.
func created(minutes int) string {
	return time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(minutes) * time.Minute).Format(time.RFC3339)
}

// attachSigned attaches a bundle, in the registry's memory only: there may be thousands.
func (f *flooded) attachSigned(bundle []byte, minutes int) {
	f.t.Helper()
	blob := digest.FromBytes(bundle)
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{},`+
		`"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"digest":%q}}`,
		ocispec.MediaTypeImageManifest, bundleType, bundleType, blob, len(bundle), manifestOf("image"))
	manifest := digest.FromBytes(raw)
	f.junk["/blobs/"+blob.String()], f.junk["/manifests/"+manifest.String()] = bundle, raw
	f.listed = append(f.listed, ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: bundleType, Digest: manifest, Size: int64(len(raw)),
		Annotations: map[string]string{ocispec.AnnotationCreated: created(minutes)},
	})
}

// serveJunk has the registry serve what was attached so.
func (f *flooded) serveJunk() {
	f.t.Helper()
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": f.listed})
	if err != nil {
		f.t.Fatal(err)
	}
	f.spoilBy(func(sound http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/referrers/") {
				serveIndex(string(index))(w, r)
				return
			}
			for _, kind := range []string{"/blobs/", "/manifests/"} {
				_, name, _ := strings.Cut(r.URL.Path, kind)
				if raw, ok := f.junk[kind+name]; ok {
					w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
					_, _ = w.Write(raw)
					return
				}
			}
			sound.ServeHTTP(w, r)
		})
	})
}

// admitted decides until the image is admitted, with a fetch after each decision, at most so often, and returns after
// how many fetches it was; -1: it never was.
func (f *flooded) admitted(namespace string, most int) int {
	f.t.Helper()
	for n := range most + 1 {
		if f.ask(namespace).Admitted() {
			return n
		}
		_ = f.keeper.Fetch(f.t.Context(), manifestOf("image"), f.named)
	}
	return -1
}

// TestAGoodBundleIsFoundHoweverManyAreAttachedAfterIt: whoever may push cannot delete, and says of what he attaches
// that it is newer than everything else.
func TestAGoodBundleIsFoundHoweverManyAreAttachedAfterIt(t *testing.T) {
	for name, test := range map[string]struct {
		junk, size, fetches int
	}{
		"as many as are stored":                   {64, 0, 2},
		"many":                                    {300, 0, 2},
		"more than one fetch looks at":            {1200, 0, 3},
		"as many bytes as are stored":             {40, 1<<20 - 200, 2},
		"as many bytes as are stored, and little": {36, 933_000, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlooded(t, pusher{testRegistry: newRegistry(t), t: t}, reaching(registry.Config{Timeout: time.Hour}))
			f.attachSigned(signedBundle("alice", 0, 0), 1<<20)
			for n := range test.junk {
				f.attachSigned(signedBundle("mallory", n, test.size), n)
			}
			f.serveJunk()
			got := f.admitted("alice", 5)
			if got < 1 || got > test.fetches {
				t.Errorf("admitted after %d fetches, want %d", got, test.fetches)
			}
			if got := f.admitted("bob", 2); got >= 0 {
				t.Errorf("bob's namespace admits it after %d fetches", got)
			}
			if again := f.admitted("alice", 0); again != 0 {
				t.Error("it is not admitted any more")
			}
			stored := lookup(f.keeper, f.named, manifestOf("image"))
			if stored.Satisfied.Bundles != 1 || stored.Bundles > 64 {
				t.Errorf("%+v", stored)
			}
		})
	}
}

// TestReferrersThatAreNotThereHideNoGoodOne: a list can name what does not exist, in any number.
func TestReferrersThatAreNotThereHideNoGoodOne(t *testing.T) {
	for _, absent := range []int{999, 1100, 2200} {
		t.Run(fmt.Sprint(absent), func(t *testing.T) {
			f := newFlooded(t, pusher{testRegistry: newRegistry(t), t: t}, reaching(registry.Config{Timeout: time.Hour}))
			f.attachSigned(signedBundle("alice", 0, 0), 1<<20)
			for n := range absent {
				f.listed = append(f.listed, ocispec.Descriptor{
					Digest: manifestOf(fmt.Sprint(n)), Size: 9,
					Annotations: map[string]string{ocispec.AnnotationCreated: created(n)},
				})
			}
			f.serveJunk()
			if got := f.admitted("alice", 6); got < 0 || got > 4 {
				t.Errorf("admitted after %d fetches", got)
			}
		})
	}
}

// TestNothingMoreIsReadUnlessSomebodyWaits: it costs requests.
func TestNothingMoreIsReadUnlessSomebodyWaits(t *testing.T) {
	f := newFlooded(t, pusher{testRegistry: newRegistry(t), t: t}, evidence.Config{})
	for n := range 100 {
		f.attachSigned(signedBundle("mallory", n, 0), n)
	}
	f.serveJunk()
	f.asked()
	if err := f.keeper.Fetch(t.Context(), manifestOf("image"), f.named); err != nil {
		t.Fatal(err)
	}
	// A manifest and a blob each, a few ahead, and the list.
	if asked := len(f.asked()); asked > 2*(64+8)+10 {
		t.Errorf("asked %d times", asked)
	}
	got := lookup(f.keeper, f.named, manifestOf("image"))
	if !got.Partial || !strings.Contains(got.Detail, "36 older referrers were not looked at") {
		t.Errorf("%+v", got)
	}
	if verdict := f.ask("alice"); verdict.Reason != policy.Unavailable {
		t.Errorf("%s: %s", verdict.Reason, verdict.Detail)
	}
	if err := f.keeper.Fetch(t.Context(), manifestOf("image"), f.named); err != nil {
		t.Fatal(err)
	}
	got = lookup(f.keeper, f.named, manifestOf("image"))
	if !strings.Contains(got.Detail, "36 older referrers were looked at and are not stored") {
		t.Errorf("%+v", got)
	}
	f.asked()
	if err := f.keeper.Fetch(t.Context(), manifestOf("image"), f.named); err != nil {
		t.Fatal(err)
	}
	for _, request := range f.asked() {
		if n := strings.Count(request, f.listed[99].Digest.String()); n > 0 {
			t.Errorf("%s: what was looked at is read again", request)
		}
	}
}

// TestOldSignaturesAttachedAsReferrersAreFoundToo, in the format of cosign before version 3.
func TestOldSignaturesAttachedAsReferrersAreFoundToo(t *testing.T) {
	p := pusher{testRegistry: newRegistry(t), t: t}
	f := newFlooded(t, p, evidence.Config{})
	image := manifestOf("image")
	of := func(name string, n, minutes int) ocispec.Descriptor {
		s := signature{payload: fmt.Sprintf(`{"by":%q,"n":%d}`, name, n), mediaType: simpleSigning, signed: "s"}
		return p.attach(image, referrer{content: []byte("x"), spoil: p.oldFormat(s), created: created(minutes)})
	}
	f.marker = func(name string) []byte {
		raw, err := json.Marshal([]byte(fmt.Sprintf(`{"by":%q,"n":0}`, name)))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Trim(raw, `"`)
	}
	list := []ocispec.Descriptor{of("alice", 0, 1<<20)}
	for n := range 100 {
		list = append(list, of("mallory", n, n))
	}
	p.list(image, list...)
	if got := f.admitted("alice", 4); got < 1 || got > 2 {
		t.Errorf("admitted after %d fetches", got)
	}
	if got := lookup(f.keeper, f.named, image).Satisfied; got.Signatures != 1 {
		t.Errorf("%+v", got)
	}
}

// TestManyWhoWaitHoldLittle: whoever waits has the manifests of an image held in memory.
func TestManyWhoWaitHoldLittle(t *testing.T) {
	onCluster(t, func(c *cluster) {
		c.set(formats()["bundles"]("a", by("mallory", 0, 1)), nil)
		c.decide("alice")
		for n := range 1000 {
			c.keeper.Refetch(policy.Check{
				Manifests: manifests(manifestOf("image")), Reference: parse(t, fmt.Sprintf("%s:v%d", testRepository, n)),
			})
		}
		if waiting := c.keeper.Waiting(manifestOf("image"), testRepository); waiting != 16 {
			t.Errorf("%d wait", waiting)
		}
		c.want("among them", "bob", policy.Rejected)
		if waiting := c.keeper.Waiting(manifestOf("image"), testRepository); waiting != 16 {
			t.Errorf("%d wait", waiting)
		}
		c.sleep(2 * time.Minute)
		if waiting := c.keeper.Waiting(manifestOf("image"), testRepository); waiting != 0 {
			t.Errorf("%d wait after two minutes", waiting)
		}
	})
}
