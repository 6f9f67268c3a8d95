package main

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

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/origin"
)

// workshop is evidence work with a node and a registry of the test's own, of which nothing but the images is made up.
type workshop struct {
	mu      sync.Mutex
	held    []origin.Held
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

// hold has an image on the node.
func (w *workshop) hold(t *testing.T, name string, manifests ...string) {
	t.Helper()
	held := origin.Held{Reference: normalized(t, name)}
	for _, manifest := range manifests {
		held.Manifests = append(held.Manifests, policy.Manifest{Digest: digest.FromString(manifest)})
	}
	w.held = append(w.held, held)
}

func (w *workshop) work() *evidenceWork {
	return &evidenceWork{
		held: func(context.Context) ([]origin.Held, error) { return w.held, w.unknown },
		asks: func(ref reference.Named) bool { return !strings.HasPrefix(ref.Name(), "docker.io/") },
		resolve: func(_ context.Context, ref reference.Named) (digest.Digest, error) {
			if strings.Contains(ref.Name(), "absent") {
				return "", errors.New("the registry\nhas none")
			}
			return digest.FromString("remote"), nil
		},
		read: func(_ context.Context, ref reference.Named, target digest.Digest) (*policy.Image, error) {
			if strings.Contains(ref.Name(), "unreadable") {
				return nil, errors.New("it cannot be read")
			}
			return &policy.Image{Manifests: []policy.Manifest{{Digest: target}}}, nil
		},
		fetch: func(_ context.Context, manifest digest.Digest, ref reference.Named) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fetched = append(w.fetched, ref.Name()+"@"+manifest.String())
			return w.failing[manifest]
		},
		kept: func(manifests []policy.Manifest, _ reference.Named) policy.Kept {
			kept := make(policy.Kept, len(manifests))
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
		request fetchRequest
		want    []fetchReport
		fetched int
	}{
		"an image on the node, with all its manifests": {
			fetchRequest{References: []string{"registry.example/app:v1"}},
			[]fetchReport{{Reference: "registry.example/app:v1", Manifests: 2, Signatures: 4, Bundles: 2}},
			2,
		},
		"by the digest of one of them": {
			fetchRequest{References: []string{"registry.example/app@" + digest.FromString("index").String()}},
			[]fetchReport{{
				Reference: "registry.example/app@" + digest.FromString("index").String(),
				Manifests: 2, Signatures: 4, Bundles: 2,
			}},
			2,
		},
		"an image that is not here": {
			fetchRequest{References: []string{"registry.example/app:v2"}},
			[]fetchReport{{Reference: "registry.example/app:v2", Manifests: 1, Signatures: 2, Bundles: 1}},
			1,
		},
		"whatever no policy asks for, by name": {
			fetchRequest{References: []string{"busybox"}},
			[]fetchReport{{Reference: "busybox", Manifests: 1, Signatures: 2, Bundles: 1}},
			1,
		},
		"one failure among others": {
			fetchRequest{References: []string{"registry.example/failing:v1", "registry.example/absent", "x y"}},
			[]fetchReport{
				{Reference: "registry.example/failing:v1", Manifests: 1, Signatures: 2, Bundles: 1, Error: down.Error()},
				{
					Reference: "registry.example/absent",
					Error:     "finding registry.example/absent:latest in its registry: the registry has none",
				},
				{Reference: "x y", Error: `parsing image reference "x y": invalid reference format`},
			},
			1,
		},
		"all of which a policy asks a signature": {
			fetchRequest{All: true},
			[]fetchReport{
				{Reference: "registry.example/app:v1", Manifests: 2, Signatures: 4, Bundles: 2},
				{Reference: "docker.io/library/busybox:latest", Unasked: true},
				{Reference: "registry.example/failing:v1", Manifests: 1, Signatures: 2, Bundles: 1, Error: down.Error()},
			},
			3,
		},
		"nothing": {fetchRequest{}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := &workshop{failing: map[digest.Digest]error{digest.FromString("failing"): down}}
			w.hold(t, "registry.example/app:v1", "platform", "index")
			w.hold(t, "busybox", "busybox")
			w.hold(t, "registry.example/failing:v1", "failing")
			var got []fetchReport
			err := w.work().fetchAll(t.Context(), test.request, func(report fetchReport) error {
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

func TestFetchingEndsWithWhoWaitsForIt(t *testing.T) {
	w := &workshop{}
	w.hold(t, "registry.example/a", "a")
	w.hold(t, "registry.example/b", "b")
	gone := errors.New("nobody listens")
	err := w.work().fetchAll(t.Context(), fetchRequest{All: true}, func(fetchReport) error { return gone })
	if !errors.Is(err, gone) || len(w.fetched) != 1 {
		t.Errorf("%v after %v", err, w.fetched)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.work().fetchAll(ctx, fetchRequest{All: true}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAllCannotBeFetchedWhereNobodyKnowsWhatThatIs(t *testing.T) {
	w := &workshop{unknown: errUnknownHere}
	if err := w.work().fetchAll(t.Context(), fetchRequest{All: true}, nil); !errors.Is(err, errUnknownHere) {
		t.Error(err)
	}
}

// serve has work answer at a socket, and returns who asks there.
func serve(t *testing.T, work *evidenceWork) *remoteWork {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	work.handle(mux)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- socket.Serve(ctx, listener, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &remoteWork{socket.NewClient(path)}
}

func TestTheDaemonFetchesForWhoAsksIt(t *testing.T) {
	w := &workshop{}
	w.hold(t, "registry.example/app:v1", "platform", "index")
	remote := serve(t, w.work())
	var here, there []fetchReport
	request := fetchRequest{References: []string{"registry.example/app:v1", "registry.example/absent"}}
	err := errors.Join(
		w.work().fetchAll(t.Context(), request, func(r fetchReport) error { here = append(here, r); return nil }),
		remote.fetchAll(t.Context(), request, func(r fetchReport) error { there = append(there, r); return nil }),
	)
	if diff := cmp.Diff(here, there); diff != "" || err != nil || len(there) != 2 {
		t.Errorf("%v; by itself and by the daemon (-itself +daemon):\n%s", err, diff)
	}
	w.unknown = errUnknownHere
	err = remote.fetchAll(t.Context(), fetchRequest{All: true}, nil)
	if err == nil || !strings.Contains(err.Error(), errUnknownHere.Error()) {
		t.Errorf("what goes wrong is not said: %v", err)
	}
}

func TestTheDaemonImportsForWhoAsksIt(t *testing.T) {
	keeper, err := evidence.Open(evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	work := (&workshop{}).work()
	work.bring = keeper.Import
	remote := serve(t, work)
	item := format.Item{Manifest: digest.FromString("image"), Repository: "registry.example/app"}
	filler := bytes.Repeat([]byte("x"), format.MaxFile-100)
	for n := range 30 {
		item.Add(format.KindBundle, []byte(
			`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"`+string(rune('a'+n))+string(filler)+`"}`))
	}
	if added, err := remote.bring(t.Context(), item); err != nil || added != 30 {
		t.Errorf("%d were added: %v", added, err)
	}
	item.Repository = "App"
	_, err = remote.bring(t.Context(), item)
	failed, ok := errors.AsType[*socket.Error](err)
	if !ok || failed.Status != http.StatusBadRequest || !strings.Contains(err.Error(), "not the full name") {
		t.Errorf("what is refused is answered by %v", err)
	}
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	remote := serve(t, (&workshop{}).work())
	large, err := json.Marshal(fetchRequest{References: []string{strings.Repeat("x", maxFetchRequest)}})
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
		response, err := remote.client.Post(t.Context(), test.endpoint, "application/json", strings.NewReader(test.body))
		if err == nil {
			response.Body.Close()
		}
		if failed, ok := errors.AsType[*socket.Error](err); !ok || failed.Status != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHowItGoesIsToldOnATerminal(t *testing.T) {
	for name, test := range map[string]struct {
		terminal       bool
		stdout, stderr string
	}{
		"somebody looks at it": {
			true, "fetched evidence of 1 image; 1 failed; of 1 no policy asks for a signature\n",
			"\r\x1b[K1 of 3: a: 120 of 301 referrers read" + "\r\x1b[K1 of 3: a" +
				"\r\x1b[Kcountersign: b: down\n\r\x1b[K2 of 3: b" + "\r\x1b[K3 of 3: c?" + "\r\x1b[K",
		},
		"nobody does": {
			false, "a: 2 signatures and 1 bundle kept, of 1 manifest\n" +
				"c?: not fetched, for no policy asks for a signature of it\n",
			"countersign: a: 120 of 301 referrers read\ncountersign: b: down\n",
		},
	} {
		var stdout, stderr bytes.Buffer
		told := &fetchTeller{stdout: &stdout, stderr: &stderr, terminal: test.terminal}
		for _, report := range []fetchReport{
			{Reference: "a", Read: 120, Of: 301, Done: 1, Total: 3},
			{Reference: "a", Done: 1, Total: 3, Manifests: 1, Signatures: 2, Bundles: 1},
			{Reference: "b", Done: 2, Total: 3, Error: "down"},
			{Reference: "c\x1b", Done: 3, Total: 3, Unasked: true},
		} {
			if err := told.tell(report); err != nil {
				t.Fatal(err)
			}
		}
		told.end()
		if diff := cmp.Diff(test.stdout, stdout.String()); diff != "" {
			t.Errorf("%s: on standard output (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.stderr, stderr.String()); diff != "" {
			t.Errorf("%s: on standard error (-want +got):\n%s", name, diff)
		}
		if told.failed != 1 {
			t.Errorf("%s: %d failed", name, told.failed)
		}
	}
	if isTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is a terminal")
	}
}
