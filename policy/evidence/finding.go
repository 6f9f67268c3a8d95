package evidence

import (
	"context"
	"slices"
	"strings"
	"time"

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
type content struct {
	signatures, bundles [][]byte
	// imported is how many of each, the last ones, were brought by hand, and importedAt when that was.
	imported   struct{ signatures, bundles int }
	importedAt time.Time
}

func (c content) empty() bool { return len(c.signatures) == 0 && len(c.bundles) == 0 }

// finding is what was found when the registry was asked and had an answer.
type finding struct {
	// unchanged says that the sources are those that are known; nothing else is set then.
	unchanged bool
	// content is as it is to be kept. It is empty where the registry has nothing.
	content
	sources []source
	detail  string
	// unusable says that some source has something that never can be read, and no source anything else.
	unusable bool
	// omitted says what there was no room for.
	omitted string
	// unfinished is why not all was read where only the time was lacking; or nil.
	unfinished error
	// fetchedAt is when the registry answered; zero: it was not asked.
	fetchedAt time.Time
	// stays says that what was held before stays beside it: not all that there is could be read, or some is gone.
	stays bool
}

func (f *finding) record(k key) record {
	r := record{
		Version:    recordVersion,
		Manifest:   k.manifest,
		Repository: k.repository,
		Outcome:    "none",
		Detail:     shorten(f.detail),
		Omitted:    shorten(f.omitted),
		Fetched:    f.fetchedAt,
		Imported:   f.importedAt,
		Sources:    f.sources,
	}
	if f.empty() {
		r.Unusable = f.unusable
		return r
	}
	r.Outcome = "found"
	r.Signatures = filesOf(f.signatures, f.imported.signatures)
	r.Bundles = filesOf(f.bundles, f.imported.bundles)
	return r
}

// withRest returns what was found with what is held and was not found this time: no failure takes anything away, and
// nothing is revoked by being removed.
func (h *held) withRest(f *finding) *finding {
	before := h.finding()
	joined := *f
	old, _ := split(before.signatures, before.imported.signatures)
	joined.signatures = slices.Concat(without(old, f.signatures), f.signatures)
	old, _ = split(before.bundles, before.imported.bundles)
	joined.bundles = slices.Concat(without(old, f.bundles), f.bundles)
	joined.omitted = joined.fit()
	return &joined
}

// filesOf describes files, the last of which were imported.
func filesOf(contents [][]byte, imported int) []file {
	var files []file
	for i, content := range contents {
		of := fileOf(content)
		of.Imported = i >= len(contents)-imported
		files = append(files, of)
	}
	return files
}

// same reports whether two records say the same of the same files, wherever and whenever these were read.
func (r *record) same(other *record) bool {
	return r.Outcome == other.Outcome && r.Unusable == other.Unusable &&
		r.Detail == other.Detail && r.Omitted == other.Omitted &&
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
