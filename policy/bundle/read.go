package bundle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/countersign/countersign/policy"
)

// Limits of the files of a manifest's evidence; package evidence has the same.
const (
	maxBundles = 64
	maxBundle  = 1 << 20
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
		raw, err := readFile(filepath.Join(evidence.Directory, name))
		if err != nil {
			return nil, err
		}
		size += len(raw)
		kept[i] = parse(name, raw)
	}
	j.parsed.put(evidence, kept, size)
	return kept, nil
}

// readFile reads one bundle. What is no regular file, and what a symbolic link leads to, is not what was kept.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if info.Size() > maxBundle {
		return nil, fmt.Errorf("%s has %d bytes, and no more than %d are read", path, info.Size(), maxBundle)
	}
	raw := make([]byte, info.Size())
	if _, err := io.ReadFull(file, raw); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return raw, nil
}
