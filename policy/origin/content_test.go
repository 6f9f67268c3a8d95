package origin_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// unpack commits the layers of an image, as containerd does after a pull, and returns the chain ID.
func (s *stores) unpack(snapshotter string, layers ...string) string {
	s.tb.Helper()
	for i := range layers {
		s.commit(snapshotter, chainOf(layers[:i+1]...), chainOf(layers[:i]...))
	}
	return chainOf(layers...)
}

func (s *stores) commit(snapshotter, key, parent string) {
	s.tb.Helper()
	in := s.snapshotters[snapshotter]
	if _, err := in.Stat(s.ctx, key); err == nil {
		return
	}
	_, err := in.Prepare(s.ctx, key+"-unpacking", parent)
	must(s.tb, err)
	must(s.tb, in.Commit(s.ctx, key, key+"-unpacking"))
}

// prepare makes the snapshot of a container, or of an image volume.
func (s *stores) prepare(snapshotter, key, parent string, opts ...snapshots.Opt) {
	s.tb.Helper()
	_, err := s.snapshotters[snapshotter].Prepare(s.ctx, key, parent, opts...)
	must(s.tb, err)
}

// mapped is the option by which the CRI plugin asks for a user namespace.
func mapped() snapshots.Opt { return client.WithRemapperLabels(0, 65536, 0, 65536, 65536) }

// remapped is the key under which containerd 2.4.2 keeps the copy of an image with those owners (client:
// remappedSnapshot.ID): the hash of this JSON.
func remapped(chain string) string {
	mapping := `[{"containerID":0,"hostID":65536,"size":65536}]`
	hashed := `{"Parent":"` + chain + `","IDMap":{"UidMap":` + mapping + `,"GidMap":` + mapping + `}}`
	return digest.FromString(hashed).String()
}

// rootfs is a config and how its container is refused; no reason: it is not.
type rootfs struct {
	config ocispec.Descriptor
	reason policy.Reason
	words  []string
}

var rootfsCases = map[string]func(s *stores) rootfs{
	"the layers are the config's": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base", "app"))
		return rootfs{config: s.config("app", "base", "app")}
	},
	"the layers are those of another image": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "evil"))
		return rootfs{s.config("app", "base", "app"), policy.UnknownOrigin, []string{chainOf("evil"), chainOf("base", "app")}}
	},
	"there is one layer more": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base", "app", "evil"))
		return rootfs{s.config("app", "base", "app"), policy.UnknownOrigin, nil}
	},
	"there is one layer less": func(s *stores) rootfs {
		s.unpack("first", "base", "app")
		s.prepare("first", "container", chainOf("base"))
		return rootfs{s.config("app", "base", "app"), policy.UnknownOrigin, nil}
	},
	"neither has layers": func(s *stores) rootfs {
		s.prepare("first", "container", "")
		return rootfs{config: s.config("scratch")}
	},
	"the config has no layers and the container has": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "evil"))
		return rootfs{s.config("scratch"), policy.UnknownOrigin, nil}
	},
	"the config has layers and the container none": func(s *stores) rootfs {
		s.prepare("first", "container", "")
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, nil}
	},
	"another snapshotter has it": func(s *stores) rootfs {
		s.prepare("second", "container", s.unpack("second", "base"))
		return rootfs{config: s.config("app", "base")}
	},
	"there is no snapshot": func(s *stores) rootfs {
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, []string{"no snapshotter", "container"}}
	},
	"the snapshot is a view": func(s *stores) rootfs {
		_, err := s.snapshotters["first"].View(s.ctx, "container", s.unpack("first", "base"))
		must(s.tb, err)
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, []string{"kind View"}}
	},
	"the snapshot is committed": func(s *stores) rootfs {
		s.commit("first", "container", s.unpack("first", "base"))
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, []string{"kind Committed"}}
	},
	"a user namespace is mapped by the snapshotter": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base"), mapped())
		return rootfs{config: s.config("app", "base")}
	},
	"a user namespace has a copy with other owners": func(s *stores) rootfs {
		chain := s.unpack("first", "base", "app")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain), mapped())
		return rootfs{config: s.config("app", "base", "app")}
	},
	"a user namespace has a copy of another image": func(s *stores) rootfs {
		chain := s.unpack("first", "evil")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain), mapped())
		return rootfs{s.config("app", "base", "app"), policy.UnknownOrigin, nil}
	},
	"what is called the copy is not committed": func(s *stores) rootfs {
		chain := s.unpack("first", "base", "app")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain), mapped())
		s.kinds = map[string]snapshots.Kind{remapped(chain): snapshots.KindActive}
		return rootfs{s.config("app", "base", "app"), policy.UnknownOrigin, nil}
	},
	"a user namespace and one layer more": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base", "evil"), mapped())
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, nil}
	},
	"a user namespace has a copy and the container has not": func(s *stores) rootfs {
		chain := s.unpack("first", "base")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", s.unpack("first", "evil"), mapped())
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, nil}
	},
	"what is called the copy was made from another image": func(s *stores) rootfs {
		s.commit("first", remapped(chainOf("base")), s.unpack("first", "evil"))
		s.prepare("first", "container", remapped(chainOf("base")), mapped())
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, nil}
	},
	"a copy with other owners but no user namespace": func(s *stores) rootfs {
		chain := s.unpack("first", "base")
		s.commit("first", remapped(chain), chain)
		s.prepare("first", "container", remapped(chain))
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, nil}
	},
	"the mappings are not mappings": func(s *stores) rootfs {
		labels := snapshots.WithLabels(map[string]string{snapshots.LabelSnapshotUIDMapping: "0:1"})
		s.prepare("first", "container", s.unpack("first", "evil"), labels)
		return rootfs{s.config("app", "base"), policy.UnknownOrigin, nil}
	},
	"the config is gone": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base"))
		c := s.config("app", "base")
		s.discard(c.Digest)
		return rootfs{c, policy.Unavailable, []string{c.Digest.String(), "is not in containerd's content store"}}
	},
	"the config is corrupt": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base"))
		c := s.config("app", "base")
		s.corrupt(c.Digest)
		return rootfs{c, policy.Unavailable, []string{c.Digest.String(), "does not have that digest"}}
	},
	"the config is too large": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base"))
		c := s.config("app", "base")
		s.sizes[c.Digest] = 5 << 20
		return rootfs{c, policy.Unavailable, []string{c.Digest.String(), "5242880"}}
	},
	"the config is empty": func(s *stores) rootfs {
		s.prepare("first", "container", "")
		return rootfs{s.blob(ocispec.MediaTypeImageConfig, nil), policy.Unavailable, []string{"not an image config"}}
	},
	"the config is a layer": func(s *stores) rootfs {
		s.prepare("first", "container", "")
		return rootfs{s.blob(ocispec.MediaTypeImageLayer, []byte("tar")), policy.Unavailable, []string{"not an image config"}}
	},
	"a snapshotter has been taken out of containerd": func(s *stores) rootfs {
		s.prepare("second", "container", s.unpack("second", "base"))
		s.fail(func(call, argument string) error {
			if call == "Stat" && strings.HasPrefix(argument, "first ") {
				return errdefs.ErrInvalidArgument
			}
			return nil
		})
		return rootfs{config: s.config("app", "base")}
	},
}

// rootfsFailures are the cases in which a call to containerd fails.
var rootfsFailures = map[string]func(s *stores) rootfs{
	"containerd fails": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base"))
		s.fail(func(call, _ string) error {
			if call == "Stat" {
				return errors.New("the disk is on fire")
			}
			return nil
		})
		return rootfs{s.config("app", "base"), policy.Unavailable, []string{"the disk is on fire"}}
	},
	"the snapshotters cannot be listed": func(s *stores) rootfs {
		s.prepare("first", "container", s.unpack("first", "base"))
		s.fail(func(call, _ string) error {
			if call == "Plugins" {
				return errdefs.ErrUnavailable
			}
			return nil
		})
		return rootfs{s.config("app", "base"), policy.Unavailable, []string{"snapshotters"}}
	},
}

// container is one that containerd reports a config digest of.
func container(id string, config ocispec.Descriptor) policy.Container {
	return policy.Container{ID: id, Config: config.Digest}
}

// verified checks that a container's root filesystem is found to be the config's.
func verified(tb testing.TB, o *origin.Containerd, id string, config ocispec.Descriptor) {
	tb.Helper()
	configs, err := o.Content(tb.Context(), container(id, config))
	must(tb, err)
	same(tb, configs, []digest.Digest{config.Digest})
}

func TestRootfs(t *testing.T) {
	cases := maps.Clone(rootfsCases)
	maps.Copy(cases, rootfsFailures)
	for name, build := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			r := build(s)
			configs, err := s.origin().Content(t.Context(), container("container", r.config))
			if r.reason == "" {
				must(t, err)
				same(t, configs, []digest.Digest{r.config.Digest})
				return
			}
			refusal(t, err, r.reason, r.words...)
			same(t, configs, []digest.Digest(nil))
		})
	}
}

func TestRootfsOfAKnownConfigIsOneCall(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	// The last snapshotter has it.
	s.prepare("second", "container", s.unpack("second", "layer of app"))
	s.prepare("second", "another", chainOf("layer of app"))
	o := s.following()
	verified(t, o, "container", c)

	before := s.calls.Load()
	verified(t, o, "another", c)
	if calls := s.calls.Load() - before; calls != 1 {
		t.Errorf("%d calls to containerd, want 1", calls)
	}
}

func TestRootfsFindsASnapshotterThatCameLater(t *testing.T) {
	s := newStores(t)
	c := s.config("app", "base")
	s.prepare("second", "one", s.unpack("second", "base"))
	s.plugins = []string{"second"}
	o := s.origin()
	verified(t, o, "one", c)

	s.plugins = []string{"first", "second"}
	s.prepare("first", "two", s.unpack("first", "base"))
	verified(t, o, "two", c)
	verified(t, o, "one", c)
}

// TestRemoteSnapshotsProveNothing: their files are fetched on demand.
func TestRemoteSnapshotsProveNothing(t *testing.T) {
	s := newStores(t)
	c := s.config("app", "base")
	s.prepare("first", "container", s.unpack("first", "base"))
	s.prepare("second", "local", s.unpack("second", "base"))
	s.remote = "first"
	o := s.origin()
	allowed := false
	o.AllowRemoteSnapshotters(func() bool { return allowed })
	_, err := o.Content(t.Context(), container("container", c))
	refusal(t, err, policy.UnknownOrigin, "the snapshotter first", "is remote")
	verified(t, o, "local", c)
	allowed = true
	verified(t, o, "container", c)
}

func TestSnapshottersAreListedAgainAfterALostStream(t *testing.T) {
	s := newStores(t)
	c := s.config("app", "base")
	s.prepare("first", "container", s.unpack("first", "base"))
	o := s.following()
	verified(t, o, "container", c)
	// The containerd that comes back has another configuration.
	s.remote = "first"
	s.loseEvents()
	eventually(t, "the snapshotter to be remote", func() bool {
		_, err := o.Content(t.Context(), container("container", c))
		return err != nil && strings.Contains(err.Error(), "is remote")
	})
}

func TestRootfsDoesNotOutliveItsContext(t *testing.T) {
	s := newStores(t)
	c := s.config("app", "base")
	s.prepare("first", "container", s.unpack("first", "base"))
	o := s.origin()
	verified(t, o, "container", c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.fail(func(string, string) error { return ctx.Err() })
	_, err := o.Content(ctx, container("container", c))
	refusal(t, err, policy.Unavailable, "canceled")
}

func TestRemappedKeyIsContainerds(t *testing.T) {
	cases := map[string]struct{ uids, gids, json string }{
		"one mapping each": {
			"0:65536:65536", "0:65536:65536",
			`{"Parent":"p","IDMap":{"UidMap":[{"containerID":0,"hostID":65536,"size":65536}],` +
				`"GidMap":[{"containerID":0,"hostID":65536,"size":65536}]}}`,
		},
		"mappings are sorted by what they map": {
			"10:1:1,0:2:10", "0:3:1",
			`{"Parent":"p","IDMap":{"UidMap":[{"containerID":0,"hostID":2,"size":10},{"containerID":10,"hostID":1,"size":1}],` +
				`"GidMap":[{"containerID":0,"hostID":3,"size":1}]}}`,
		},
		"only users": {
			"0:1:1", "", `{"Parent":"p","IDMap":{"UidMap":[{"containerID":0,"hostID":1,"size":1}],"GidMap":null}}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := origin.RemappedKey("p", map[string]string{
				snapshots.LabelSnapshotUIDMapping: c.uids, snapshots.LabelSnapshotGIDMapping: c.gids,
			})
			must(t, err)
			same(t, got, digest.FromString(c.json).String())
		})
	}
}
