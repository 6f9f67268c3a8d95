package files

import (
	"crypto/sha256"
	"io/fs"
	"syscall"
	"time"
)

// identity identifies a version of a file by the result of stat. If it is unchanged, the contents are unchanged: a
// writer can reset the time of modification, but not the time of change.
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

// directoryID is the part of an identity that identifies a directory, regardless of its contents.
type directoryID struct{ device, inode uint64 }

func (i identity) directoryID() directoryID { return directoryID{i.device, i.inode} }

// File systems have coarse clocks: two writes within a tick have the same times. So contents that were read shortly
// after a change are read again.
const (
	// settleByClock is long, because the file system's clock may be another machine's.
	settleByClock = time.Second
	// settleByWait is above the coarsest tick of Linux (10 ms, HZ=100).
	settleByWait = 100 * time.Millisecond
)

// observation is the state of a file when its contents were last read.
type observation struct {
	identity identity
	sum      [sha256.Size]byte
	// first is when this identity was first seen, by our clock.
	first time.Time
	// settled reports whether the identity was old enough when the contents were read to identify them.
	settled bool
}

// observe returns the observation of contents that were read at a time, after an earlier observation of the same file.
func (s observation) observe(id identity, contents []byte, now time.Time) observation {
	seen := observation{identity: id, sum: sha256.Sum256(contents), first: now}
	if s.identity == id {
		seen.first = s.first
	}
	changed := time.Unix(id.changed.Unix())
	seen.settled = now.Sub(changed) >= settleByClock || now.Sub(seen.first) >= settleByWait
	return seen
}

// isCurrent reports whether a file of that identity need not be read again.
func (s observation) isCurrent(id identity) bool {
	return s.settled && s.identity == id && id != identity{}
}
