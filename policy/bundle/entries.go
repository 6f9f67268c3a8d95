package bundle

import (
	"errors"
	"fmt"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// Bounds of a log's entries. A body is that of the signer's certificate and some hashes, a checkpoint that of a few
// signatures, and a log of 2⁶⁴ entries proves one of them by 64 hashes.
const (
	maxEntries    = 8
	maxBody       = 64 << 10
	maxCheckpoint = 16 << 10
	maxHashes     = 64
)

// entries are those of a transparency log that a bundle brings along. Nothing in them is verified.
type entries struct {
	usable []*tlog.Entry
	// rekorV2 reports whether some are of Rekor v2.
	rekorV2 bool
	// problems says why others are not used.
	problems []string
}

// entries returns the entries of a bundle's logs, which are read the first time that a requirement needs a log. One
// that cannot be used harms no other.
func (s *signed) entries() *entries {
	s.once.Do(func() {
		if len(s.log) > maxEntries {
			s.read.problems = []string{fmt.Sprintf("there are %d entries of logs, more than %d", len(s.log), maxEntries)}
			return
		}
		for i, raw := range s.log {
			if isRekorV2(raw) {
				s.read.rekorV2 = true
				continue
			}
			entry, err := readEntry(raw)
			if err != nil {
				s.read.problems = append(s.read.problems, fmt.Sprintf("entry %d: %v", i+1, err))
				continue
			}
			s.read.usable = append(s.read.usable, entry)
		}
	})
	return &s.read
}

// isRekorV2 reports whether an entry is one of Rekor's second version, which records an envelope as a hashedrekord or a
// dsse of version 0.0.2.
func isRekorV2(entry *rekor.TransparencyLogEntry) bool {
	kind := entry.GetKindVersion()
	return kind.GetVersion() == "0.0.2" && kind.GetKind() != "intoto"
}

// readEntry parses an entry of Rekor's first version that records an envelope.
func readEntry(raw *rekor.TransparencyLogEntry) (*tlog.Entry, error) {
	if len(raw.GetCanonicalizedBody()) > maxBody {
		return nil, fmt.Errorf("its body has more than %d bytes", maxBody)
	}
	proof := raw.GetInclusionProof()
	if proof == nil {
		return nil, errors.New("it has no inclusion proof, which a bundle v0.3 must have")
	}
	if len(proof.GetCheckpoint().GetEnvelope()) > maxCheckpoint || len(proof.GetHashes()) > maxHashes {
		return nil, fmt.Errorf("its proof has more than %d hashes, or its checkpoint more than %d bytes",
			maxHashes, maxCheckpoint)
	}
	kind, version := raw.GetKindVersion().GetKind(), raw.GetKindVersion().GetVersion()
	if (kind != "dsse" || version != "0.0.1") && (kind != "intoto" || version != "0.0.2") {
		return nil, fmt.Errorf("it is of kind %q, version %q, which records no envelope", kind, version)
	}
	if err := checkBody(raw.GetCanonicalizedBody(), kind, version); err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	return tlog.ParseTransparencyLogEntry(raw)
}

// checkBody makes sure that parsing a body costs nothing but parsing. Rekor's parser verifies signatures in some kinds
// of entries, by whatever keys stand next to them, and an RSA key of a megabyte keeps it busy for minutes. Those are a
// hashedrekord, and a dsse as one proposes it to the log, which is not how the log writes it down.
func checkBody(body []byte, kind, version string) error {
	walker := strictjson.NewWalker(body, strictjson.Leniency{})
	same := func(want string) error {
		is, err := walker.Text()
		if err == nil && is != want {
			return fmt.Errorf("it is of %q, and the entry says %q", is, want)
		}
		return err
	}
	return walker.Object(func(name string) error {
		switch name {
		case "apiVersion":
			return same(version)
		case "kind":
			return same(kind)
		case "spec":
			return walker.Object(func(name string) error {
				if name == "proposedContent" {
					return errors.New("it is a proposal")
				}
				return walker.Skip()
			})
		default:
			return fmt.Errorf("unknown key %q", name)
		}
	})
}
