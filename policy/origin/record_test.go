package origin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// recorded is what containerd 2.3.7 stores of a container (shortened).
const recorded = `{"Version":"v1","Metadata":{"ID":"container","Name":"app_pod_prod_uid_0","SandboxID":"sandbox",` +
	`"Config":{"metadata":{"name":"app"},"image":{"image":"CONFIG","user_specified_image":"example.com/app:v1"},` +
	`"mounts":[{"container_path":"/etc/hosts","host_path":"/var/lib/kubelet/hosts"},` +
	`{"container_path":"/data","image":{"image":"VOLUME","user_specified_image":"example.com/data:v1"}},` +
	`{"container_path":"/named","image":{"image":"example.com/data:v1"}},{"container_path":"/empty","image":{}}],` +
	`"labels":{"io.kubernetes.pod.namespace":"prod"}},"ImageRef":"CONFIG","StopSignal":"SIGTERM"}}`

func TestRecord(t *testing.T) {
	config, volume := digest.FromString("config"), digest.FromString("volume")
	whole := strings.NewReplacer("CONFIG", config.String(), "VOLUME", volume.String()).Replace(recorded)
	tests := map[string]struct {
		extension string
		want      policy.Record
		words     []string
	}{
		"of an image and its volumes": {whole, policy.Record{Config: config, Volumes: []policy.RecordedVolume{
			{Destination: "/data", Config: volume}, {Destination: "/named"},
		}}, nil},
		"without volumes": {
			`{"Version":"v1","Metadata":{"Config":null,"ImageRef":"` + config.String() + `"}}`,
			policy.Record{Config: config},
			nil,
		},
		"of another version": {
			strings.Replace(whole, `"v1"`, `"v2"`, 1), policy.Record{}, []string{"container", `"v2" and not v1`},
		},
		"without an image":  {`{"Version":"v1","Metadata":{}}`, policy.Record{}, []string{`image ""`}},
		"of a named image":  {`{"Version":"v1","Metadata":{"ImageRef":"app:v1"}}`, policy.Record{}, []string{`"app:v1"`}},
		"that is cut off":   {whole[:100], policy.Record{}, []string{"unexpected end"}},
		"of another client": {"", policy.Record{}, []string{"lacks io.cri-containerd.container.metadata"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			s.created("container", test.extension)
			got, err := s.origin().Record(t.Context(), "container")
			same(t, got, test.want)
			if test.words != nil {
				refusal(t, err, policy.Internal, test.words...)
				return
			}
			must(t, err)
		})
	}
}

// created stores the record of a container with that extension of the CRI plugin.
func (s *stores) created(id, extension string) {
	s.tb.Helper()
	container := containers.Container{
		ID: id, Runtime: containers.RuntimeInfo{Name: "io.containerd.runc.v2"}, Spec: rawExtension("{}"),
		Extensions: map[string]typeurl.Any{},
	}
	if extension != "" {
		container.Extensions["io.cri-containerd.container.metadata"] = rawExtension(extension)
	}
	_, err := s.containers.Create(s.ctx, container)
	must(s.tb, err)
}

// rawExtension is JSON under the type URL that the CRI plugin registers.
type rawExtension string

// GetTypeUrl implements [typeurl.Any].
func (rawExtension) GetTypeUrl() string { //nolint:revive // It is the name in protobuf.
	return "github.com/containerd/cri/pkg/store/container/Metadata"
}

// GetValue implements [typeurl.Any].
func (e rawExtension) GetValue() []byte { return []byte(e) }

func TestRecordOfNoContainer(t *testing.T) {
	s := newStores(t)
	if _, err := s.origin().Record(t.Context(), "gone"); !errors.Is(err, policy.ErrNoContainer) {
		t.Errorf("got %v, want that there is no such container", err)
	}
}

func TestRecordWhileContainerdFails(t *testing.T) {
	s := newStores(t)
	s.fail(func(call, _ string) error {
		if call == "Container" {
			return errors.New("the disk is on fire")
		}
		return nil
	})
	_, err := s.origin().Record(t.Context(), "container")
	refusal(t, err, policy.Unavailable, "the disk is on fire")
}
