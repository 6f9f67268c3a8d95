package format_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/evidence/format"
)

// files returns the files that a text names, such as "s1 b1 i:b2": signatures, bundles, and imported ones.
func files(text string) (all []format.File) {
	for name := range strings.FieldsSeq(text) {
		name, imported := strings.CutPrefix(name, "i:")
		kind := format.KindSignature
		if strings.HasPrefix(name, "b") {
			kind = format.KindBundle
		}
		all = append(all, format.File{Kind: kind, Bytes: []byte(name), Imported: imported})
	}
	return all
}

// text is the reverse of files.
func text(all []format.File) string {
	var names []string
	for _, file := range all {
		name := string(file.Bytes)
		if file.Imported {
			name = "i:" + name
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// numbered returns the names from a number to another, both included.
func numbered(prefix string, from, to int) string {
	var names []string
	for n := from; n <= to; n++ {
		names = append(names, fmt.Sprint(prefix, n))
	}
	return strings.Join(names, " ")
}

func TestTheNewestFilesAreStored(t *testing.T) {
	for name, test := range map[string]struct{ files, want, detail string }{
		"nothing":       {"", "", ""},
		"there is room": {"s1 b1 i:s2", "s1 b1 i:s2", ""},
		"as many as fit": {
			numbered("s", 1, 64) + " " + numbered("b", 1, 64), numbered("s", 1, 64) + " " + numbered("b", 1, 64), "",
		},
		"too many of one": {
			numbered("s", 1, 66) + " b1", numbered("s", 3, 66) + " b1", "2 signatures and bundles were left out",
		},
		"too many of each": {
			numbered("s", 1, 65) + " " + numbered("b", 1, 65), numbered("s", 2, 65) + " " + numbered("b", 2, 65), "2 signatures",
		},
		"imported ones come first": {
			numbered("i:s", 1, 2) + " " + numbered("s", 3, 66), numbered("s", 5, 66) + " i:s1 i:s2", "2 signatures and bundles",
		},
		"imported ones come first in each kind": {
			"i:b1 " + numbered("s", 1, 64) + " " + numbered("b", 2, 65),
			numbered("s", 1, 64) + " " + numbered("b", 3, 65) + " i:b1", "1 signatures",
		},
		"too many imported ones": {
			numbered("i:b", 1, 66) + " b67", numbered("i:b", 3, 66), "2 imported signatures and bundles were left out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, detail := format.Trim(files(test.files))
			if diff := cmp.Diff(test.want, text(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(detail, test.detail) || (detail == "") != (test.detail == "") {
				t.Errorf("the detail is %q", detail)
			}
		})
	}
}

func TestFilesAreBoundedTogetherInBytes(t *testing.T) {
	megabyte := func(name string) []byte { return slices.Concat([]byte(name), bytes.Repeat([]byte{0}, 1<<20-len(name))) }
	for name, test := range map[string]struct {
		signatures, bundles, wantSignatures, wantBundles int
		imported                                         format.Kind
	}{
		"bundles only":                      {0, 40, 0, 32, -1},
		"signatures only":                   {40, 0, 32, 0, -1},
		"both share it":                     {40, 40, 16, 16, -1},
		"one takes what the other does not": {4, 40, 4, 28, -1},
		"imported signatures come first":    {30, 40, 30, 2, format.KindSignature},
		"imported bundles come first":       {40, 30, 2, 30, format.KindBundle},
	} {
		t.Run(name, func(t *testing.T) {
			var all []format.File
			for n := range test.signatures {
				all = append(all, format.File{
					Kind: format.KindSignature, Bytes: megabyte(fmt.Sprint("s", n)), Imported: test.imported == format.KindSignature,
				})
			}
			for n := range test.bundles {
				all = append(all, format.File{
					Kind: format.KindBundle, Bytes: megabyte(fmt.Sprint("b", n)), Imported: test.imported == format.KindBundle,
				})
			}
			got, _ := format.Trim(all)
			signatures, bundles := format.Count(got, format.KindSignature), format.Count(got, format.KindBundle)
			if signatures != test.wantSignatures || bundles != test.wantBundles {
				t.Errorf("%d signatures and %d bundles, not %d and %d",
					signatures, bundles, test.wantSignatures, test.wantBundles)
			}
		})
	}
}

func TestAFileThatDoesNotFitLeavesRoomForOthers(t *testing.T) {
	all := []format.File{
		{Kind: format.KindBundle, Bytes: []byte("small")},
		{Kind: format.KindBundle, Bytes: make([]byte, format.MaxTotal)},
		{Kind: format.KindSignature, Bytes: []byte("newest")},
	}
	got, _ := format.Trim(all)
	if diff := cmp.Diff("small newest", text(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRoomOfOneKindHasNoneForTheOther(t *testing.T) {
	got := format.RoomFor(format.KindSignature, 4).Take(files("b1 s1 s2 s3"))
	if diff := cmp.Diff("s2 s3", text(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSetsOfFiles(t *testing.T) {
	same := format.File{Kind: format.KindBundle, Bytes: []byte("s1")}
	for name, test := range map[string]struct {
		got  []format.File
		want string
	}{
		"without others":                   {format.Without(files("s1 s2 b1"), files("i:s2 b1")), "s1"},
		"without one of another kind":      {format.Without(files("s1 s2"), []format.File{same}), "s1 s2"},
		"unique":                           {format.Unique(files("s1 b1 s1 i:b1 s2")), "s1 b1 s2"},
		"unique, with one of another kind": {format.Unique(append(files("s1"), same)), "s1 s1"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, text(test.got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	others, imported := format.Split(files("s1 i:s2 b1 i:b2"))
	if text(others) != "s1 b1" || text(imported) != "i:s2 i:b2" {
		t.Errorf("split into %q and %q", text(others), text(imported))
	}
}
