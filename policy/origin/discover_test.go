package origin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// discovery is what a container without a config digest is found to run, or how it is refused.
type discovery struct {
	configs []digest.Digest
	reason  policy.Reason
	words   []string
}

// pulled stores an image with these layers under a tag of one repository and returns its config.
func (s *stores) pulled(tag string, layers ...string) digest.Digest {
	s.tb.Helper()
	config := s.config(tag, layers...)
	s.name("example.com/app:"+tag, s.manifest(config, ""))
	return config.Digest
}

// unreported is a container of which the runtime reports no config.
func unreported() policy.Container {
	return policy.Container{ID: "container", Reference: "example.com/app:v1"}
}

var discoveryCases = map[string]func(s *stores) discovery{
	"one image has its layers": func(s *stores) discovery {
		s.pulled("other", "base", "other")
		s.prepare("first", "container", s.unpack("first", "base", "app"))
		return discovery{configs: []digest.Digest{s.pulled("app", "base", "app")}}
	},
	"another snapshotter has it": func(s *stores) discovery {
		s.prepare("second", "container", s.unpack("second", "base"))
		return discovery{configs: []digest.Digest{s.pulled("app", "base")}}
	},
	"several images have its layers": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "base"))
		return discovery{configs: []digest.Digest{s.pulled("signed", "base"), s.pulled("evil", "base")}}
	},
	"it has no layers": func(s *stores) discovery {
		s.prepare("first", "container", "", mapped())
		return discovery{configs: []digest.Digest{s.pulled("scratch")}}
	},
	"a user namespace is mapped by the snapshotter": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "base", "app"), mapped())
		s.pulled("base", "base")
		return discovery{configs: []digest.Digest{s.pulled("app", "base", "app")}}
	},
	"a user namespace has a copy with other owners": func(s *stores) discovery {
		chain := s.unpack("first", "base", "app")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain), mapped())
		return discovery{configs: []digest.Digest{s.pulled("app", "base", "app")}}
	},
	"a copy with other owners but no user namespace": func(s *stores) discovery {
		chain := s.unpack("first", "base")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain))
		s.pulled("app", "base")
		return discovery{reason: policy.UnknownOrigin, words: []string{remapped(chain)}}
	},
	"what is called the copy is not committed": func(s *stores) discovery {
		chain := s.unpack("first", "base")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain), mapped())
		s.kinds = map[string]snapshots.Kind{remapped(chain): snapshots.KindActive}
		s.pulled("app", "base")
		return discovery{reason: policy.UnknownOrigin, words: []string{remapped(chain)}}
	},
	"a user namespace and one layer more": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "base", "evil"), mapped())
		s.pulled("app", "base")
		return discovery{reason: policy.UnknownOrigin, words: []string{chainOf("base", "evil")}}
	},
	"what is called the copy was made from another image": func(s *stores) discovery {
		s.commit("first", remapped(chainOf("base")), s.unpack("first", "evil"))
		s.prepare("first", "container", remapped(chainOf("base")), mapped())
		s.pulled("app", "base")
		s.pulled("evil", "evil")
		return discovery{reason: policy.UnknownOrigin, words: []string{remapped(chainOf("base"))}}
	},
	"the mappings are not mappings": func(s *stores) discovery {
		labels := snapshots.WithLabels(map[string]string{snapshots.LabelSnapshotUIDMapping: "0:1"})
		s.prepare("first", "container", s.unpack("first", "base", "app"), labels)
		s.pulled("base", "base")
		return discovery{configs: []digest.Digest{s.pulled("app", "base", "app")}}
	},
	"no image has its layers": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "evil"))
		s.pulled("app", "base")
		return discovery{reason: policy.UnknownOrigin, words: []string{chainOf("evil")}}
	},
	"no name leads to the image with its layers": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "evil"))
		s.manifest(s.config("evil", "evil"), "")
		return discovery{reason: policy.UnknownOrigin, words: []string{chainOf("evil")}}
	},
	"there is no snapshot": func(*stores) discovery {
		return discovery{reason: policy.UnknownOrigin, words: []string{"no snapshotter", "container"}}
	},
	"the snapshot is a view": func(s *stores) discovery {
		_, err := s.snapshotters["first"].View(s.ctx, "container", s.unpack("first", "base"))
		must(s.tb, err)
		s.pulled("app", "base")
		return discovery{reason: policy.UnknownOrigin, words: []string{"kind View"}}
	},
	"the snapshot is committed": func(s *stores) discovery {
		s.commit("first", "container", s.unpack("first", "base"))
		s.pulled("app", "base")
		return discovery{reason: policy.UnknownOrigin, words: []string{"kind Committed"}}
	},
	"an image that could be the one cannot be read": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "base"))
		s.pulled("signed", "base")
		evil := s.pulled("evil", "base")
		s.sizes[evil] = 5 << 20
		return discovery{reason: policy.Unavailable, words: []string{evil.String(), "5242880"}}
	},
	"the copy with other owners cannot be looked at": func(s *stores) discovery {
		chain := s.unpack("first", "base")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain), mapped())
		s.pulled("app", "base")
		s.fail(func(call, argument string) error {
			if call == "Stat" && strings.HasSuffix(argument, remapped(chain)) {
				return errors.New("the disk is on fire")
			}
			return nil
		})
		return discovery{reason: policy.Unavailable, words: []string{"the disk is on fire"}}
	},
	"images cannot be listed": func(s *stores) discovery {
		s.prepare("first", "container", s.unpack("first", "base"))
		s.pulled("app", "base")
		s.fail(func(call, _ string) error {
			if call == "List" {
				return errdefs.ErrUnavailable
			}
			return nil
		})
		return discovery{reason: policy.Unavailable, words: []string{"listing containerd's images"}}
	},
}

func TestContentIsDiscoveredWithoutAConfig(t *testing.T) {
	for name, build := range discoveryCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			want := build(s)
			slices.Sort(want.configs)
			o := s.origin()
			configs, err := o.Content(t.Context(), unreported())
			same(t, configs, want.configs)
			if want.reason != "" {
				refusal(t, err, want.reason, want.words...)
				return
			}
			must(t, err)
			// What is discovered is what would be verified.
			for _, config := range configs {
				_, err := o.Content(t.Context(), policy.Container{ID: "container", Config: config})
				must(t, err)
			}
		})
	}
}

// TestDiscoveryFindsAnImageBeforeItsEvent: an image pulled a moment ago has the layers of one that is known.
func TestDiscoveryFindsAnImageBeforeItsEvent(t *testing.T) {
	s := newStores(t)
	want := []digest.Digest{s.pulled("signed", "base")}
	s.prepare("first", "container", s.unpack("first", "base"))
	o := s.following()
	// The event has arrived, and is not evaluated until the discovery has ended. Until an event arrives nothing tells of
	// the image but the container's record, at its start.
	arrived, hold := make(chan struct{}, 1), make(chan struct{})
	defer close(hold)
	s.fail(func(call, _ string) error {
		if call == "Get" {
			select {
			case arrived <- struct{}{}:
			default:
			}
			<-hold
		}
		return nil
	})
	want = append(want, s.pulled("evil", "base"))
	<-arrived
	slices.Sort(want)
	configs, err := o.Content(t.Context(), unreported())
	must(t, err)
	same(t, configs, want)
}
