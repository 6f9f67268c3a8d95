package signature

import (
	"context"

	"go.podman.io/image/v5/types"
)

// single is an image with one of its signatures.
//
// containers/image looks for the method UntrustedSignatures, whose result type no other module can name; a type
// parameter can stand for it.
type single[S any] struct {
	*image

	signature []S
}

// UntrustedSignatures returns the signature.
func (s *single[S]) UntrustedSignatures(context.Context) ([]S, error) { return s.signature, nil }

// Signatures returns no simple signing signatures.
func (s *single[S]) Signatures(context.Context) ([][]byte, error) { return nil, nil }

// singles returns a function that returns the image with only the signature of that number, counted from 0.
func singles[S any](i *image, all []S) func(number int) types.UnparsedImage {
	return func(number int) types.UnparsedImage { return &single[S]{i, all[number : number+1 : number+1]} }
}
