package nri_test

import (
	"context"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

const config = digestOf("sha256:1111111111111111111111111111111111111111111111111111111111111111")

func samplePod() *api.PodSandbox {
	return &api.PodSandbox{Id: "pod1", Name: "app-0", Uid: "6f1c", Namespace: "prod"}
}

func sampleContainer() *api.Container {
	return &api.Container{
		Id: "c1", PodSandboxId: "pod1", Name: "app",
		Annotations: map[string]string{"io.kubernetes.cri.image-name": "registry.example/app:v1"},
		Image: &api.Image{
			// Both name an alias that somebody else chose, and neither proves what runs.
			Name:         "aaa.example/evil:1",
			Digest:       "sha256:2222222222222222222222222222222222222222222222222222222222222222",
			ConfigDigest: config.String(),
		},
	}
}

func sample() nri.ContainerInfo { return nri.NewContainerInfo(samplePod(), sampleContainer()) }

func TestNewContainerInfo(t *testing.T) {
	full := nri.ContainerInfo{
		Namespace: "prod", Pod: "app-0", PodUID: "6f1c", Sandbox: "pod1", ID: "c1", Name: "app",
		Reference: "registry.example/app:v1", Config: config, FoundBy: policy.FoundByConfig,
	}
	with := func(change func(*nri.ContainerInfo)) nri.ContainerInfo {
		changed := full
		change(&changed)
		return changed
	}
	tests := map[string]struct {
		change func(*api.PodSandbox, *api.Container) (*api.PodSandbox, *api.Container)
		want   nri.ContainerInfo
	}{
		"everything the decision needs, and no alias": {want: full},
		"no pod": {
			change: func(_ *api.PodSandbox, c *api.Container) (*api.PodSandbox, *api.Container) { return nil, c },
			want: nri.ContainerInfo{
				ID: "c1", Name: "app", Reference: "registry.example/app:v1", Config: config, FoundBy: policy.FoundByConfig,
			},
		},
		"no container": {
			change: func(p *api.PodSandbox, _ *api.Container) (*api.PodSandbox, *api.Container) { return p, nil },
			want:   nri.ContainerInfo{Namespace: "prod", Pod: "app-0", PodUID: "6f1c", Sandbox: "pod1"},
		},
		"no image": {
			change: func(p *api.PodSandbox, c *api.Container) (*api.PodSandbox, *api.Container) {
				c.Image = nil
				return p, c
			},
			want: with(func(c *nri.ContainerInfo) { c.Config, c.FoundBy = "", "" }),
		},
		"no annotation: the alias is not used instead": {
			change: func(p *api.PodSandbox, c *api.Container) (*api.PodSandbox, *api.Container) {
				c.Annotations = nil
				return p, c
			},
			want: with(func(c *nri.ContainerInfo) { c.Reference = "" }),
		},
		"a pod's annotations name no image": {
			change: func(p *api.PodSandbox, c *api.Container) (*api.PodSandbox, *api.Container) {
				p.Annotations = map[string]string{"io.kubernetes.cri.image-name": "registry.example/signed:v1"}
				return p, c
			},
			want: full,
		},
		"labels, which are those of the image too": {
			change: func(p *api.PodSandbox, c *api.Container) (*api.PodSandbox, *api.Container) {
				c.Labels = map[string]string{"org.opencontainers.image.revision": "1"}
				return p, c
			},
			want: with(func(c *nri.ContainerInfo) {
				c.Labels = map[string]string{"org.opencontainers.image.revision": "1"}
			}),
		},
		"mounts": {
			change: func(p *api.PodSandbox, c *api.Container) (*api.PodSandbox, *api.Container) {
				c.Mounts = []*api.Mount{{Source: "/a", Destination: "/b", Type: "bind"}, nil}
				return p, c
			},
			want: with(func(c *nri.ContainerInfo) { c.Mounts = []nri.Mount{{Source: "/a", Destination: "/b"}, {}} }),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod, container := samplePod(), sampleContainer()
			if test.change != nil {
				pod, container = test.change(pod, container)
			}
			if diff := cmp.Diff(test.want, nri.NewContainerInfo(pod, container)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreationThatCannotBeJudged(t *testing.T) {
	tests := map[string]func(*nri.ContainerInfo){
		"nothing is known":                 func(c *nri.ContainerInfo) { *c = nri.ContainerInfo{} },
		"no pod":                           func(c *nri.ContainerInfo) { c.Sandbox, c.Namespace = "", "" },
		"no sandbox":                       func(c *nri.ContainerInfo) { c.Sandbox = "" },
		"no container ID":                  func(c *nri.ContainerInfo) { c.ID = "" },
		"no namespace":                     func(c *nri.ContainerInfo) { c.Namespace = "" },
		"a namespace that leaves a folder": func(c *nri.ContainerInfo) { c.Namespace = "../etc" },
		"no reference":                     func(c *nri.ContainerInfo) { c.Reference = "" },
		"no config digest":                 func(c *nri.ContainerInfo) { c.Config, c.FoundBy = "", "" },
		"a config digest that is a prefix": func(c *nri.ContainerInfo) { c.Config = "sha256:1111" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			handler, reported := newHandler()
			handler.Content = func(ctx context.Context, container policy.Container) ([]digestOf, error) {
				t.Error("the root filesystem was looked at")
				return content(ctx, container)
			}
			info := sample()
			change(&info)
			if err := handler.Validate(t.Context(), info); err == nil {
				t.Error("admitted")
			}
			if got := reported.list()[0].Verdict.Reason; got != policy.BadRequest {
				t.Errorf("reason = %q, want %q", got, policy.BadRequest)
			}
		})
	}
}
