package bounded

import (
	"fmt"
	"os"
)

// ReadFile is [Read] without the file information. Its errors contain the path.
func ReadFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	contents, _, err := read(path, limit, 0)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return contents, nil
}
