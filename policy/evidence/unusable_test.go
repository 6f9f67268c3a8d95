package evidence_test

import (
	"net/http"
	"strings"
	"testing"

	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// A registry that has only unreadable evidence has answered: another fetch finds the same. What may exist at the next
// time is a failure.
func TestThatNothingCanBeReadIsAnAnswerWhereItLasts(t *testing.T) {
	m := manifestOf("image")
	bundle := func(spoil func(*ocispec.Manifest)) func(pusher) {
		return func(p pusher) {
			p.list(m, p.attach(m, referrer{content: []byte("text"), predicate: signs, spoil: spoil}))
		}
	}
	layers := func(list ...map[string]any) func(pusher) {
		return func(p pusher) { p.spoilBy(serving(layersManifest(p.t, list...))) }
	}
	for name, test := range map[string]struct {
		offer func(pusher)
		// failed reports whether it is a failure.
		failed bool
		detail string
	}{
		"a bundle that is not a bundle": {bundle(nil), false, "none of 1 bundles can be read: sha256:"},
		"a bundle of 2 GiB": {
			bundle(func(m *ocispec.Manifest) { m.Layers[0].Size = 2 << 30 }), false, "has 2147483648 bytes",
		},
		"a bundle that is not there": {
			bundle(func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.FromString("gone") }), true, "does not have",
		},
		"a signature of 2 GiB": {
			layers(layer(signed(1), 2<<30)), false, "none of its 1 signatures can be read: layer sha256:",
		},
		"a signature that is not there": {layers(layer(signed(1), len(signed(1).payload))), true, "does not have"},
		"a permanent error in addition to a temporary one": {
			layers(layer(signed(1), 2<<30), layer(signed(2), len(signed(2).payload))), true,
			"none of its 2 signatures can be read",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, memory.WithReferrersSupport(false))
			test.offer(pusher{testRegistry: r, t: t})
			directory := t.TempDir()
			keeper := open(t, evidence.Config{Directory: directory})
			got := fetched(t, keeper, r.named(t, "app"), m)
			if test.failed {
				check(t, got, test.detail)
				return
			}
			if got.State != policy.None || !got.Unusable || !strings.Contains(got.Detail, test.detail) {
				t.Fatalf("%+v\nlacks %q", got, test.detail)
			}
			keeper.Close()
			again := lookup(open(t, evidence.Config{Directory: directory}), r.named(t, "app"), m)
			if again.State != policy.None || !again.Unusable || again.Detail != got.Detail {
				t.Errorf("after a restart: %+v", again)
			}
		})
	}
}

func TestWhatCannotBeReadGivesWayToWhatCan(t *testing.T) {
	m := manifestOf("image")
	r := newRegistry(t, memory.WithReferrersSupport(false))
	named := r.named(t, "app")
	keeper := open(t, evidence.Config{})
	if got := fetched(t, keeper, named, m); got.State != policy.None || got.Unusable {
		t.Fatalf("with nothing: %+v", got)
	}
	p := pusher{testRegistry: r, t: t}
	p.list(m, p.attach(m, referrer{content: []byte("text"), predicate: signs}))
	if got := fetched(t, keeper, named, m); got.State != policy.None || !got.Unusable {
		t.Fatalf("with what cannot be read, after nothing: %+v", got)
	}
	p.list(m)
	if got := fetched(t, keeper, named, m); got.State != policy.None || got.Unusable || got.Detail != "" {
		t.Fatalf("with nothing again: %+v", got)
	}
	p.list(m, p.attach(m, referrer{content: []byte("text"), predicate: signs}))
	r.sign(t, "app", m, signed(1))
	if got := fetched(t, keeper, named, m); got.State != policy.Found || got.Unusable || got.Partial {
		t.Fatalf("with a signature in addition: %+v", got)
	}
	r.spoilBy(onlyFor("/", status(http.StatusServiceUnavailable)))
	if got := fetched(t, keeper, named, m); got.State != policy.Found {
		t.Errorf("while the registry fails: %+v", got)
	}
}
