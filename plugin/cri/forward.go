package cri

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/countersign/countersign/policy"
)

// forward forwards one call to containerd, and returns its answer. first is a message that has already been received,
// or nil.
func (p *Proxy) forward(method string, kubelet grpc.ServerStream, first *frame) error {
	ctx, cancel := context.WithCancel(kubelet.Context())
	defer cancel()
	if header, ok := metadata.FromIncomingContext(ctx); ok {
		// gRPC drops the reserved names and sets its own.
		ctx = metadata.NewOutgoingContext(ctx, header)
	}
	// A call with two streams serves every kind of method.
	containerd, err := p.containerd.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		if first != nil {
			first.data.Free()
		}
		return err
	}
	failed := make(chan error, 1)
	go func() {
		err := policy.Guard("the requests of a CRI call", p.config.Panicked, func() error {
			return sendAll(containerd, kubelet, first)
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
func sendAll(containerd grpc.ClientStream, kubelet grpc.ServerStream, first *frame) error {
	if first != nil {
		if err := containerd.SendMsg(first); err != nil {
			return ignoreEOF(err)
		}
	}
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
	if len(header) > 0 {
		if err := kubelet.SetHeader(header); err != nil {
			return err
		}
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
