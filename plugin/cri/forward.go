package cri

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/policy"
)

// unaryMethods are the methods that have one request and one answer, as this version of the CRI defines them. A later
// method is forwarded as a stream, which serves every kind of method.
func unaryMethods() map[string]bool {
	unary := map[string]bool{}
	for _, method := range runtime.ImageService_ServiceDesc.Methods {
		unary[service+method.MethodName] = true
	}
	return unary
}

// forwardUnary forwards a call with one request and one answer. It needs fewer system calls and no goroutine, so the
// kubelet's frequent calls, ImageStatus above all, take half the time of [Proxy.forwardStream].
func (p *Proxy) forwardUnary(method string, kubelet grpc.ServerStream, request *frame) error {
	var header, trailer metadata.MD
	answer := &frame{}
	err := p.containerd.Invoke(outgoing(kubelet.Context()), method, request, answer,
		grpc.Header(&header), grpc.Trailer(&trailer))
	kubelet.SetTrailer(trailer)
	if err := setHeader(kubelet, header); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return kubelet.SendMsg(answer)
}

// outgoing returns the context of the call to containerd, with the header of the kubelet. gRPC drops the reserved
// names and sets its own.
func outgoing(ctx context.Context) context.Context {
	if header, ok := metadata.FromIncomingContext(ctx); ok {
		return metadata.NewOutgoingContext(ctx, header)
	}
	return ctx
}

func setHeader(kubelet grpc.ServerStream, header metadata.MD) error {
	if len(header) == 0 {
		return nil
	}
	return kubelet.SetHeader(header)
}

// forwardStream forwards a call of any kind.
func (p *Proxy) forwardStream(method string, kubelet grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(outgoing(kubelet.Context()))
	defer cancel()
	containerd, err := p.containerd.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		err := policy.Guard("the requests of a CRI call", p.config.Panicked, func() error {
			return sendAll(containerd, kubelet)
		})
		if err != nil {
			failed <- err
			cancel()
		}
	}()
	err = receiveAll(kubelet, containerd)
	kubelet.SetTrailer(containerd.Trailer())
	select {
	case sending := <-failed:
		// Report the error of the request, not the cancellation that it caused.
		return sending
	default:
		return err
	}
}

// sendAll sends the kubelet's messages to containerd.
func sendAll(containerd grpc.ClientStream, kubelet grpc.ServerStream) error {
	for {
		message := &frame{}
		if err := kubelet.RecvMsg(message); errors.Is(err, io.EOF) {
			return containerd.CloseSend()
		} else if err != nil {
			return err
		}
		if err := containerd.SendMsg(message); err != nil {
			return ignoreEOF(err)
		}
	}
}

// ignoreEOF returns nil for io.EOF: a client stream returns it from SendMsg if the call has ended, and the status from
// RecvMsg.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// receiveAll sends containerd's header and messages to the kubelet, and returns the status with which containerd ended
// the call.
func receiveAll(kubelet grpc.ServerStream, containerd grpc.ClientStream) error {
	header, err := containerd.Header()
	if err != nil {
		return err
	}
	if err := setHeader(kubelet, header); err != nil {
		return err
	}
	for {
		message := &frame{}
		if err := containerd.RecvMsg(message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := kubelet.SendMsg(message); err != nil {
			return err
		}
	}
}
