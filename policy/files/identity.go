package files

import (
	"crypto/sha256"
	"io/fs"
	"syscall"
	"time"
)

// identity is what stat says of a file. While it stays the same, so do the contents: the time of change cannot be set
// back by those who write to the file, as the time of modification can.
type identity struct {
	device, inode     uint64
	size              int64
	modified, changed syscall.Timespec
}

func identityOf(info fs.FileInfo) identity {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{} // Equal to nothing that was read: the file is read each time.
	}
	return identity{
		device: stat.Dev, inode: stat.Ino,
		size: stat.Size, modified: stat.Mtim, changed: stat.Ctim,
	}
}

// place is the part of an identity that tells directories apart, whatever is in them.
type place struct{ device, inode uint64 }

func (i identity) place() place { return place{i.device, i.inode} }

// Clocks of file systems tick: two writes within a tick leave the same times. So contents that were read shortly after
// a change are read once more.
const (
	// settleByClock is generous, since the file system's clock may be another machine's.
	settleByClock = time.Second
	// settleByWait is above the coarsest tick of Linux (10 ms, HZ=100).
	settleByWait = 100 * time.Millisecond
)

// sighting is what was seen of a file when its contents were last read.
type sighting struct {
	identity identity
	sum      [sha256.Size]byte
	// first is when this identity was seen first, on our own clock.
	first time.Time
	// settled says that the identity had held for so long when the contents were read that it vouches for them.
	settled bool
}

// sight returns the sighting of contents that were read at a time, after another sighting of the same file.
func (s sighting) sight(id identity, contents []byte, now time.Time) sighting {
	seen := sighting{identity: id, sum: sha256.Sum256(contents), first: now}
	if s.identity == id {
		seen.first = s.first
	}
	changed := time.Unix(id.changed.Unix())
	seen.settled = now.Sub(changed) >= settleByClock || now.Sub(seen.first) >= settleByWait
	return seen
}

// vouches reports whether a file of that identity need not be read again.
func (s sighting) vouches(id identity) bool {
	return s.settled && s.identity == id && id != identity{}
}
