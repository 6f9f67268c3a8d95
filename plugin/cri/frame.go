package cri

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is one message as it was received.
type frame struct{ data mem.BufferSlice }

// rawCodec forwards messages without decoding them. It replaces the protobuf codec and has its name, so the content
// type stays application/grpc.
type rawCodec struct{}

// Name implements encoding.CodecV2.
func (rawCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2. The caller frees the buffers after it has sent them.
func (rawCodec) Marshal(message any) (mem.BufferSlice, error) {
	sent, ok := message.(*frame)
	if !ok {
		return nil, fmt.Errorf("sending a message of type %T, which is not a frame", message)
	}
	return sent.data, nil
}

// Unmarshal implements encoding.CodecV2. The caller frees its reference to the buffers when Unmarshal returns.
func (rawCodec) Unmarshal(data mem.BufferSlice, message any) error {
	received, ok := message.(*frame)
	if !ok {
		return fmt.Errorf("receiving a message of type %T, which is not a frame", message)
	}
	data.Ref()
	received.data = data
	return nil
}
