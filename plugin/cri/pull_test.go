package cri_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/plugin/cri"
)

// pulled is a request as the kubelet sends it.
func pulled(auth *runtime.AuthConfig) *runtime.PullImageRequest {
	return &runtime.PullImageRequest{
		Image: &runtime.ImageSpec{
			Image: "registry.example/app:v1", Annotations: map[string]string{"last-applied": "secret"},
		},
		Auth: auth,
		SandboxConfig: &runtime.PodSandboxConfig{
			Metadata: &runtime.PodSandboxMetadata{Name: "web-0", Namespace: "prod", Uid: "1-2", Attempt: 3},
		},
	}
}

func marshal(t *testing.T, message proto.Message) []byte {
	t.Helper()
	encoded, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestWhatAPullSaysOfItself(t *testing.T) {
	pull := func(credentials cri.Credentials) cri.Pull {
		return cri.Pull{Reference: "registry.example/app:v1", Namespace: "prod", Pod: "web-0", Credentials: credentials}
	}
	tests := map[string]struct {
		request *runtime.PullImageRequest
		want    cri.Pull
	}{
		"no credentials": {pulled(nil), pull(cri.Credentials{})},
		"a secret that the kubelet could not use": {pulled(&runtime.AuthConfig{}), pull(cri.Credentials{})},
		"a username and a password": {
			pulled(&runtime.AuthConfig{Username: "u", Password: "p"}), pull(cri.Credentials{Username: "u", Password: "p"}),
		},
		"a username in addition to an identity token": {
			pulled(&runtime.AuthConfig{Username: "u", Password: "p", IdentityToken: "t"}),
			pull(cri.Credentials{Username: "u", Password: "p"}),
		},
		"an identity token": {
			pulled(&runtime.AuthConfig{IdentityToken: "t"}), pull(cri.Credentials{IdentityToken: "t"}),
		},
		"a registry token, which containerd ignores": {
			pulled(&runtime.AuthConfig{RegistryToken: "t"}), pull(cri.Credentials{}),
		},
		"username and password in base64": {
			pulled(&runtime.AuthConfig{Auth: "dTpwOnc="}), pull(cri.Credentials{Username: "u", Password: "p:w"}),
		},
		"base64 without a colon": {pulled(&runtime.AuthConfig{Auth: "dXB3"}), pull(cri.Credentials{})},
		"what is not base64":     {pulled(&runtime.AuthConfig{Auth: "%"}), pull(cri.Credentials{})},
		"a server for the credentials": {
			pulled(&runtime.AuthConfig{Username: "u", Password: "p", ServerAddress: "https://registry.example"}),
			pull(cri.Credentials{Username: "u", Password: "p", Server: "https://registry.example"}),
		},
		"crictl pull": {
			&runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: "registry.example/app:v1"}},
			cri.Pull{Reference: "registry.example/app:v1"},
		},
		"an empty request": {&runtime.PullImageRequest{}, cri.Pull{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []cri.Pull
			containerd := newRuntime(t)
			proxy := serve(t, containerd.path, func(config *cri.Config) {
				config.Decide = func(_ context.Context, pull cri.Pull) string { got = append(got, pull); return "" }
			})
			// A field of a later version of CRI must reach containerd.
			sent := append(marshal(t, test.request), "\xfa\x7f\x03abc"...)
			reply, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/PullImage", sent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]cri.Pull{test.want}, got); diff != "" {
				t.Errorf("decided about (-want +got):\n%s", diff)
			}
			if !bytes.Equal(sent, reply) {
				t.Error("the request reached containerd changed")
			}
		})
	}
}

func TestARefusedPullDoesNotReachContainerd(t *testing.T) {
	const text = "SignatureValidationFailed: registry.example/app:v1: " +
		`the policy of namespace "prod" does not allow it (rejected)`
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, func(config *cri.Config) {
		config.Decide = func(context.Context, cri.Pull) string { return text }
	})
	client := runtime.NewImageServiceClient(proxy.client)
	for _, auth := range []*runtime.AuthConfig{nil, {Username: "u", Password: "1"}, {Username: "u", Password: "2"}} {
		_, err := client.PullImage(t.Context(), pulled(auth))
		if got := status.Convert(err); got.Code() != codes.Unknown || got.Message() != text {
			t.Errorf("refused with %v, want code Unknown and the text as it is", got)
		}
	}
	if called := containerd.calls(); len(called) != 0 {
		t.Errorf("containerd was called: %v", called)
	}
	// Nothing but a pull is decided about.
	if _, err := client.ImageStatus(t.Context(), &runtime.ImageStatusRequest{}); err != nil {
		t.Error(err)
	}
}

func TestARequestThatCannotBeDecodedIsContainerdsToAnswer(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, func(config *cri.Config) {
		config.Decide = func(context.Context, cri.Pull) string { return "refused" }
	})
	if _, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/PullImage", []byte("\xff")); err != nil {
		t.Error(err)
	}
	if called := containerd.calls(); !slices.Equal(called, []string{"/runtime.v1.ImageService/PullImage"}) {
		t.Errorf("containerd was called: %v", called)
	}
}

func TestADecisionHasADeadlineAndThePullHasNone(t *testing.T) {
	containerd := newRuntime(t)
	bounded := make(chan bool, 2)
	containerd.answer = func(method string, stream grpc.ServerStream) error {
		_, has := stream.Context().Deadline()
		bounded <- has
		return echo(method, stream)
	}
	proxy := serve(t, containerd.path, func(config *cri.Config) {
		config.Timeout = func() time.Duration { return 7 * time.Millisecond }
		config.Decide = func(ctx context.Context, _ cri.Pull) string {
			_, has := ctx.Deadline()
			bounded <- has
			<-ctx.Done()
			return ""
		}
	})
	if _, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/PullImage", nil); err != nil {
		t.Fatal(err)
	}
	if decision, pull := <-bounded, <-bounded; !decision || pull {
		t.Errorf("the decision has a deadline: %t, the pull has one: %t", decision, pull)
	}
}

// FuzzDecode: any bytes sent as a PullImageRequest reach containerd unchanged, or are refused.
func FuzzDecode(f *testing.F) {
	for _, auth := range []*runtime.AuthConfig{nil, {Username: "u", Password: "p"}, {Auth: "dTpw"}, {RegistryToken: "t"}} {
		seed, err := proto.Marshal(pulled(auth))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		request := &runtime.PullImageRequest{}
		err := proto.Unmarshal(message, request)
		pull, ok := cri.Decode(message)
		if ok != (err == nil) {
			t.Fatalf("decoded: %t, while protobuf says %v", ok, err)
		}
		if ok && (pull.Reference != request.GetImage().GetImage() ||
			pull.Namespace != request.GetSandboxConfig().GetMetadata().GetNamespace()) {
			t.Fatalf("%+v differs from %v", pull, request)
		}
	})
}
