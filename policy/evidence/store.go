package evidence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long files stay after they stopped to count. A decision that reads them was given their path at most
// its deadline ago, which is far shorter.
const grace = 10 * time.Second

// volume is one directory of the store's layout, bounded in size: the one on disk, or the one in memory. Methods may
// be called at any time; reading takes no lock that writing holds.
type volume struct {
	// root is the directory of one version.
	root  string
	limit int64

	// writing is held while files are written or removed.
	writing sync.Mutex

	mu     sync.Mutex
	ledger *ledger
	// retired are paths that no record names any more, in the order in which their time comes, and retiring the same
	// paths as a set.
	retired  []retired
	retiring map[string]struct{}
}

type retired struct {
	path string
	due  time.Time
}

// held is what a volume holds for one key.
type held struct {
	record record
	volume *volume
	// directory holds the signatures; it is empty where there are none.
	directory string
	stamp     stamp
}

// stamp tells whether a directory is still the one that was read, and still has the same files.
type stamp struct {
	device, inode uint64
	changed       unix.Timespec
}

func newVolume(root string, limit int64) *volume {
	return &volume{root: root, limit: limit, ledger: newLedger(), retiring: map[string]struct{}{}}
}

func (v *volume) path(k key) string { return filepath.Join(v.root, k.path()) }

// stampOf returns the stamp of a directory.
func stampOf(directory string) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Lstat(directory, &st); err != nil {
		return stamp{}, fmt.Errorf("looking at %s: %w", directory, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return stamp{}, fmt.Errorf("%s is not a directory", directory)
	}
	return stamp{device: st.Dev, inode: st.Ino, changed: st.Mtim}, nil
}

// intact reports whether the files are still where they were, by one look at their directory.
func (h *held) intact() bool {
	if h.directory == "" {
		return true
	}
	now, err := stampOf(h.directory)
	return err == nil && now == h.stamp
}

// read returns what the volume holds for a key, every byte of it verified, or an error that says why that is nothing.
func (v *volume) read(k key) (*held, error) {
	h, err := readHeld(v.root, k)
	if err != nil {
		return nil, err
	}
	h.volume = v
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ledger.enter(k, &h.record)
	return h, nil
}

// readHeld reads and verifies the record and the signatures of a key below a version's directory.
func readHeld(root string, k key) (*held, error) {
	base := filepath.Join(root, k.path())
	// Nothing is read through a link, for nothing is written through one.
	if _, err := stampOf(base); err != nil {
		return nil, err
	}
	raw, err := readFile(filepath.Join(base, recordName), maxRecord)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(raw, k)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", base, err)
	}
	h := &held{record: r}
	if r.Set == "" {
		return h, nil
	}
	h.directory = filepath.Join(base, r.Set)
	if h.stamp, err = stampOf(h.directory); err != nil {
		return nil, err
	}
	if err := verifySet(h.directory, &r); err != nil {
		return nil, err
	}
	return h, nil
}

// verifySet returns nil when a directory holds exactly the files that a record lists.
func verifySet(directory string, r *record) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return fmt.Errorf("reading a set of signatures: %w", err)
	}
	if len(entries) != r.size() {
		return fmt.Errorf("%s holds %d files, not %d", directory, len(entries), r.size())
	}
	for want := range r.files() {
		path := filepath.Join(directory, want.name)
		content, err := readFile(path, want.Size)
		if err != nil {
			return err
		}
		if !want.holds(content) {
			return fmt.Errorf("%s is not what its record says", path)
		}
	}
	return nil
}

// readFile reads a regular file of at most that many bytes. Anything else, as a named pipe, is not opened.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, limit)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	defer f.Close()
	content := make([]byte, info.Size())
	if _, err := readFull(f, content); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return content, nil
}

// errChanged says that a file was longer or shorter than a moment before.
var errChanged = errors.New("the file changed while it was read")

func readFull(f *os.File, content []byte) (int, error) {
	read := 0
	for read < len(content) {
		n, err := f.Read(content[read:])
		read += n
		if err != nil {
			return read, errors.Join(errChanged, err)
		}
	}
	return read, nil
}
