package evidence

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// lookFunc looks for the signatures of a manifest in a repository. known is the digest that the signatures' tag had
// when they were last read in full, or empty; while it has it, there is nothing to read. An error is a failure to
// find out, and one clear line.
type lookFunc func(ctx context.Context, repository reference.Named, manifest, known digest.Digest) (*finding, error)

// finding is what was found when the registry was asked and had an answer.
type finding struct {
	// unchanged says that the tag still has the known digest; nothing else is set then.
	unchanged bool
	// files are the signatures, each as it is to be kept. There are none where the registry has none.
	files  [][]byte
	source source
	detail string
}

func (f *finding) record(k key) record {
	r := record{
		Version:    recordVersion,
		Manifest:   k.manifest,
		Repository: k.repository,
		Outcome:    "none",
		Detail:     shorten(f.detail),
		Sources:    []source{f.source},
	}
	if len(f.files) == 0 {
		return r
	}
	r.Outcome = "found"
	for _, content := range f.files {
		r.Signatures = append(r.Signatures, fileOf(content))
	}
	return r
}

// same reports whether two records say the same of the same files, wherever and whenever these were read.
func (r *record) same(other *record) bool {
	return r.Outcome == other.Outcome && r.Detail == other.Detail && slices.Equal(r.Signatures, other.Signatures)
}

// shorten cuts a text to what a record may hold, and makes one line of it.
func shorten(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail-len("…")], "") + "…"
}
