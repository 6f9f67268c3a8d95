package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/origin"
)

// fakeNode is a node with images and a registry. Only the images are fake.
type fakeNode struct {
	mu      sync.Mutex
	held    []origin.LocalImage
	unknown error
	fetched []string
	failing map[digest.Digest]error
}

func normalized(t *testing.T, s string) reference.Named {
	t.Helper()
	ref, err := policy.Normalize(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// hold adds an image to the node.
func (w *fakeNode) hold(t *testing.T, name string, manifests ...string) {
	t.Helper()
	held := origin.LocalImage{Reference: normalized(t, name)}
	for _, manifest := range manifests {
		held.Manifests = append(held.Manifests, policy.Manifest{Digest: digest.FromString(manifest)})
	}
	w.held = append(w.held, held)
}

func (w *fakeNode) service() *EvidenceService {
	return &EvidenceService{
		Images:            func(context.Context) ([]origin.LocalImage, error) { return w.held, w.unknown },
		RequiresSignature: func(ref reference.Named) bool { return !strings.HasPrefix(ref.Name(), "docker.io/") },
		Registry: fetch.Registry{
			Resolve: func(_ context.Context, ref reference.Named) (digest.Digest, error) {
				if strings.Contains(ref.Name(), "absent") {
					return "", errors.New("the registry\nhas none")
				}
				return digest.FromString("remote"), nil
			},
			Image: func(_ context.Context, ref reference.Named, target digest.Digest) (*policy.Image, error) {
				if strings.Contains(ref.Name(), "unreadable") {
					return nil, errors.New("it cannot be read")
				}
				return &policy.Image{Manifests: []policy.Manifest{{Digest: target}}}, nil
			},
		},
		Fetch: func(_ context.Context, manifest digest.Digest, ref reference.Named) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fetched = append(w.fetched, ref.Name()+"@"+manifest.String())
			return w.failing[manifest]
		},
		Lookup: func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
			kept := make(policy.StoredEvidence, len(manifests))
			for i := range kept {
				kept[i].Signatures, kept[i].Bundles = 2, 1
			}
			return kept
		},
	}
}

func TestWhatIsFetchedAndReported(t *testing.T) {
	down := errors.New("the registry is down")
	for name, test := range map[string]struct {
		request FetchRequest
		want    []FetchReport
		fetched int
	}{
		"an image on the node, with all its manifests": {
			FetchRequest{References: []string{"registry.example/app:v1"}},
			[]FetchReport{{Reference: "registry.example/app:v1", Manifests: 2, Signatures: 4, Bundles: 2}},
			2,
		},
		"by the digest of one of them": {
			FetchRequest{References: []string{"registry.example/app@" + digest.FromString("index").String()}},
			[]FetchReport{{
				Reference: "registry.example/app@" + digest.FromString("index").String(),
				Manifests: 2, Signatures: 4, Bundles: 2,
			}},
			2,
		},
		"an image that is not on the node": {
			FetchRequest{References: []string{"registry.example/app:v2"}},
			[]FetchReport{{Reference: "registry.example/app:v2", Manifests: 1, Signatures: 2, Bundles: 1}},
			1,
		},
		"an image of which no policy requires a signature, by name": {
			FetchRequest{References: []string{"busybox"}},
			[]FetchReport{{Reference: "busybox", Manifests: 1, Signatures: 2, Bundles: 1}},
			1,
		},
		"one failure among others": {
			FetchRequest{References: []string{"registry.example/failing:v1", "registry.example/absent", "x y"}},
			[]FetchReport{
				{Reference: "registry.example/failing:v1", Manifests: 1, Signatures: 2, Bundles: 1, Error: down.Error()},
				{
					Reference: "registry.example/absent",
					Error:     "finding registry.example/absent:latest in its registry: the registry has none",
				},
				{Reference: "x y", Error: `parsing image reference "x y": invalid reference format`},
			},
			1,
		},
		"all of which a policy requires a signature": {
			FetchRequest{All: true},
			[]FetchReport{
				{Reference: "registry.example/app:v1", Manifests: 2, Signatures: 4, Bundles: 2},
				{Reference: "docker.io/library/busybox:latest", NotRequired: true},
				{Reference: "registry.example/failing:v1", Manifests: 1, Signatures: 2, Bundles: 1, Error: down.Error()},
			},
			3,
		},
		"nothing": {FetchRequest{}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := &fakeNode{failing: map[digest.Digest]error{digest.FromString("failing"): down}}
			w.hold(t, "registry.example/app:v1", "platform", "index")
			w.hold(t, "busybox", "busybox")
			w.hold(t, "registry.example/failing:v1", "failing")
			var got []FetchReport
			err := w.service().FetchAll(t.Context(), test.request, func(report FetchReport) error {
				got = append(got, report)
				return nil
			})
			for i := range test.want {
				test.want[i].Done, test.want[i].Total = i+1, len(test.want)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v; reported (-want +got):\n%s", err, diff)
			}
			if len(w.fetched) != test.fetched {
				t.Errorf("fetched: %v", w.fetched)
			}
		})
	}
}

func TestAFetchEndsWhenItsClientDisconnects(t *testing.T) {
	w := &fakeNode{}
	w.hold(t, "registry.example/a", "a")
	w.hold(t, "registry.example/b", "b")
	gone := errors.New("the client disconnected")
	err := w.service().FetchAll(t.Context(), FetchRequest{All: true}, func(FetchReport) error { return gone })
	if !errors.Is(err, gone) || len(w.fetched) != 1 {
		t.Errorf("%v after %v", err, w.fetched)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.service().FetchAll(ctx, FetchRequest{All: true}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAllCannotBeFetchedWhileTheImagesAreUnknown(t *testing.T) {
	w := &fakeNode{unknown: ErrImagesUnknown}
	if err := w.service().FetchAll(t.Context(), FetchRequest{All: true}, nil); !errors.Is(err, ErrImagesUnknown) {
		t.Error(err)
	}
}

// serve serves a service at a socket, and returns a client.
func serve(t *testing.T, service *EvidenceService) *EvidenceClient {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	service.handle(mux)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- socket.Serve(ctx, listener, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &EvidenceClient{socket.NewClient(path)}
}

func TestTheDaemonFetchesForItsClients(t *testing.T) {
	w := &fakeNode{}
	w.hold(t, "registry.example/app:v1", "platform", "index")
	remote := serve(t, w.service())
	var here, there []FetchReport
	request := FetchRequest{References: []string{"registry.example/app:v1", "registry.example/absent"}}
	err := errors.Join(
		w.service().FetchAll(t.Context(), request, func(r FetchReport) error { here = append(here, r); return nil }),
		remote.FetchAll(t.Context(), request, func(r FetchReport) error { there = append(there, r); return nil }),
	)
	if diff := cmp.Diff(here, there); diff != "" || err != nil || len(there) != 2 {
		t.Errorf("%v; without and with the daemon (-without +with):\n%s", err, diff)
	}
	w.unknown = ErrImagesUnknown
	err = remote.FetchAll(t.Context(), FetchRequest{All: true}, nil)
	if err == nil || !strings.Contains(err.Error(), ErrImagesUnknown.Error()) {
		t.Errorf("the error is %v", err)
	}
}

func TestTheDaemonImportsForItsClients(t *testing.T) {
	keeper, err := evidence.Open(evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	service := (&fakeNode{}).service()
	service.Import = keeper.Import
	remote := serve(t, service)
	item := format.Item{Manifest: digest.FromString("image"), Repository: "registry.example/app"}
	filler := bytes.Repeat([]byte("x"), format.MaxFile-100)
	for n := range 30 {
		item.Add(format.KindBundle, []byte(
			`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"`+string(rune('a'+n))+string(filler)+`"}`))
	}
	if added, err := remote.Import(t.Context(), item); err != nil || added != 30 {
		t.Errorf("%d were added: %v", added, err)
	}
	item.Repository = "App"
	_, err = remote.Import(t.Context(), item)
	failed, ok := errors.AsType[*socket.Error](err)
	if !ok || failed.Status != http.StatusBadRequest || !strings.Contains(err.Error(), "not the full name") {
		t.Errorf("a refused item is answered with %v", err)
	}
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	remote := serve(t, (&fakeNode{}).service())
	large, err := json.Marshal(FetchRequest{References: []string{strings.Repeat("x", maxFetchRequest)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ endpoint, body string }{
		"no JSON for a fetch":    {fetchEndpoint, "{"},
		"no JSON for an import":  {importEndpoint, "["},
		"a fetch of too much":    {fetchEndpoint, string(large)},
		"an import of a number":  {importEndpoint, "7"},
		"references of no names": {fetchEndpoint, `{"references":[1]}`},
	} {
		response, err := remote.Socket.Post(t.Context(), test.endpoint, "application/json", strings.NewReader(test.body))
		if err == nil {
			response.Body.Close()
		}
		if failed, ok := errors.AsType[*socket.Error](err); !ok || failed.Status != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}
