package cri_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/plugin/internal/cri"
)

// server replaces containerd. It has one pod with one container, which it refuses to remove at first. The real
// containerd does so for a container that has just ended.
type server struct {
	runtime.UnimplementedRuntimeServiceServer

	refusals int
	calls    []string
}

func (s *server) ListPodSandbox(
	context.Context, *runtime.ListPodSandboxRequest,
) (*runtime.ListPodSandboxResponse, error) {
	pod := func(namespace, id string) *runtime.PodSandbox {
		return &runtime.PodSandbox{Id: id, Metadata: &runtime.PodSandboxMetadata{Namespace: namespace}}
	}
	return &runtime.ListPodSandboxResponse{Items: []*runtime.PodSandbox{pod("ours", "pod"), pod("theirs", "other")}}, nil
}

func (s *server) ListContainers(
	context.Context, *runtime.ListContainersRequest,
) (*runtime.ListContainersResponse, error) {
	return &runtime.ListContainersResponse{Containers: []*runtime.Container{{Id: "container"}}}, nil
}

func (s *server) RemoveContainer(
	_ context.Context, request *runtime.RemoveContainerRequest,
) (*runtime.RemoveContainerResponse, error) {
	s.calls = append(s.calls, "remove "+request.GetContainerId())
	if s.refusals > 0 {
		s.refusals--
		return nil, errors.New("container is still running, to stop first")
	}
	return &runtime.RemoveContainerResponse{}, nil
}

func (s *server) StopPodSandbox(
	_ context.Context, request *runtime.StopPodSandboxRequest,
) (*runtime.StopPodSandboxResponse, error) {
	s.calls = append(s.calls, "stop "+request.GetPodSandboxId())
	return &runtime.StopPodSandboxResponse{}, nil
}

func (s *server) RemovePodSandbox(
	_ context.Context, request *runtime.RemovePodSandboxRequest,
) (*runtime.RemovePodSandboxResponse, error) {
	s.calls = append(s.calls, "remove "+request.GetPodSandboxId())
	return &runtime.RemovePodSandboxResponse{}, nil
}

func connect(t *testing.T, s *server) *cri.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "containerd.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := grpc.NewServer()
	runtime.RegisterRuntimeServiceServer(served, s)
	go func() { _ = served.Serve(listener) }()
	t.Cleanup(served.Stop)
	client, err := cri.Connect(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestRemovePods(t *testing.T) {
	for name, test := range map[string]struct {
		refusals int
		want     []string
		fails    bool
	}{
		"containers are removed before their pod, and other namespaces are left alone": {
			0, []string{"remove container", "stop pod", "remove pod"}, false,
		},
		"a container that has just ended is removed later": {
			2, []string{"remove container", "remove container", "remove container", "stop pod", "remove pod"}, false,
		},
		"a container that runs on is reported": {1 << 20, []string{"remove container"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{refusals: test.refusals}
			if err := connect(t, s).RemovePods(t.Context(), "ours"); (err != nil) != test.fails {
				t.Errorf("error: %v", err)
			}
			calls := s.calls
			if test.fails {
				calls = slices.Compact(calls)
			}
			if diff := cmp.Diff(test.want, calls); diff != "" {
				t.Error(diff)
			}
		})
	}
}
