package format

import (
	"fmt"
	"slices"
	"strings"
)

// Room is how much more may be stored: a number of bytes, and of files of each kind. Attestations have bytes of their
// own: they are large, and take none from what signs an image.
type Room struct {
	bytes, attested int64
	files           [kinds]int
}

// NewRoom returns the room for the evidence of one manifest in one repository.
func NewRoom() *Room {
	return &Room{bytes: MaxTotal, attested: MaxTotal, files: [kinds]int{MaxFiles, MaxFiles, MaxFiles}}
}

// RoomFor returns the room for files of one kind, in bytes.
func RoomFor(kind Kind, bytes int64) *Room {
	r := &Room{bytes: bytes, attested: bytes}
	r.files[kind] = MaxFiles
	return r
}

// Take returns the files that there is room for, in their order, and uses up that room. The newest, which are the last,
// come first, of all kinds in turn, so that no kind displaces another. A file over the limit does not count.
func (r *Room) Take(files []File) (taken []File) {
	var newest [kinds][]int
	for i, file := range slices.Backward(files) {
		newest[file.Kind] = append(newest[file.Kind], i)
	}
	fits := make([]bool, len(files))
	for i := range len(files) {
		for _, ofKind := range newest {
			if i < len(ofKind) {
				fits[ofKind[i]] = r.fit(files[ofKind[i]])
			}
		}
	}
	for i, file := range files {
		if fits[i] {
			taken = append(taken, file)
		}
	}
	return taken
}

func (r *Room) fit(file File) bool {
	bytes := &r.bytes
	if file.Kind == KindAttestation {
		bytes = &r.attested
	}
	if r.files[file.Kind] == 0 || int64(len(file.Bytes)) > *bytes {
		return false
	}
	r.files[file.Kind]--
	*bytes -= int64(len(file.Bytes))
	return true
}

// Trim drops files over the limits: it prefers imported files of either kind, and then the newest. It returns imported
// files last. The detail describes what was dropped.
func Trim(files []File) (kept []File, detail string) {
	others, imported := Split(files)
	room := NewRoom()
	keptImported := room.Take(imported)
	keptOthers := room.Take(others)
	var details []string
	if omitted := len(others) - len(keptOthers); omitted > 0 {
		details = append(details, fmt.Sprintf(
			"%d signatures and bundles were left out: imported ones come first, then the newest", omitted))
	}
	if omitted := len(imported) - len(keptImported); omitted > 0 {
		details = append(details, fmt.Sprintf(
			"%d imported signatures and bundles were left out: there is room for %d of each kind and for %d MiB",
			omitted, MaxFiles, MaxTotal>>20))
	}
	return slices.Concat(keptOthers, keptImported), strings.Join(details, "; ")
}

// MaxSatisfied limits the total size of the satisfied files of a set, in bytes, and that of its attestations. A
// signature has a few thousand bytes; padded ones must not fill the store, because satisfied files are never evicted.
const MaxSatisfied = 4 << 20

// Satisfied returns the files that are stored of some that met a requirement: each of them once, the first ones.
func Satisfied(files []File) (stored []File) {
	room := &Room{bytes: MaxSatisfied, attested: MaxSatisfied, files: [kinds]int{MaxFiles, MaxFiles, MaxFiles}}
	for _, file := range Unique(files) {
		if room.fit(file) {
			stored = append(stored, File{Kind: file.Kind, Bytes: file.Bytes})
		}
	}
	return stored
}
