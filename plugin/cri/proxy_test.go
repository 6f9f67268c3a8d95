package cri_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/plugin/cri"
	"github.com/countersign/countersign/policy"
)

// bytesCodec sends and receives messages as bytes, at both ends of these tests.
type bytesCodec struct{}

func (bytesCodec) Name() string                        { return "proto" }
func (bytesCodec) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, into any) error {
	*into.(*[]byte) = bytes.Clone(data)
	return nil
}

// runtimeServer replaces containerd: it serves any method by answer, which tests replace. The real containerd answers
// in integration/.
type runtimeServer struct {
	path   string
	server *grpc.Server

	mu     sync.Mutex
	called []string
	answer func(method string, stream grpc.ServerStream) error
}

func newRuntime(t testing.TB) *runtimeServer {
	t.Helper()
	r := &runtimeServer{path: filepath.Join(t.TempDir(), "containerd.sock"), answer: echo}
	r.start(t)
	return r
}

// start listens, for the first time or again.
func (r *runtimeServer) start(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("unix", r.path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.ForceServerCodec(bytesCodec{}), grpc.UnknownServiceHandler(r.handle),
		grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20))
	r.server = server
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
}

func (r *runtimeServer) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	r.mu.Lock()
	r.called = append(r.called, method)
	answer := r.answer
	r.mu.Unlock()
	return answer(method, stream)
}

func (r *runtimeServer) calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.called)
}

// echo sends each message back, with the incoming header as header, and ends with a trailer.
func echo(_ string, stream grpc.ServerStream) error {
	if header, ok := metadata.FromIncomingContext(stream.Context()); ok {
		if err := stream.SetHeader(metadata.Pairs("heard-bin", strings.Join(header["said-bin"], ","))); err != nil {
			return err
		}
	}
	stream.SetTrailer(metadata.Pairs("trailing", "last", "trailing-bin", "\x00\xff"))
	for {
		var message []byte
		if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

// served is a proxy in front of a runtime, and a client of it.
type served struct {
	client *grpc.ClientConn
	// stop ends the proxy's context, and ended is closed when Serve has returned, with err.
	stop  func()
	ended chan struct{}
	err   error
	log   *bytes.Buffer
}

func serve(t *testing.T, path string, change func(*cri.Config)) *served {
	t.Helper()
	s := &served{ended: make(chan struct{}), log: &bytes.Buffer{}}
	config := cri.Config{
		Containerd:   path,
		Decide:       func(context.Context, cri.Pull) string { return "" },
		Timeout:      func() time.Duration { return time.Hour },
		DrainTimeout: time.Hour,
		Logger:       slog.New(slog.NewTextHandler(s.log, nil)),
	}
	if change != nil {
		change(&config)
	}
	proxy, err := cri.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	go func() { defer close(s.ended); s.err = proxy.Serve(ctx, listener) }()
	s.client, err = grpc.NewClient("passthrough:proxy",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = s.client.Close()
		<-s.ended
		_ = proxy.Close()
	})
	return s
}

// raw makes a unary call with bytes.
func (s *served) raw(ctx context.Context, method string, message []byte, options ...grpc.CallOption) ([]byte, error) {
	var reply []byte
	err := s.client.Invoke(ctx, method, &message, &reply, append(options, grpc.ForceCodec(bytesCodec{}))...)
	return reply, err
}

// methods are all methods of the ImageService, and one of a later version.
func methods() (all []string) {
	for _, method := range runtime.ImageService_ServiceDesc.Methods {
		all = append(all, method.MethodName)
	}
	for _, stream := range runtime.ImageService_ServiceDesc.Streams {
		all = append(all, stream.StreamName)
	}
	return append(all, "NotYetInvented")
}

func TestEveryMethodPassesByteForByte(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	messages := map[string][]byte{
		"empty": {}, "not protobuf": []byte("\xff\xff\xff"), "unknown fields": []byte("\xfa\x7f\x03abc"),
	}
	// As large as the kubelet accepts (k8s.io/cri-client, maxMsgSize).
	large := bytes.Repeat([]byte("\x0a\x00"), 8<<20)
	for _, method := range []string{"PullImage", "ListImages"} {
		got, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/"+method, large)
		if err != nil || !bytes.Equal(got, large) {
			t.Errorf("%s: of 16 MiB, %d bytes came back: %v", method, len(got), err)
		}
	}
	for _, method := range methods() {
		for name, message := range messages {
			t.Run(method+"/"+name, func(t *testing.T) {
				var header, trailer metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), "said-bin", "\x01\x02")
				got, err := proxy.raw(ctx, "/runtime.v1.ImageService/"+method, message,
					grpc.Header(&header), grpc.Trailer(&trailer))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, message) {
					t.Errorf("%d bytes came back changed: %d", len(message), len(got))
				}
				if heard := header["heard-bin"]; !slices.Equal(heard, []string{"\x01\x02"}) {
					t.Errorf("header: %q", heard)
				}
				if diff := cmp.Diff([]string{"last"}, trailer["trailing"]); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff([]string{"\x00\xff"}, trailer["trailing-bin"]); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestEveryCodeAndItsDetailsPass(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		want, err := status.New(code, "as containerd says: ümlaut\n").WithDetails(durationpb.New(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		containerd.mu.Lock()
		containerd.answer = func(string, grpc.ServerStream) error { return want.Err() }
		containerd.mu.Unlock()
		for _, method := range []string{"ImageFsInfo", "PullImage", "StreamImages"} {
			_, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/"+method, nil)
			if got := status.Convert(err); got.String() != want.String() || len(got.Details()) != 1 {
				t.Errorf("%s: %v with %d details, want %v", method, got, len(got.Details()), want)
			}
		}
	}
}

func TestStreamsPassInBothDirections(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := proxy.client.NewStream(t.Context(), description, "/runtime.v1.ImageService/Talk",
		grpc.ForceCodec(bytesCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		said, heard := fmt.Appendf(nil, "message %d", i), []byte(nil)
		if err := errors.Join(stream.SendMsg(&said), stream.RecvMsg(&heard)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(said, heard) {
			t.Fatalf("said %q, heard %q", said, heard)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var message []byte
	if err := stream.RecvMsg(&message); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the stream is %v", err)
	}
}

func TestNothingButTheImageServiceIsServed(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	for _, method := range []string{
		"/runtime.v1.RuntimeService/Version", "/runtime.v1.RuntimeService/RemovePodSandbox",
		"/runtime.v1alpha2.ImageService/PullImage", "/runtime.v1.ImageServiceX/PullImage",
		"/containerd.services.images.v1.Images/List", "/grpc.health.v1.Health/Check",
	} {
		_, err := proxy.raw(t.Context(), method, nil)
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v, want Unimplemented", method, err)
		}
	}
	if called := containerd.calls(); len(called) != 0 {
		t.Errorf("containerd was called: %v", called)
	}
}

func TestACallThatTheKubeletGivesUpEndsInContainerd(t *testing.T) {
	containerd := newRuntime(t)
	started, ended := make(chan struct{}), make(chan error, 1)
	containerd.answer = func(_ string, stream grpc.ServerStream) error {
		close(started)
		<-stream.Context().Done()
		ended <- stream.Context().Err()
		return nil
	}
	proxy := serve(t, containerd.path, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	if _, err := proxy.raw(ctx, "/runtime.v1.ImageService/PullImage", nil); status.Code(err) != codes.Canceled {
		t.Errorf("the kubelet receives %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("containerd's call ended with %v", err)
	}
}

func TestAnAbsentContainerdIsUnavailableUntilItIsBack(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	call := func() error {
		_, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/ImageFsInfo", nil)
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	containerd.server.Stop()
	if err := call(); status.Code(err) != codes.Unavailable {
		t.Errorf("without containerd: %v, want Unavailable", err)
	}
	containerd.start(t)
	for err := call(); err != nil; err = call() {
		if status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
}

func TestAPanicOfADecisionPassesThePullThrough(t *testing.T) {
	containerd := newRuntime(t)
	panicked := 0
	proxy := serve(t, containerd.path, func(config *cri.Config) {
		config.Decide = func(context.Context, cri.Pull) string { panic("a bug") }
		config.Panicked = func(*policy.PanicError) { panicked++ }
	})
	if _, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/PullImage", nil); err != nil {
		t.Error(err)
	}
	if panicked != 1 {
		t.Errorf("%d panics were reported", panicked)
	}
}
