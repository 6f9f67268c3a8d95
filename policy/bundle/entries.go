package bundle

import (
	"errors"
	"fmt"
	"strings"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// Limits of a log's entries. A body contains the signer's certificate and some hashes, a checkpoint a few signatures,
// and an inclusion proof in a log of 2⁶⁴ entries has 64 hashes.
const (
	maxEntries    = 8
	maxBody       = 64 << 10
	maxCheckpoint = 16 << 10
	maxHashes     = 64
)

// entries are the transparency log entries in a bundle. Nothing in them has been verified.
type entries struct {
	usable []*tlog.Entry
	// rekorV2 reports whether some entries are from Rekor v2.
	rekorV2 bool
	// problems are why other entries are not used, and problemsV2 those of Rekor v2.
	problems, problemsV2 []string
}

// entries returns the log entries of a bundle. They are parsed the first time that a requirement needs a log. An
// unusable entry does not affect the others.
func (s *signed) entries() *entries {
	s.once.Do(func() {
		if len(s.log) > maxEntries {
			s.read.problems = []string{fmt.Sprintf("it has %d log entries; the maximum is %d", len(s.log), maxEntries)}
			return
		}
		for i, raw := range s.log {
			read, problems := s.readEntry, &s.read.problems
			if isRekorV2(raw) {
				s.read.rekorV2 = true
				read, problems = readRekorV2, &s.read.problemsV2
			}
			entry, err := read(raw)
			if err != nil {
				*problems = append(*problems, fmt.Sprintf("entry %d: %v", i+1, err))
				continue
			}
			s.read.usable = append(s.read.usable, entry)
		}
	})
	return &s.read
}

// isRekorV2 reports whether an entry is from Rekor v2, which records an envelope as a hashedrekord or a dsse of version
// 0.0.2.
func isRekorV2(entry *rekor.TransparencyLogEntry) bool {
	kind := entry.GetKindVersion()
	return kind.GetVersion() == "0.0.2" && kind.GetKind() != "intoto"
}

// readEntry parses an entry of Rekor v1 that records an envelope.
func (s *signed) readEntry(raw *rekor.TransparencyLogEntry) (*tlog.Entry, error) {
	if err := checkSize(raw); err != nil {
		return nil, err
	}
	switch promised := len(raw.GetInclusionPromise().GetSignedEntryTimestamp()) > 0; {
	case s.old && !promised:
		return nil, fmt.Errorf("it has no inclusion promise, which a bundle %s must have", oldVersion)
	case !s.old && raw.GetInclusionProof() == nil:
		return nil, errors.New("it has no inclusion proof, which a bundle v0.3 must have")
	}
	kind, version := raw.GetKindVersion().GetKind(), raw.GetKindVersion().GetVersion()
	if (kind != "dsse" || version != "0.0.1") && (kind != "intoto" || version != "0.0.2") {
		return nil, fmt.Errorf("its kind %q, version %q does not record envelopes", kind, version)
	}
	if err := checkBody(raw.GetCanonicalizedBody(), kind, version); err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	return tlog.ParseTransparencyLogEntry(raw)
}

// readRekorV2 parses an entry of Rekor v2, which records an envelope by the hash that was signed.
func readRekorV2(raw *rekor.TransparencyLogEntry) (*tlog.Entry, error) {
	if err := checkSize(raw); err != nil {
		return nil, err
	}
	if raw.GetInclusionProof() == nil {
		return nil, errors.New("it has no inclusion proof, which an entry of Rekor v2 must have")
	}
	kind, version := raw.GetKindVersion().GetKind(), raw.GetKindVersion().GetVersion()
	if kind != "hashedrekord" {
		return nil, fmt.Errorf("its kind %q, version %q is not supported", kind, version)
	}
	// sigstore-go compares the entry with the bundle only if the checkpoint is not of Rekor's first version.
	origin, _, _ := strings.Cut(raw.GetInclusionProof().GetCheckpoint().GetEnvelope(), "\n")
	if strings.Contains(origin, " - ") {
		return nil, errors.New("its checkpoint is one of Rekor's first version")
	}
	// If the body is none of Rekor v2, sigstore-go tries Rekor's first parser, which has no such version.
	if err := checkBody(raw.GetCanonicalizedBody(), kind, version); err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	entry, err := tlog.ParseTransparencyLogEntry(raw)
	if err == nil && !entry.IsRekorV2() {
		err = errors.New("its body is not of Rekor v2")
	}
	return entry, err
}

// checkSize returns an error if the parts of an entry are too large.
func checkSize(raw *rekor.TransparencyLogEntry) error {
	if len(raw.GetCanonicalizedBody()) > maxBody {
		return fmt.Errorf("its body is larger than %d bytes", maxBody)
	}
	proof := raw.GetInclusionProof()
	if len(proof.GetCheckpoint().GetEnvelope()) > maxCheckpoint || len(proof.GetHashes()) > maxHashes {
		return fmt.Errorf("its proof has more than %d hashes, or its checkpoint is larger than %d bytes",
			maxHashes, maxCheckpoint)
	}
	return nil
}

// checkBody ensures that parsing a body only parses. For some kinds of entries Rekor's parser verifies signatures with
// the keys in the entry, and an RSA key of a megabyte would occupy it for minutes. These are hashedrekord, and dsse in
// the form of a proposal to the log, which the log itself does not write.
func checkBody(body []byte, kind, version string) error {
	walker := strictjson.NewWalker(body, strictjson.Leniency{})
	same := func(want string) error {
		is, err := walker.Text()
		if err == nil && is != want {
			return fmt.Errorf("it is %q, but the entry is %q", is, want)
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
