package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/origin"
)

// evidenceWork fetches and imports: in the daemon for those who ask at its socket, or in a command where there is no
// daemon.
type evidenceWork struct {
	// held returns what images are on this node.
	held func(context.Context) ([]origin.Held, error)
	// asks is a [policy.Decider]'s: is a signature asked for.
	asks func(reference.Named) bool
	// resolve and read are those of [evidence.Fetcher].
	resolve func(context.Context, reference.Named) (digest.Digest, error)
	read    func(context.Context, reference.Named, digest.Digest) (*policy.Image, error)
	// fetch, kept and bring are those of an [evidence.Keeper].
	fetch fetchFunc
	kept  policy.KeptFunc
	bring func(format.Item) (int, error)
}

// fetchRequest asks for evidence of images.
type fetchRequest struct {
	References []string `json:"references,omitempty"`
	// All are those on this node of which some document asks a signature.
	All bool `json:"all,omitempty"`
	// Timeout is how long one image may take, in nanoseconds; nothing: as long as a single try.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// fetchReport says what came of one image.
type fetchReport struct {
	Reference string `json:"reference"`
	// Read is how many referrers were read so far, and Of how many there are, where the image is still being fetched:
	// then another report on it follows, and of what stands below only Done and Total are set.
	Read int `json:"read,omitempty"`
	Of   int `json:"of,omitempty"`
	// Done counts this image and those before it, of Total.
	Done  int `json:"done"`
	Total int `json:"total"`
	// Signatures and Bundles are how many are kept now, of how many Manifests.
	Manifests  int `json:"manifests"`
	Signatures int `json:"signatures"`
	Bundles    int `json:"bundles"`
	// Unasked says that nothing was fetched, for no document asks for a signature.
	Unasked bool `json:"unasked,omitempty"`
	// Error is why something could not be fetched, in one line.
	Error string `json:"error,omitempty"`
}

// fetchTarget is one image to be fetched.
type fetchTarget struct {
	name string
	// held is the image, where it is on this node.
	held *origin.Held
}

// fetchAll fetches evidence of one image after the other, and of the manifests of each at once. It reports on each, and
// ends early only when the context does or the report cannot be made.
func (w *evidenceWork) fetchAll(ctx context.Context, request fetchRequest, report func(fetchReport) error) error {
	targets, err := w.targets(ctx, request)
	if err != nil {
		return err
	}
	for i, target := range targets {
		var reporting sync.Mutex
		progress := func(read, of int) {
			reporting.Lock()
			defer reporting.Unlock()
			// Whether anybody is left to read it shows when the image is done.
			_ = report(fetchReport{Reference: target.name, Read: read, Of: of, Done: i + 1, Total: len(targets)})
		}
		done := w.fetchInTime(ctx, target, request, progress)
		if ctx.Err() != nil {
			return fmt.Errorf("fetching evidence: %w", ctx.Err())
		}
		done.Done, done.Total = i+1, len(targets)
		if err := report(done); err != nil {
			return err
		}
	}
	return nil
}

// targets returns what is to be fetched. That it cannot be known what is on this node is an error where all of it is
// asked for; a reference that is not here is looked for in its registry.
func (w *evidenceWork) targets(ctx context.Context, request fetchRequest) ([]fetchTarget, error) {
	held, err := w.held(ctx)
	var targets []fetchTarget
	if request.All {
		if err != nil {
			return nil, fmt.Errorf("looking at what is on this node: %w", err)
		}
		for i := range held {
			targets = append(targets, fetchTarget{name: held[i].Reference.String(), held: &held[i]})
		}
		return targets, nil
	}
	for _, name := range request.References {
		targets = append(targets, fetchTarget{name: name, held: heldAs(held, name)})
	}
	return targets, nil
}

// heldAs returns the image on this node that a reference means, or nil.
func heldAs(held []origin.Held, name string) *origin.Held {
	ref, err := policy.Normalize(name)
	if err != nil {
		return nil
	}
	canonical, digested := ref.(reference.Canonical)
	for i := range held {
		if held[i].Reference.String() == ref.String() {
			return &held[i]
		}
		if !digested || held[i].Reference.Name() != ref.Name() {
			continue
		}
		for _, manifest := range held[i].Manifests {
			if manifest.Digest == canonical.Digest() {
				return &held[i]
			}
		}
	}
	return nil
}

// fetchInTime fetches evidence of one image within the time that is set for one, if any.
func (w *evidenceWork) fetchInTime(
	ctx context.Context, target fetchTarget, request fetchRequest, progress progressFunc,
) fetchReport {
	if request.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, request.Timeout)
		defer cancel()
	}
	return w.fetchOne(ctx, target, request.All, progress)
}

func (w *evidenceWork) fetchOne(
	ctx context.Context, target fetchTarget, onlyAsked bool, progress progressFunc,
) fetchReport {
	report := fetchReport{Reference: target.name}
	ref, manifests, err := w.find(ctx, target)
	if err != nil {
		report.Error = oneLine(err)
		return report
	}
	if onlyAsked && !w.asks(ref) {
		report.Unasked = true
		return report
	}
	manifests = first(manifests)
	failed := w.fetch.each(ctx, manifests, ref, progress)
	report.Manifests = len(manifests)
	for _, kept := range w.kept(manifests, ref) {
		report.Signatures += kept.Signatures
		report.Bundles += kept.Bundles
	}
	for _, err := range failed {
		if err != nil && report.Error == "" {
			report.Error = oneLine(err)
		}
	}
	return report
}

// find returns the manifests of an image: from this node, or else from its registry.
func (w *evidenceWork) find(ctx context.Context, target fetchTarget) (reference.Named, []policy.Manifest, error) {
	if target.held != nil {
		return target.held.Reference, target.held.Manifests, nil
	}
	ref, err := policy.Normalize(target.name)
	if err != nil {
		return nil, nil, err
	}
	manifests, err := fromRegistry(ctx, w.resolve, w.read, ref)
	return ref, manifests, err
}

// fromRegistry returns the manifests that a registry has of an image for this node's platform.
func fromRegistry(
	ctx context.Context,
	resolve func(context.Context, reference.Named) (digest.Digest, error),
	read func(context.Context, reference.Named, digest.Digest) (*policy.Image, error),
	ref reference.Named,
) ([]policy.Manifest, error) {
	target, err := resolve(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("finding %s in its registry: %w", ref, err)
	}
	image, err := read(ctx, ref, target)
	if err != nil {
		return nil, fmt.Errorf("reading %s from its registry: %w", ref, err)
	}
	return image.Manifests, nil
}

// oneLine is an error's text as one line.
func oneLine(err error) string { return printable(strings.Join(strings.Fields(err.Error()), " ")) }

// errUnknownHere says that nobody knows what images are on this node.
var errUnknownHere = errors.New("what is on this node is not known yet")
