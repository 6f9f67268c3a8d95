package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// temporary is the name of a file that is not complete.
const temporary = ".countersign-install.tmp"

// Set gives a path its new state, without a transaction. Whatever happens, the path has the old state or the new one.
func (h *Host) Set(change Change) error {
	place, err := h.locate(change.Path)
	if err != nil {
		return err
	}
	switch {
	case change.File == nil:
		err = h.remove(place)
	case change.File.Kind == Directory:
		err = h.makeDirectory(place, change.File)
	default:
		err = h.replace(place, change.File)
	}
	if err != nil {
		return fmt.Errorf("changing %s: %w", change.Path, err)
	}
	return nil
}

func (h *Host) remove(place string) error {
	info, err := os.Lstat(place)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	h.step()
	err = os.Remove(place)
	if info.IsDir() && (errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)) {
		return nil // It contains files of others.
	}
	if err != nil {
		return err
	}
	return h.sync(filepath.Dir(place))
}

func (h *Host) makeDirectory(place string, file *File) error {
	h.step()
	if err := os.Mkdir(place, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	h.step()
	if err := h.own(place, file); err != nil {
		return err
	}
	return h.sync(filepath.Dir(place))
}

// replace writes a file under a temporary name and renames it.
func (h *Host) replace(place string, file *File) error {
	incomplete := temporaryPath(place)
	h.step()
	if err := os.Remove(incomplete); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if file.Kind == Symlink {
		if err := os.Symlink(string(file.Contents), incomplete); err != nil {
			return err
		}
	} else if err := h.write(incomplete, place, file); err != nil {
		return errors.Join(err, os.Remove(incomplete))
	}
	h.step()
	if err := os.Rename(incomplete, place); err != nil {
		return errors.Join(err, os.Remove(incomplete))
	}
	return h.sync(filepath.Dir(place))
}

// temporaryPath returns where the new contents of a file are written. containerd runs every file in a directory of
// verifiers or plugins, and may read every file in a directory of imports: an incomplete file must not be there. The
// directory above is on the same file system, unless something is mounted between the two.
func temporaryPath(place string) string {
	directory := filepath.Dir(place)
	above := filepath.Dir(directory)
	if device(above) != device(directory) {
		return filepath.Join(directory, temporary)
	}
	return filepath.Join(above, temporary)
}

func device(path string) uint64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(stat.Dev) //nolint:unconvert // Its type differs between architectures.
}

// write writes a complete file to disk, with the extended attributes of the one that it replaces.
func (h *Host) write(path, replaces string, file *File) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	half := len(file.Contents) / 2
	for _, part := range [][]byte{file.Contents[:half], file.Contents[half:]} {
		h.step()
		if _, err := f.Write(part); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	copyAttributes(replaces, path)
	if err := h.own(path, file); err != nil {
		return errors.Join(err, f.Close())
	}
	if !file.ModTime.IsZero() {
		if err := os.Chtimes(path, file.ModTime, file.ModTime); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// own sets owner and mode. Changing the owner clears setuid, so the mode is set last.
func (h *Host) own(path string, file *File) error {
	if os.Geteuid() == 0 {
		if err := os.Lchown(path, file.UID, file.GID); err != nil {
			return err
		}
	}
	return os.Chmod(path, file.Mode)
}

// copyAttributes copies extended attributes, such as SELinux's label. File systems without them are not an error.
func copyAttributes(from, to string) {
	names := make([]byte, 4096)
	size, err := unix.Llistxattr(from, names)
	if err != nil {
		return
	}
	value := make([]byte, 1<<16)
	for _, name := range strings.FieldsFunc(string(names[:size]), func(c rune) bool { return c == 0 }) {
		if n, err := unix.Lgetxattr(from, name, value); err == nil {
			_ = unix.Lsetxattr(to, name, value[:n], 0)
		}
	}
}

// sync makes a rename or a removal durable.
func (h *Host) sync(directory string) error {
	d, err := os.Open(directory)
	if err != nil {
		return err
	}
	// Some file systems cannot sync directories.
	_ = d.Sync()
	return d.Close()
}
