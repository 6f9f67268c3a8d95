package doctor

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// readDisk returns the file system of a directory, or of the next one above it that exists.
func readDisk(directory string) (disk Known[Disk]) {
	for directory != "/" {
		if _, err := os.Stat(directory); err == nil {
			break
		}
		directory = filepath.Dir(directory)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		disk.Err = fmt.Errorf("reading the file system of %s: %w", directory, err)
		return disk
	}
	disk.Value = Disk{
		Directory: directory, ReadOnly: stat.Flags&unix.ST_RDONLY != 0, Free: int64(stat.Bavail) * stat.Bsize,
	}
	return disk
}

// synchronised returns whether a time service disciplines the kernel's clock.
func synchronised() (bool, error) {
	var state unix.Timex
	if _, err := unix.Adjtimex(&state); err != nil {
		return false, fmt.Errorf("reading the state of the clock: %w", err)
	}
	return state.Status&unix.STA_UNSYNC == 0, nil
}
