package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/policy/evidence/format"
)

func writeFiles(directory string, files []format.File) error {
	written := map[format.Kind]int{}
	for _, file := range files {
		name := file.Kind.Name(written[file.Kind])
		if err := writeSynced(filepath.Join(directory, name), file.Bytes); err != nil {
			return err
		}
		written[file.Kind]++
	}
	return nil
}

// writeRecord replaces the record in a directory.
func writeRecord(base string, r *record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	temporary := filepath.Join(base, temporaryPrefix+recordName)
	if err := writeSynced(temporary, append(raw, '\n')); err != nil {
		removeAll(temporary)
		return err
	}
	if err := os.Rename(temporary, filepath.Join(base, recordName)); err != nil {
		removeAll(temporary)
		return fmt.Errorf("replacing a record: %w", err)
	}
	return syncDirectory(base)
}

func writeSynced(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("storing evidence: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing %s: %w", path, closeErr)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("storing evidence: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

// removeAll removes what is no longer needed. If that fails, the next start removes it.
func removeAll(path string) {
	if path != "" {
		_ = os.RemoveAll(path)
	}
}
