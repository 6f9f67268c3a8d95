//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign/countersign/integration/node"
)

// offered is an image, and how a container of it is requested.
type offered struct {
	name, namespace string
	pulled          node.Pushed
	// written is the reference in the pod; empty: the image's own.
	written string
	signed  bool
}

// makeTrials pushes and pulls the images of which containers are requested: those that are signed, and attacks.
func (l *lab) makeTrials(ctx context.Context) error {
	all, err := l.offer(ctx)
	if err != nil {
		return err
	}
	for _, of := range all {
		if of.written == "" {
			of.written = of.pulled.Reference
		}
		request, err := l.request(ctx, of.namespace, of.pulled, of.written)
		if err != nil {
			return fmt.Errorf("%s: %w", of.name, err)
		}
		l.trials = append(l.trials, &trial{name: of.name, signed: of.signed, request: request})
	}
	return l.settle(ctx)
}

// offer pushes the images.
func (l *lab) offer(ctx context.Context) ([]offered, error) {
	var failures []error
	push := func(repository, marker string, key *node.Key) node.Pushed {
		pushed, err := l.push(ctx, repository, marker, key)
		failures = append(failures, err)
		return pushed
	}
	l.signed = push("shop/app", "signed", &l.key)
	unsigned, misnamed := push("evil/unsigned", "unsigned", nil), push("evil/misnamed", "misnamed", nil)
	failures = append(failures, l.tools.Sign(ctx, node.Signing{
		Image: misnamed, Key: l.key, OldFormat: true, Identity: l.signed.Repository,
	}))
	borrowed, err := l.pushBorrowed(ctx)
	failures = append(failures, err)
	all := []offered{
		{"a signed image", strict, l.signed, "", true},
		{"an unsigned image", strict, unsigned, "", false},
		{"another signed image", strict, push("shop/second", "second", &l.key), "", true},
		{"an image that another key signed", strict, push("evil/other", "by another key", &l.otherKey), "", false},
		{"a signed image, by its ID", strict, l.signed, l.signed.Config.String(), true},
		{"an unsigned image under the name of a signed one", strict, unsigned, l.signed.Reference, false},
		{"a signed image under the system policy", system, l.signed, "", true},
		{"an unsigned image under the system policy", system, unsigned, "", false},
		{"an image with the layers of a signed one", strict, borrowed, l.signed.Reference, false},
		{"a signed image from another repository", strict, push("evil/moved", "signed", nil), "", false},
		{"a signature that names another repository", strict, misnamed, "", false},
		{"a signed image where another key is required", other, l.signed, "", false},
	}
	return all, errors.Join(failures...)
}

// pushBorrowed pushes an image with the layers of the signed one, and another entrypoint.
func (l *lab) pushBorrowed(ctx context.Context) (node.Pushed, error) {
	image, err := l.tools.Image("signed")
	if err != nil {
		return node.Pushed{}, err
	}
	borrowed, err := borrow(image)
	if err != nil {
		return node.Pushed{}, err
	}
	return l.registry.Push(ctx, "evil/borrowed:v1", borrowed)
}

// settle waits until every try has the right answer: at first, the signatures have to be fetched.
func (l *lab) settle(ctx context.Context) error {
	for _, of := range l.trials {
		err := node.Until(ctx, of.name, func(ctx context.Context) error {
			got := l.requests.try(ctx, of)
			if got.answer == none || got.isWrong() || got.isPending() {
				return fmt.Errorf("it is admitted: %v: %w", got.answer == admitted, got.err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fresh pushes a signed image that was never seen before, pulls it, and returns what requests a container of it.
func (l *lab) fresh(ctx context.Context) (*trial, error) {
	l.images++
	name := fmt.Sprintf("fresh-%d", l.images)
	pushed, err := l.push(ctx, "shop/"+name, name, &l.key)
	if err != nil {
		return nil, err
	}
	request, err := l.request(ctx, strict, pushed, pushed.Reference)
	return &trial{name: "a new signed image", signed: true, request: request}, err
}
