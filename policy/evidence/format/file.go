package format

import (
	"bytes"
	"fmt"
	"slices"
)

// Bounds on the evidence of one manifest in one repository.
const (
	// MaxFiles is how many signatures are stored, how many bundles, and how many attestations.
	MaxFiles = 64
	// MaxAttestation limits an attestation, in bytes: a predicate of one mebibyte in base64, and its signature.
	MaxAttestation = 2 * MaxFile
	// MaxFile limits the payload of a signature, and a bundle, in bytes.
	MaxFile = 1 << 20
	// MaxSignatureFile limits a signature file, in bytes: its payload in base64, and annotations.
	MaxSignatureFile = 4 * MaxFile
	// MaxTotal limits all signatures and bundles together, in bytes, and all attestations together.
	MaxTotal = 32 << 20
)

// Kind is the kind of a file.
type Kind int

// The kinds of files.
const (
	// KindSignature is a signature file: see [ParseSignature].
	KindSignature Kind = iota
	// KindBundle is a Sigstore bundle in JSON: see [ParseBundle].
	KindBundle
	// KindAttestation is a Sigstore bundle with a statement about the image that does not sign it.
	KindAttestation
	kinds
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{KindSignature, KindBundle, KindAttestation} }

// Name returns the name of the file of this kind with an index, from 0 on, where containers/image looks for signatures
// and package bundle for bundles and attestations.
func (k Kind) Name(index int) string {
	switch k {
	case KindBundle:
		return fmt.Sprintf("bundle-%d.json", index+1)
	case KindAttestation:
		return fmt.Sprintf("attestation-%d.json", index+1)
	default:
		return fmt.Sprintf("signature-%d", index+1)
	}
}

// MaxSize returns the limit of a file of this kind, in bytes.
func (k Kind) MaxSize() int64 {
	switch k {
	case KindBundle:
		return MaxFile
	case KindAttestation:
		return MaxAttestation
	default:
		return MaxSignatureFile
	}
}

// File is one piece of evidence.
type File struct {
	Kind  Kind
	Bytes []byte
	// Imported reports whether it was imported: then no fetch removes it.
	Imported bool
}

// Files returns files of one kind, none of which is imported.
func Files(kind Kind, contents ...[]byte) []File {
	files := make([]File, 0, len(contents))
	for _, content := range contents {
		files = append(files, File{Kind: kind, Bytes: content})
	}
	return files
}

// Contents returns the bytes of the files of one kind.
func Contents(files []File, kind Kind) (contents [][]byte) {
	for _, file := range files {
		if file.Kind == kind {
			contents = append(contents, file.Bytes)
		}
	}
	return contents
}

// Count returns how many files are of one kind.
func Count(files []File, kind Kind) (count int) {
	for _, file := range files {
		if file.Kind == kind {
			count++
		}
	}
	return count
}

// Without returns the files that are not among others, imported or not.
func Without(files, others []File) []File {
	return slices.DeleteFunc(slices.Clone(files), func(file File) bool { return contains(others, file) })
}

// Unique returns each file once, at its first position.
func Unique(files []File) (all []File) {
	for _, file := range files {
		if !contains(all, file) {
			all = append(all, file)
		}
	}
	return all
}

func contains(files []File, file File) bool {
	return slices.ContainsFunc(files, func(other File) bool {
		return other.Kind == file.Kind && bytes.Equal(other.Bytes, file.Bytes)
	})
}

// Split returns the files that are not imported and those that are.
func Split(files []File) (others, imported []File) {
	for _, file := range files {
		if file.Imported {
			imported = append(imported, file)
		} else {
			others = append(others, file)
		}
	}
	return others, imported
}
