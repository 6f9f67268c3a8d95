package store

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
)

// ReadFiles returns the files of evidence, as they are in its directory.
func ReadFiles(of policy.Evidence) (files []format.File, err error) {
	counts := map[format.Kind]int{
		format.KindSignature: of.Signatures, format.KindBundle: of.Bundles, format.KindAttestation: of.Attestations,
	}
	for _, kind := range format.Kinds() {
		for i := range counts[kind] {
			raw, err := readFile(filepath.Join(of.Directory, kind.Name(i)), kind.MaxSize())
			if err != nil {
				return nil, err
			}
			files = append(files, format.File{Kind: kind, Bytes: raw})
		}
	}
	return files, nil
}

// WithFile calls a function with a directory in memory that has a single file, as a judge reads it.
func WithFile(file format.File, use func(directory string)) error {
	// The next start of a process removes it if this one is killed.
	directory, lock, err := lockedDirectory()
	if err != nil {
		return fmt.Errorf("writing a single file: %w", err)
	}
	defer func() { _ = lock.Close() }()
	defer removeAll(directory)
	if err := os.WriteFile(filepath.Join(directory, file.Kind.Name(0)), file.Bytes, 0o600); err != nil {
		return fmt.Errorf("writing a single file: %w", err)
	}
	use(directory)
	return nil
}
