package cri_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/countersign/countersign/plugin/cri"
)

// pulling starts a pull that containerd answers when the function finish is called. result receives its error.
func pulling(t *testing.T, containerd *runtimeServer, proxy *served) (finish func(), result <-chan error) {
	t.Helper()
	started, finished, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	containerd.mu.Lock()
	containerd.answer = func(method string, stream grpc.ServerStream) error {
		if strings.HasSuffix(method, "/PullImage") {
			close(started)
			<-finished
		}
		return echo(method, stream)
	}
	containerd.mu.Unlock()
	go func() {
		_, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/PullImage", []byte("\x0a\x00"))
		ended <- err
	}()
	<-started
	return func() { close(finished) }, ended
}

func TestAPullInProgressIsServedToItsEnd(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	finish, result := pulling(t, containerd, proxy)
	proxy.stop()
	// Until the pull ends, the kubelet's other calls are answered.
	for range 10 {
		if _, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/ImageStatus", nil); err != nil {
			t.Fatalf("while a pull is awaited: %v", err)
		}
	}
	select {
	case <-proxy.ended:
		t.Fatalf("stopped during a pull: %v", proxy.err)
	default:
	}
	finish()
	if err := <-result; err != nil {
		t.Errorf("the pull failed: %v", err)
	}
	if <-proxy.ended; proxy.err != nil {
		t.Error(proxy.err)
	}
	if !strings.Contains(proxy.log.String(), "waiting for image pulls to end") {
		t.Errorf("log: %s", proxy.log)
	}
}

func TestAfterTheDrainTimeoutThePullInProgressStillEnds(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, func(config *cri.Config) { config.DrainTimeout = time.Nanosecond })
	finish, result := pulling(t, containerd, proxy)
	proxy.stop()
	// A call fails once no connection is accepted any more.
	for {
		if _, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/ImageStatus", nil); err != nil {
			break
		}
	}
	finish()
	if err := <-result; err != nil {
		t.Errorf("the pull failed: %v", err)
	}
	<-proxy.ended
}

func TestWithoutAPullServeEndsAtOnce(t *testing.T) {
	containerd := newRuntime(t)
	proxy := serve(t, containerd.path, nil)
	if _, err := proxy.raw(t.Context(), "/runtime.v1.ImageService/PullImage", nil); err != nil {
		t.Fatal(err)
	}
	proxy.stop()
	if <-proxy.ended; proxy.err != nil {
		t.Error(proxy.err)
	}
}
