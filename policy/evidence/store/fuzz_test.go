package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

func FuzzRecord(f *testing.F) {
	k := keyOf("image")
	sum := strings.Repeat("0", 64)
	for _, seed := range []string{
		`{"version":1,"manifest":"` + k.Manifest.String() + `","repository":"registry.example/app","outcome":"none"}`,
		`{"version":1,"manifest":"` + k.Manifest.String() + `","repository":"registry.example/app","outcome":"found",` +
			`"set":"set-1","signatures":[{"size":3,"sha256":"` + sum + `"}]}`,
		`{"version":1,"manifest":"` + k.Manifest.String() + `","repository":"registry.example/app","outcome":"found",` +
			`"imported":"2026-01-02T03:04:05Z","set":"set-1","bundles":[{"size":3,"sha256":"` + sum + `","imported":true}]}`,
		`{"version":2}`, `null`, `[]`, ``, `{"signatures":[{"size":-1}]}`,
	} {
		f.Add([]byte(seed))
	}
	root := f.TempDir()
	base := storetest.Base(root, k)
	if err := os.MkdirAll(filepath.Join(base, "set-1"), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, err := store.ParseRecord(raw, k)
		if files > 64 && err == nil {
			t.Errorf("a record of %d files is accepted", files)
		}
		if err := os.WriteFile(filepath.Join(base, "record.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		got := read(root, k)
		if got.State == policy.Found || got.State == policy.Failed {
			t.Errorf("an empty set was read as %+v", got)
		}
		if got.State == policy.None && err != nil {
			t.Errorf("%v, and yet %+v", err, got)
		}
		for _, info := range list(t, root) {
			if info.Damage == nil && info.State != policy.None {
				t.Errorf("an empty set is listed as %+v", info)
			}
		}
	})
}
