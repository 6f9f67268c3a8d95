package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/origin"
	"github.com/countersign/countersign/policy/text"
)

// EvidenceService fetches and imports evidence: in the daemon for clients of its socket, or in a command if no daemon
// runs. The functions that a request needs are required.
type EvidenceService struct {
	// Images returns the images on this node.
	Images func(context.Context) ([]origin.LocalImage, error)
	// RequiresSignature reports whether some document requires a signature of a reference.
	RequiresSignature func(reference.Named) bool
	// Registry reads images that are not on this node.
	Registry fetch.Registry
	// Fetch, Lookup and Import are methods of an [evidence.Keeper].
	Fetch  fetch.Func
	Lookup policy.LookupFunc
	Import func(format.Item) (added int, err error)
}

// FetchRequest requests the evidence of images.
type FetchRequest struct {
	References []string `json:"references,omitempty"`
	// All requests the evidence of all images on this node of which some document requires a signature.
	All bool `json:"all,omitempty"`
	// Timeout limits the time for one image, in nanoseconds; 0: one attempt.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// FetchReport is the result for one image.
type FetchReport struct {
	Reference string `json:"reference"`
	// Read is how many of Of referrers have been read so far, while the fetch of the image continues. Another report for
	// it follows; of the fields below only Done and Total are set.
	Read int `json:"read,omitempty"`
	Of   int `json:"of,omitempty"`
	// Done counts this image and those before it, of Total.
	Done  int `json:"done"`
	Total int `json:"total"`
	// Signatures and Bundles count the stored files of all Manifests.
	Manifests  int `json:"manifests"`
	Signatures int `json:"signatures"`
	Bundles    int `json:"bundles"`
	// Attestations counts those, as far as some document needs them.
	Attestations int `json:"attestations,omitempty"`
	// NotRequired reports that nothing was fetched, because no document requires a signature.
	NotRequired bool `json:"unasked,omitempty"`
	// Error is why something could not be fetched, in one line.
	Error string `json:"error,omitempty"`
}

// fetchTarget is one image to be fetched.
type fetchTarget struct {
	name string
	// image is the image, if it is on this node.
	image *origin.LocalImage
}

// FetchAll fetches the evidence of one image after the other, and of the manifests of each image concurrently. It
// reports each image, and stops early only if the context ends or a report fails.
func (s *EvidenceService) FetchAll(ctx context.Context, request FetchRequest, report func(FetchReport) error) error {
	targets, err := s.targets(ctx, request)
	if err != nil {
		return err
	}
	for i, target := range targets {
		var reporting sync.Mutex
		progress := func(read, of int) {
			reporting.Lock()
			defer reporting.Unlock()
			// If this report fails, the report at the end of the image fails too.
			_ = report(FetchReport{Reference: target.name, Read: read, Of: of, Done: i + 1, Total: len(targets)})
		}
		done := s.fetchInTime(ctx, target, request, progress)
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

// targets returns the images of a request. If the images on this node are not known, a request for all images is an
// error. A reference that is not on this node is resolved in its registry.
func (s *EvidenceService) targets(ctx context.Context, request FetchRequest) ([]fetchTarget, error) {
	images, err := s.Images(ctx)
	var targets []fetchTarget
	if request.All {
		if err != nil {
			return nil, fmt.Errorf("fetching the evidence of all images: %w", err)
		}
		for i := range images {
			targets = append(targets, fetchTarget{name: images[i].Reference.String(), image: &images[i]})
		}
		return targets, nil
	}
	for _, name := range request.References {
		targets = append(targets, fetchTarget{name: name, image: imageNamed(images, name)})
	}
	return targets, nil
}

// imageNamed returns the image that has a reference on this node, or nil.
func imageNamed(images []origin.LocalImage, name string) *origin.LocalImage {
	ref, err := policy.Normalize(name)
	if err != nil {
		return nil
	}
	canonical, digested := ref.(reference.Canonical)
	for i := range images {
		if images[i].Reference.String() == ref.String() {
			return &images[i]
		}
		if !digested || images[i].Reference.Name() != ref.Name() {
			continue
		}
		for _, manifest := range images[i].Manifests {
			if manifest.Digest == canonical.Digest() {
				return &images[i]
			}
		}
	}
	return nil
}

// fetchInTime fetches the evidence of one image within the timeout of the request, if it has one.
func (s *EvidenceService) fetchInTime(
	ctx context.Context, target fetchTarget, request FetchRequest, progress fetch.ProgressFunc,
) FetchReport {
	if request.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, request.Timeout)
		defer cancel()
	}
	return s.fetchOne(ctx, target, request.All, progress)
}

func (s *EvidenceService) fetchOne(
	ctx context.Context, target fetchTarget, onlyRequired bool, progress fetch.ProgressFunc,
) FetchReport {
	report := FetchReport{Reference: target.name}
	ref, manifests, err := s.find(ctx, target)
	if err != nil {
		report.Error = text.OfError(err)
		return report
	}
	if onlyRequired && !s.RequiresSignature(ref) {
		report.NotRequired = true
		return report
	}
	manifests = fetch.Limit(manifests)
	failed := s.Fetch.All(ctx, manifests, ref, progress)
	report.Manifests = len(manifests)
	for _, stored := range s.Lookup(manifests, ref) {
		report.Signatures += stored.Signatures
		report.Bundles += stored.Bundles
		report.Attestations += stored.Attestations
	}
	for _, err := range failed {
		if err != nil && report.Error == "" {
			report.Error = text.OfError(err)
		}
	}
	return report
}

// find returns the manifests of an image, from this node or, if it is not there, from its registry.
func (s *EvidenceService) find(ctx context.Context, target fetchTarget) (reference.Named, []policy.Manifest, error) {
	if target.image != nil {
		return target.image.Reference, target.image.Manifests, nil
	}
	ref, err := policy.Normalize(target.name)
	if err != nil {
		return nil, nil, err
	}
	manifests, err := s.Registry.Manifests(ctx, ref)
	return ref, manifests, err
}
