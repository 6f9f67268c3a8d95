package evidence_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

// detach removes a referrer.
func (p pusher) detach(what ocispec.Descriptor) {
	p.t.Helper()
	ref, err := name.ParseReference(p.host+"/app@"+what.Digest.String(), name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := remote.Delete(ref); err != nil {
		p.t.Fatal(err)
	}
}

func TestABundleThatIsRemovedStaysUntilThereIsAnother(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		first := p.attach(m, referrer{content: statement(signs, 1), predicate: signs})
		p.list(m, first)
		keeper, named := open(p.t, evidence.Config{}), p.named(p.t, "app")
		fetched(p.t, keeper, named, m)
		p.list(m)
		p.detach(first)
		if got := fetched(p.t, keeper, named, m); got.Bundles != 1 || got.State != policy.Found {
			p.t.Errorf("removed: %+v", got)
		}
		p.list(m, p.attach(m, referrer{content: statement(signs, 2), predicate: signs}))
		got := fetched(p.t, keeper, named, m)
		if diff := cmp.Diff([]string{string(statement(signs, 2))}, bundlesIn(p.t, got)); diff != "" {
			p.t.Errorf("replaced (-want +got):\n%s", diff)
		}
	})
}

func TestWhatASourceHadStaysWhileItFailsOrHasNothing(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		p.signTwice(m)
		keeper, named := open(p.t, evidence.Config{}), p.named(p.t, "app")
		fetched(p.t, keeper, named, m)

		p.sign(p.t, "app", m, signed(1), signed(2))
		lists := "/referrers/"
		if !p.api {
			lists = "/manifests/sha256-" + m.Encoded()
		}
		p.spoilBy(endsWith(lists, status(http.StatusInternalServerError)))
		got := fetched(p.t, keeper, named, m)
		if got.Signatures != 2 || got.Bundles != 1 || !strings.Contains(got.Detail, "500 Internal Server Error") {
			p.t.Errorf("the list of referrers fails, and there is a new signature: %+v", got)
		}
		p.spoilBy(nil)
		if got := fetched(p.t, keeper, named, m); got.Signatures != 2 || got.Bundles != 1 || got.Detail != "" {
			p.t.Errorf("it fails no more: %+v", got)
		}

		p.unsign(p.t, "app", m)
		p.list(m, p.attach(m, referrer{content: statement(signs, 2), predicate: signs, created: "2026-01-01T00:00:00Z"}))
		got = fetched(p.t, keeper, named, m)
		if got.Signatures != 2 || got.Bundles == 0 || !slices.Contains(bundlesIn(p.t, got), string(statement(signs, 2))) {
			p.t.Errorf("the tag was removed, and there is a new bundle: %+v", got)
		}
		if again := fetched(p.t, keeper, named, m); again != got {
			p.t.Errorf("asked again: %+v, and before %+v", again, got)
		}
	})
}

func TestWhatAMirrorHasIsEnough(t *testing.T) {
	m := manifestOf("image")
	mirror := pusher{testRegistry: newRegistry(t), t: t}
	r := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(true)), t: t, api: true}
	r.attach(m, referrer{content: statement(signs, 1), predicate: signs})
	hosts := hostsFor(t, "registry.example", fmt.Sprintf("server = %q\n[host.%q]\n", r.server.URL, mirror.server.URL))
	keeper, named := open(t, reaching(registry.Config{HostsDirectory: hosts})), parse(t, "registry.example/app:v1")
	mirror.list(m, mirror.attach(m, referrer{content: statement(attests, 1), predicate: attests}))
	if got := fetched(t, keeper, named, m); got.Bundles != 1 {
		t.Errorf("the mirror has an attestation: %+v", got)
	}
	r.asked()
	mirror.list(m, mirror.attach(m, referrer{content: statement(signs, 2), predicate: signs}))
	got := fetched(t, keeper, named, m)
	if diff := cmp.Diff([]string{string(statement(signs, 2))}, bundlesIn(t, got)); diff != "" {
		t.Errorf("the mirror has a bundle (-want +got):\n%s", diff)
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("the mirror has a bundle, and the registry was asked %v", asked)
	}
}

// TestAHostIsAskedForReferrersWhateverHostsTomlSays: files that list capabilities are mostly older than that one.
func TestAHostIsAskedForReferrersWhateverHostsTomlSays(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		content := fmt.Sprintf("server = %q\ncapabilities = ['pull', 'resolve']\n", p.server.URL)
		hosts := hostsFor(p.t, "registry.example", content)
		keeper := open(p.t, reaching(registry.Config{HostsDirectory: hosts}))
		named := parse(p.t, "registry.example/app:v1")
		if got := fetched(p.t, keeper, named, m); got.State != policy.None {
			p.t.Errorf("before it is signed: %+v", got)
		}
		p.list(m, p.attach(m, referrer{content: statement(signs, 1), predicate: signs}))
		if got := fetched(p.t, keeper, named, m); got.State != policy.Found || got.Bundles != 1 {
			p.t.Errorf("%+v", got)
		}
	})
}

func TestWhatMayBeThereAtTheNextTryIsReadAgain(t *testing.T) {
	eachWay(t, func(p pusher) {
		m := manifestOf("image")
		lost := statement(signs, 2)
		p.list(m, p.attach(m, referrer{content: statement(signs, 1), predicate: signs}),
			p.attach(m, referrer{content: lost, predicate: signs}),
			p.attach(m, referrer{content: statement(signs, 3), spoil: func(m *ocispec.Manifest) { m.Layers[0].Size = 2 << 30 }}))
		keeper, named := open(p.t, evidence.Config{}), p.named(p.t, "app")
		p.spoilBy(endsWith(digest.FromBytes(lost).String(), status(http.StatusNotFound)))
		if got := fetched(p.t, keeper, named, m); got.Bundles != 1 || !got.Partial {
			p.t.Errorf("one is not there: %+v", got)
		}
		p.spoilBy(nil)
		if got := fetched(p.t, keeper, named, m); got.Bundles != 2 || got.Partial {
			p.t.Errorf("it is there again: %+v", got)
		}
		p.asked()
		fetched(p.t, keeper, named, m)
		if asked := strings.Join(p.asked(), " "); strings.Contains(asked, "/blobs/") {
			p.t.Errorf("one will always be too large, and the registry was asked %s", asked)
		}
	})
}
