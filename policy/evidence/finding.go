package evidence

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// lookFunc looks for the signatures and bundles of a manifest in a repository. known are the sources that were found
// when they were last read in full; while they are the same, there is nothing to read. An error is a failure to find
// out, and one clear line.
type lookFunc func(
	ctx context.Context, repository reference.Named, manifest digest.Digest, known []source,
) (*finding, error)

// content is what is kept of a manifest: signatures as containers/image's dir: transport has them, and Sigstore
// bundles.
type content struct{ signatures, bundles [][]byte }

func (c content) empty() bool { return len(c.signatures) == 0 && len(c.bundles) == 0 }

// finding is what was found when the registry was asked and had an answer.
type finding struct {
	// unchanged says that the sources are those that are known; nothing else is set then.
	unchanged bool
	// content is as it is to be kept. It is empty where the registry has nothing.
	content
	sources []source
	detail  string
	// digest is that of the tag that was read, and partial says that not all it lists could be.
	digest  digest.Digest
	partial bool
}

func (f *finding) record(k key) record {
	r := record{
		Version:    recordVersion,
		Manifest:   k.manifest,
		Repository: k.repository,
		Outcome:    "none",
		Detail:     shorten(f.detail),
		Sources:    f.sources,
	}
	if f.empty() {
		return r
	}
	r.Outcome = "found"
	for _, signature := range f.signatures {
		r.Signatures = append(r.Signatures, fileOf(signature))
	}
	for _, bundle := range f.bundles {
		r.Bundles = append(r.Bundles, fileOf(bundle))
	}
	return r
}

// same reports whether two records say the same of the same files, wherever and whenever these were read.
func (r *record) same(other *record) bool {
	return r.Outcome == other.Outcome && r.Detail == other.Detail &&
		slices.Equal(r.Signatures, other.Signatures) && slices.Equal(r.Bundles, other.Bundles)
}

// shorten cuts a text to what a record may hold, and makes one line of it.
func shorten(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail-len("…")], "") + "…"
}
