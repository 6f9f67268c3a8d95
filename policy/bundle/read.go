package bundle

import (
	"fmt"
	"path/filepath"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/bounded"
)

// Limits of the files of a manifest's evidence; package evidence has the same.
const (
	maxBundles = 64
	maxBundle  = 1 << 20
	// maxAttestation limits an attestation: the base64 of a predicate of 1 MiB, and a signer.
	maxAttestation = 2 << 20
)

// read returns the stored bundles of a manifest, parsed, or from the cache if the same evidence was read before. All of
// them must exist.
func (j *Judge) read(evidence policy.Evidence) ([]*signed, error) {
	if known, ok := j.parsed.get(evidence); ok {
		return known, nil
	}
	if evidence.Bundles > maxBundles {
		return nil, fmt.Errorf("there are %d bundles; the maximum is %d", evidence.Bundles, maxBundles)
	}
	kept := make([]*signed, evidence.Bundles)
	size := 0
	for i := range kept {
		name := fmt.Sprintf("bundle-%d.json", i+1)
		path := filepath.Join(evidence.Directory, name)
		raw, err := bounded.ReadNoFollow(path, maxBundle)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		size += len(raw)
		kept[i] = parse(name, raw)
	}
	j.parsed.put(evidence, kept, size)
	return kept, nil
}
