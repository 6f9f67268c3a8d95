package origin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

const (
	state = "/run/containerd/io.containerd.grpc.v1.cri"
	hex   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func TestVolumeIsToldByItsPath(t *testing.T) {
	volume := state + "/image-volumes/sandbox/" + hex
	cases := map[string]struct {
		source, key, sandbox string
		refused              bool
	}{
		"an image volume":   {source: volume, key: volume, sandbox: "sandbox"},
		"a directory in it": {source: volume + "/a/b", key: volume, sandbox: "sandbox"},
		"a directory in it that looks like one": {
			source: volume + "/image-volumes/x/" + hex, key: volume, sandbox: "sandbox",
		},
		"another state directory": {
			source: "/s/image-volumes/x/" + hex, key: "/s/image-volumes/x/" + hex, sandbox: "x",
		},
		"a state directory that looks like one": {
			source: "/image-volumes/a/b" + volume, key: "/image-volumes/a/b" + volume, sandbox: "sandbox",
		},
		"a digest of another algorithm": {source: volume + hex, key: volume + hex, sandbox: "sandbox"},
		"slashes and dots too many": {
			source: "//" + strings.ReplaceAll(volume, "/", "//./") + "/", key: volume, sandbox: "sandbox",
		},
		"a directory of the host":                 {source: "/var/lib/data"},
		"nothing":                                 {source: ""},
		"the directory of all image volumes":      {source: state + "/image-volumes"},
		"the directory of a sandbox's":            {source: state + "/image-volumes/sandbox"},
		"what is called like one but has no hash": {source: "/data/image-volumes/backup/monday"},
		"a path that leads up, elsewhere":         {source: "/var/../lib"},
		"a path that leads out of one":            {source: volume + "/../../../../data", refused: true},
		"a path that leads into one":              {source: "/data/../" + volume, refused: true},
		"a path that leads from one to another":   {source: volume + "/../" + strings.ToUpper(hex), refused: true},
		"a path that leads up and to a shorter":   {source: state + "/image-volumes/../image-volumes", refused: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			key, sandbox, ok, err := origin.ParseVolume(c.source)
			if c.refused {
				refusal(t, err, policy.UnknownOrigin)
				if !ok {
					t.Error("it is not recognised as an image volume")
				}
				return
			}
			must(t, err)
			if key != c.key || sandbox != c.sandbox || ok != (c.key != "") {
				t.Errorf("got %q, %q, %v; want %q, %q", key, sandbox, ok, c.key, c.sandbox)
			}
		})
	}
}

func TestVolume(t *testing.T) {
	volume := state + "/image-volumes/sandbox/" + hex
	cases := map[string]struct {
		build func(s *stores) []digest.Digest
		// source is the volume itself when empty.
		source string
		reason policy.Reason
		words  []string
	}{
		"its layers are those of one image": {build: func(s *stores) []digest.Digest {
			m, c := s.image("data")
			s.name("example.com/data:v1", m)
			s.prepare("first", volume, s.unpack("first", "layer of data"))
			return []digest.Digest{c.Digest}
		}},
		"a directory of it is mounted": {source: volume + "/sub/directory", build: func(s *stores) []digest.Digest {
			m, c := s.image("data")
			s.name("example.com/data:v1", m)
			s.prepare("second", volume, s.unpack("second", "layer of data"))
			return []digest.Digest{c.Digest}
		}},
		"its layers are those of two images": {build: func(s *stores) []digest.Digest {
			one, two := s.config("one", "layer"), s.config("two", "layer")
			s.name("example.com/one:v1", s.manifest(one, ""))
			s.name("example.com/two:v1", s.manifest(two, ""))
			s.prepare("first", volume, s.unpack("first", "layer"))
			return []digest.Digest{one.Digest, two.Digest}
		}},
		"it is a view": {build: func(s *stores) []digest.Digest {
			m, c := s.image("data")
			s.name("example.com/data:v1", m)
			_, err := s.snapshotters["first"].View(s.ctx, volume, s.unpack("first", "layer of data"))
			must(s.tb, err)
			return []digest.Digest{c.Digest}
		}},
		"it has the files of another image than its path says": {build: func(s *stores) []digest.Digest {
			signed, _ := s.image("signed")
			evil, c := s.image("evil")
			s.name("victim.example/data:v1", signed)
			s.name("aaa.example/evil:1", evil)
			lying := strings.Replace(volume, hex, signed.Digest.Encoded(), 1)
			s.prepare("first", lying, s.unpack("first", "layer of evil"))
			return []digest.Digest{c.Digest}
		}, source: "signed"},
		"it is another sandbox's": {
			source: strings.Replace(volume, "sandbox", "another", 1), reason: policy.UnknownOrigin,
			words: []string{"sandbox another and not for sandbox"},
		},
		"there is no such snapshot": {reason: policy.UnknownOrigin, words: []string{"no snapshotter"}},
		"no image has its layers": {build: func(s *stores) []digest.Digest {
			s.prepare("first", volume, s.unpack("first", "evil"))
			return nil
		}, reason: policy.UnknownOrigin, words: []string{chainOf("evil")}},
		"the image with its layers cannot be read": {build: func(s *stores) []digest.Digest {
			m, _ := s.image("data")
			s.name("example.com/data:v1", m)
			s.discard(m.Digest)
			s.prepare("first", volume, s.unpack("first", "layer of data"))
			return nil
		}, reason: policy.Unavailable, words: []string{"is not in containerd's content store"}},
		"it is a committed snapshot": {build: func(s *stores) []digest.Digest {
			m, _ := s.image("data")
			s.name("example.com/data:v1", m)
			s.commit("first", volume, s.unpack("first", "layer of data"))
			return nil
		}, reason: policy.UnknownOrigin, words: []string{"kind Committed"}},
		"containerd fails": {build: func(s *stores) []digest.Digest {
			s.fail(func(string, string) error { return errdefs.ErrUnavailable })
			return nil
		}, reason: policy.Unavailable},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			var want []digest.Digest
			if c.build != nil {
				want = c.build(s)
				slices.Sort(want)
			}
			source := c.source
			switch source {
			case "":
				source = volume
			case "signed":
				signed, _ := s.image("signed")
				source = strings.Replace(volume, hex, signed.Digest.Encoded(), 1)
			}
			got, ok, err := s.origin().Volume(t.Context(), "sandbox", source)
			if !ok {
				t.Error("it is not recognised as an image volume")
			}
			if c.reason != "" {
				refusal(t, err, c.reason, c.words...)
				return
			}
			must(t, err)
			same(t, configsOf(got), want)
		})
	}
}

// configsOf returns the images that a volume can be of.
func configsOf(volume policy.Volume) []digest.Digest {
	return slices.Sorted(slices.Values(volume.All()))
}

func TestThePathOfAVolumeTellsWhatIsLikely(t *testing.T) {
	s := newStores(t)
	one, two := s.config("one", "layer"), s.config("two", "layer")
	m := s.manifest(one, "")
	index := s.index(absent("arm"), m)
	s.name("example.com/one:v1", index)
	s.name("example.com/two:v1", s.manifest(two, ""))
	other, _ := s.image("other")
	s.name("example.com/other:v1", other)
	o := s.following()
	for path, want := range map[digest.Digest][]digest.Digest{
		m.Digest: {one.Digest}, index.Digest: {one.Digest}, other.Digest: nil, digest.FromString("nothing"): nil,
	} {
		source := state + "/image-volumes/sandbox/" + path.Encoded()
		s.prepare("first", source, s.unpack("first", "layer"))
		volume, _, err := o.Volume(t.Context(), "sandbox", source)
		must(t, err)
		same(t, volume.Likely(), want)
		if volume.Layers != chainOf("layer") || len(volume.All()) != 2 {
			t.Errorf("%s: %d images have the layers %s", path, len(volume.All()), volume.Layers)
		}
	}
}

func TestVolumeOfAKnownImageIsOneCall(t *testing.T) {
	s := newStores(t)
	m, c := s.image("data")
	s.name("example.com/data:v1", m)
	volume := state + "/image-volumes/sandbox/" + hex
	s.prepare("first", volume, s.unpack("first", "layer of data"))
	o := s.following()
	_, _, err := o.Volume(t.Context(), "sandbox", volume)
	must(t, err)

	before := s.calls.Load()
	got, _, err := o.Volume(t.Context(), "sandbox", volume)
	must(t, err)
	same(t, configsOf(got), []digest.Digest{c.Digest})
	if calls := s.calls.Load() - before; calls != 1 {
		t.Errorf("%d calls to containerd, want 1", calls)
	}
}

func TestOtherMountsCostNothing(t *testing.T) {
	s := newStores(t)
	volume, ok, err := s.origin().Volume(t.Context(), "sandbox", "/var/lib/data")
	if volume.All != nil || ok || err != nil {
		t.Errorf("got %v, %v, %v", volume, ok, err)
	}
	if calls := s.calls.Load(); calls != 0 {
		t.Errorf("%d calls to containerd, want 0", calls)
	}
}
