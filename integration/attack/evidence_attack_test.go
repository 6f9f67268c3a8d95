package attack_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
)

// other is a namespace that requires a signature by a key that signs nothing.
const other = "tenant-other"

const bundleType = types.MediaType("application/vnd.dev.sigstore.bundle.v0.3+json")

// attachJunk attaches 64 junk bundles to an image, created in the year 2999.
func (l *lab) attachJunk(t *testing.T, to node.Pushed) {
	t.Helper()
	repository := must(name.NewRepository(to.Repository, name.Insecure))(t)
	subject := v1.Descriptor{
		MediaType: types.OCIManifestSchema1, Size: to.Size, Digest: must(v1.NewHash(to.Digest.String()))(t),
	}
	for n := range 64 {
		bundle := fmt.Appendf(nil, `{"mediaType":%q,"n":%d}`, bundleType, n)
		image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), bundleType)
		image = must(mutate.Append(image, mutate.Addendum{Layer: static.NewLayer(bundle, bundleType)}))(t)
		annotated := mutate.Annotations(image, map[string]string{
			"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
			"org.opencontainers.image.created":  fmt.Sprintf("2999-01-01T00:00:%02dZ", n%60),
		})
		// The subject is added last, because a later change would drop it.
		referrer, ok := mutate.Subject(annotated, subject).(v1.Image)
		if !ok {
			t.Fatal("an image with a subject is not an image")
		}
		digest := must(referrer.Digest())(t)
		if err := remote.Write(repository.Digest(digest.String()), referrer, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

// appendJunk adds 64 junk signatures to those under the tag of an image's signatures.
func (l *lab) appendJunk(t *testing.T, to node.Pushed) {
	t.Helper()
	tag := must(name.NewTag(to.Repository+":"+node.SignatureTag(to.Digest), name.Insecure))(t)
	image := must(remote.Image(tag, remote.WithContext(t.Context())))(t)
	for _, layer := range must(junk(t, simpleSigning, 64, 100).Layers())(t) {
		image = must(mutate.Append(image, mutate.Addendum{
			Layer: layer, MediaType: simpleSigning,
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": "MEUCIQ=="},
		}))(t)
	}
	if err := remote.Write(tag, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// evidenceAttack is what somebody with push rights does to a signed image's evidence.
type evidenceAttack struct {
	oldFormat bool
	push      func(t *testing.T, victim node.Pushed)
	// signatures and bundles are what the node stores after that, apart from what it protects.
	signatures, bundles int
	// unsure reports whether there are more bundles than the node stores, so that a refusal is not certain.
	unsure bool
	victim node.Pushed
}

func (l *lab) evidenceAttacks() map[string]*evidenceAttack {
	replaceTag := func(count int) func(*testing.T, node.Pushed) {
		return func(t *testing.T, victim node.Pushed) {
			t.Helper()
			repository := victim.Repository[len(l.registry.Host)+1:]
			l.push(t, repository+":"+node.SignatureTag(victim.Digest), junk(t, simpleSigning, count, 100))
		}
	}
	both := func(t *testing.T, victim node.Pushed) {
		t.Helper()
		replaceTag(64)(t, victim)
		l.attachJunk(t, victim)
	}
	return map[string]*evidenceAttack{
		"one junk signature replaces the tag": {oldFormat: true, push: replaceTag(1), signatures: 1},
		"64 junk signatures replace the tag":  {oldFormat: true, push: replaceTag(64), signatures: 64},
		"64 junk signatures follow":           {oldFormat: true, push: l.appendJunk, signatures: 64},
		"64 junk bundles next to a signature": {oldFormat: true, push: l.attachJunk, signatures: 1, bundles: 64},
		"64 junk bundles from the future":     {push: l.attachJunk, bundles: 64, unsure: true},
		"64 junk signatures next to a bundle": {push: replaceTag(64), signatures: 64, bundles: 1},
		"64 junk files of each kind":          {push: both, signatures: 64, bundles: 64, unsure: true},
	}
}

// TestEvidenceAttacks: somebody with push access replaces signatures by junk, or adds junk, and a namespace whose
// requirement nothing meets triggers fetches. The namespace whose requirement was met must not notice.
func TestEvidenceAttacks(t *testing.T) {
	l := newLab(t)
	key := must(l.Tools.GenerateKey(t.Context(), l.keys, "nobody"))(t)
	l.policies(t, map[string]string{other: node.Policy{Default: node.Cosign(key.Public)}.JSON()})
	attacks := l.evidenceAttacks()
	names := slices.Sorted(maps.Keys(attacks))
	all := func(what string, test func(t *testing.T, marker string, attack *evidenceAttack)) {
		for n, name := range names {
			t.Run(what+"/"+name, func(t *testing.T) { test(t, fmt.Sprintf("attacked %d", n), attacks[name]) })
		}
	}
	all("before", func(t *testing.T, marker string, attack *evidenceAttack) {
		t.Helper()
		repository := fmt.Sprintf("shop/evidence-%s:v1", marker[len("attacked "):])
		attack.victim = l.push(t, repository, l.image(t, marker))
		signing := node.Signing{Image: attack.victim, Key: l.key, OldFormat: attack.oldFormat}
		if !attack.oldFormat {
			signing.Annotations = map[string]string{"docker-reference": attack.victim.Repository}
		}
		if err := l.Tools.Sign(t.Context(), signing); err != nil {
			t.Fatal(err)
		}
		l.runs(t, l.Node, strict, attack.victim.Reference, marker)
		l.refused(t, other, node.Container{Image: attack.victim.Reference}, "rejected")
		l.awaitStored(t, attack.victim, func(info store.Info) bool { return info.Satisfied == 1 })
	})
	all("during", func(t *testing.T, _ string, attack *evidenceAttack) {
		t.Helper()
		attack.push(t, attack.victim)
	})
	all("fetched", func(t *testing.T, _ string, attack *evidenceAttack) {
		t.Helper()
		// For a reason that depends on whether the junk has been fetched yet.
		if _, err := l.RunPodUntil(t.Context(), l.pod(other, node.Container{Image: attack.victim.Reference})); err == nil {
			t.Errorf("%s runs in %s", attack.victim.Reference, other)
		}
		l.awaitStored(t, attack.victim, func(info store.Info) bool {
			return info.Signatures == attack.signatures && info.Bundles == attack.bundles
		})
	})
	check := func(t *testing.T, marker string, attack *evidenceAttack) {
		t.Helper()
		l.runs(t, l.Node, strict, attack.victim.Reference, marker)
		l.runs(t, l.Node, crowd, attack.victim.Reference, marker)
		reason := "rejected"
		if attack.unsure {
			reason = "unavailable"
		}
		l.refused(t, other, node.Container{Image: attack.victim.Reference}, reason)
	}
	all("after", check)
	if err := l.daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	all("after a restart", check)
	t.Run("junk is attached before the node sees the image", l.junkFirst)
}

// junkFirst has a node see an image for the first time that has more bundles than it stores, of which the good one is
// said to be the oldest. The kubelet retries.
func (l *lab) junkFirst(t *testing.T) {
	victim := l.push(t, "shop/junk-first:v1", l.image(t, "junk first"))
	name := map[string]string{"docker-reference": victim.Repository}
	if err := l.Tools.Sign(t.Context(), node.Signing{Image: victim, Key: l.key, Annotations: name}); err != nil {
		t.Fatal(err)
	}
	l.attachJunk(t, victim)
	tries := 0
	err := retry(t, func() (bool, error) {
		tries++
		pod, err := l.RunPodUntil(t.Context(), l.pod(strict, node.Container{Image: victim.Reference}))
		if err != nil {
			return false, err
		}
		return true, pod.Remove(t.Context())
	})
	if err != nil {
		t.Errorf("refused %d times: %v", tries, err)
	}
	t.Logf("it ran at try %d", tries)
	l.runs(t, l.Node, strict, victim.Reference, "junk first")
}

// awaitStored waits until the node's evidence of an image is as it should be. While a namespace waits, the registry is
// asked every 15 seconds.
func (l *lab) awaitStored(t *testing.T, of node.Pushed, done func(store.Info) bool) {
	t.Helper()
	err := retry(t, func() (bool, error) {
		stored, err := store.List(l.daemon.EvidenceDirectory())
		if err != nil {
			return false, err
		}
		for _, info := range stored {
			if info.Manifest != of.Digest || info.Damage != nil || info.State != policy.Found {
				continue
			}
			if done(info) {
				return true, nil
			}
			err = fmt.Errorf("%d signatures and %d bundles are stored, and %d met a requirement",
				info.Signatures, info.Bundles, info.Satisfied)
		}
		return false, err
	})
	if err != nil {
		t.Errorf("the evidence of %s: %v", of.Reference, err)
	}
}
