package store

import (
	"slices"
	"testing"

	"github.com/countersign/countersign/policy/evidence/format"
)

func TestAListThatNoStoreWritesIsRefused(t *testing.T) {
	const half = format.MaxTotal
	sized := func(sizes ...int64) fileSet {
		s := fileSet{Set: setPrefix + "1"}
		for _, size := range sizes {
			s.Signatures = append(s.Signatures, file{Size: size})
		}
		return s
	}
	for name, test := range map[string]struct {
		list fileSet
		ok   bool
	}{
		"a file of one byte":                   {sized(1), true},
		"an empty file":                        {sized(1, 0), false},
		"a file of a negative size":            {sized(2, -1), false},
		"as many bytes as both kinds may have": {sized(half, half), true},
		"a byte more":                          {sized(half, half, 1), false},
		"one file with a byte more":            {sized(2*half + 1), false},
		"as many files as there may be":        {sized(slices.Repeat([]int64{1}, format.MaxFiles)...), true},
		"a file more":                          {sized(slices.Repeat([]int64{1}, format.MaxFiles+1)...), false},
		"no file":                              {sized(), false},
		"a set of another name":                {fileSet{Set: "x", Signatures: []file{{Size: 1}}}, false},
		"a set elsewhere":                      {fileSet{Set: setPrefix + "/../x", Signatures: []file{{Size: 1}}}, false},
		"as many attestations as signatures":   {fileSet{setPrefix, []file{{Size: 1}}, nil, []file{{Size: 1}}}, true},
	} {
		if err := test.list.check(); (err == nil) != test.ok {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestFilesAreCountedInBlocks(t *testing.T) {
	for name, test := range map[string]struct {
		sizes []int64
		want  int64
	}{
		"no file has no directory":     {nil, 0},
		"a byte takes a block":         {[]int64{1}, 2},
		"a block":                      {[]int64{block}, 2},
		"a byte more takes another":    {[]int64{block + 1}, 3},
		"each file takes its own ones": {[]int64{1, 1, 2 * block}, 5},
	} {
		s := fileSet{}
		for _, size := range test.sizes {
			s.Bundles = append(s.Bundles, file{Size: size})
		}
		if got := s.blocks(); got != test.want*block {
			t.Errorf("%s: %d bytes, want %d blocks", name, got, test.want)
		}
	}
}
