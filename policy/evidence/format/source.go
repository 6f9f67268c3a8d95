package format

import "github.com/opencontainers/go-digest"

// SourceState is the state of a source of evidence at the last read.
type SourceState struct {
	// Reference is the tag that was read, the manifest whose referrers were, or the URL of a lookaside; Host is who
	// answered: the registry or a mirror of it.
	Reference string `json:"reference"`
	Host      string `json:"host"`
	// Digest identifies the content: it is that of the manifest under a tag, or a hash of a list, or empty without
	// content. Partial reports whether some of it could not be read, so that the same digest is worth reading again.
	Digest  digest.Digest `json:"digest,omitempty"`
	Partial bool          `json:"partial,omitempty"`
}
