package origin_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// TestLabelsTellImagesApart: a container has the labels of its image, as the CRI plugin copies them. Images with other
// labels are no candidates if the container lacks one of them.
func TestLabelsTellImagesApart(t *testing.T) {
	type labels = map[string]string
	const revision = "org.opencontainers.image.revision"
	long := strings.Repeat("a", 4096)
	kubelet := labels{
		"io.kubernetes.pod.name": "app-0", "io.kubernetes.container.name": "app", "io.cri-containerd.kind": "container",
	}
	tests := map[string]struct {
		signed, evil labels // of the images
		// container are those of the container, in addition to the kubelet's.
		container labels
		want      []string
	}{
		"no image has labels": {nil, nil, nil, []string{"signed", "evil"}},
		"one image has a label that the container has": {
			labels{revision: "1"}, nil, labels{revision: "1"}, []string{"signed", "evil"},
		},
		"the container has the value of the signed one": {
			labels{revision: "1"}, labels{revision: "2"}, labels{revision: "1"}, []string{"signed"},
		},
		"the container has the value of the unsigned one": {
			labels{revision: "1"}, labels{revision: "2"}, labels{revision: "2"}, []string{"evil"},
		},
		"the unsigned one has the labels of the signed one": {
			labels{revision: "1"}, labels{revision: "1"}, labels{revision: "1"}, []string{"signed", "evil"},
		},
		"the unsigned one has more labels, and the container lacks them": {
			labels{revision: "1"}, labels{revision: "1", "more": "1"}, labels{revision: "1"}, []string{"signed"},
		},
		"the unsigned one has more labels, and the container has them": {
			labels{revision: "1"},
			labels{revision: "1", "more": "1"},
			labels{revision: "1", "more": "1"},
			[]string{"signed", "evil"},
		},
		"labels that the kubelet replaces": {
			labels{revision: "1"},
			labels{revision: "1", "io.kubernetes.pod.name": "another"},
			labels{revision: "1"},
			[]string{"signed", "evil"},
		},
		"labels that containerd does not copy": {
			labels{revision: "1"},
			labels{
				revision: "1", "io.cri-containerd.x": "1", "containerd.io/x": "1", "io.containerd.x": "1", "long": long,
				"": "no key", "no value": "",
			},
			labels{revision: "1"},
			[]string{"signed", "evil"},
		},
		"labels are not copied": {nil, labels{revision: "1"}, nil, []string{"signed", "evil"}},
		"labels of neither": {
			labels{revision: "1"}, labels{revision: "2"}, labels{revision: "3"}, []string{"signed", "evil"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			configs := map[string]digest.Digest{}
			for author, own := range map[string]labels{"signed": test.signed, "evil": test.evil} {
				config := s.labelled(author, own, "base")
				s.cri("example.com/app:"+author, s.manifest(config, ""), config)
				configs[author] = config.Digest
			}
			s.prepare("first", "container", s.unpack("first", "base"))
			all := maps.Clone(kubelet)
			maps.Copy(all, test.container)
			got, err := s.following().Content(t.Context(), policy.Container{
				ID: "container", Reference: "example.com/app:signed", Labels: all,
			})
			must(t, err)
			var want []digest.Digest
			for _, author := range test.want {
				want = append(want, configs[author])
			}
			slices.Sort(want)
			same(t, got, want)
		})
	}
}

// TestLabelsThatCannotBeRead: the image remains a candidate.
func TestLabelsThatCannotBeRead(t *testing.T) {
	s := newStores(t)
	signed := s.labelled("signed", map[string]string{"revision": "1"}, "base")
	evil := s.labelled("evil", map[string]string{"revision": "2"}, "base")
	s.cri("example.com/app:signed", s.manifest(signed, ""), signed)
	s.cri("example.com/app:evil", s.manifest(evil, ""), evil)
	s.prepare("first", "container", s.unpack("first", "base"))
	o := s.following()
	container := policy.Container{
		ID: "container", Reference: "example.com/app:signed", Labels: map[string]string{"revision": "1"},
	}
	got, err := o.Content(t.Context(), container)
	must(t, err)
	same(t, got, []digest.Digest{signed.Digest})
	alike, err := o.Alike(t.Context(), policy.Question{Reference: "example.com/app:signed", Config: signed.Digest})
	must(t, err)
	same(t, alike, got)

	must(t, s.content.Delete(s.ctx, evil.Digest))
	got, err = o.Content(t.Context(), container)
	must(t, err)
	want := []digest.Digest{signed.Digest, evil.Digest}
	slices.Sort(want)
	same(t, got, want)
}
