package format_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
)

// item returns an item with the given number of signatures and bundles.
func item(t testing.TB, signatures, bundles int) format.Item {
	t.Helper()
	i := format.Item{Manifest: digest.FromString("image"), Repository: "registry.example/app"}
	for n := range signatures {
		i.Add(format.KindSignature, signature(t, n))
	}
	for n := range bundles {
		i.Add(format.KindBundle, bundle(n))
	}
	return i
}

// attested returns an item with the given number of attestations besides.
func attested(t testing.TB, i format.Item, attestations int) format.Item {
	t.Helper()
	for n := range attestations {
		i.Add(format.KindAttestation, enveloped(fmt.Sprintf(`{"predicateType":"https://slsa.dev/provenance/v%d"}`, n)))
	}
	return i
}

func TestAnItemIsReadAsItWasWritten(t *testing.T) {
	for name, want := range map[string]format.Item{
		"signatures and bundles": item(t, 2, 3),
		"signatures":             item(t, 2, 0),
		"bundles":                item(t, 0, 2),
		"attestations":           attested(t, item(t, 1, 1), 2),
		"nothing":                item(t, 0, 0),
		"as many as are stored":  item(t, format.MaxFiles, format.MaxFiles),
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got format.Item
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checked, named, err := got.Checked()
			if len(want.Files) == 0 {
				if err == nil {
					t.Error("an empty item is accepted")
				}
				return
			}
			if diff := cmp.Diff(want, checked); diff != "" || err != nil || named.Name() != want.Repository {
				t.Errorf("checked: %v, %v (-want +got):\n%s", named, err, diff)
			}
		})
	}
}

func TestAnItemIsCheckedByItsForm(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*format.Item)
		want   string
	}{
		"no digest": {func(i *format.Item) { i.Manifest = "sha256:../../etc" }, "the manifest's digest"},
		"an unknown algorithm": {
			func(i *format.Item) { i.Manifest = "md5:" + digest.Digest(strings.Repeat("0", 32)) }, "the manifest's digest",
		},
		"a name that is not normalised": {func(i *format.Item) { i.Repository = "busybox" }, "not the full name"},
		"a tag in the name":             {func(i *format.Item) { i.Repository += ":v1" }, "not the full name"},
		"a digest in the name": {
			func(i *format.Item) { i.Repository += "@" + i.Manifest.String() }, "not the full name",
		},
		"a path that leads elsewhere": {
			func(i *format.Item) { i.Repository = "registry.example/../etc" }, "not the full name",
		},
		"no name": {func(i *format.Item) { i.Repository = "" }, "not the full name"},
		"a name that is very long": {
			func(i *format.Item) { i.Repository = strings.Repeat("x", 1<<20) }, "not the full name",
		},
		"nothing":                  {func(i *format.Item) { i.Files = nil }, "neither"},
		"too many signatures":      {func(i *format.Item) { *i = item(t, 65, 0) }, "65 signatures, 0 bundles"},
		"too many bundles":         {func(i *format.Item) { *i = item(t, 0, 65) }, "0 signatures, 65 bundles"},
		"a signature that is none": {func(i *format.Item) { i.Files[1].Bytes = []byte("hello") }, "signature 2: "},
		"a bundle that is none":    {func(i *format.Item) { i.Files[2].Bytes = []byte("{}") }, "bundle 1: it is not"},
		"too many attestations":    {func(i *format.Item) { *i = attested(t, item(t, 0, 0), 65) }, "65 attestations"},
		"an attestation that is none": {
			func(i *format.Item) { i.Add(format.KindAttestation, []byte("{}")) }, "attestation 1: it is not a Sigstore bundle",
		},
		"an attestation that is a signature": {
			func(i *format.Item) { i.Add(format.KindAttestation, bundle(1)) }, "attestation 1: it is not an attestation",
		},
		"a bundle that is too large": {
			func(i *format.Item) { i.Files[2].Bytes = make([]byte, format.MaxFile+1) }, "bundle 1: it has",
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := item(t, 2, 1)
			test.change(&i)
			if _, _, err := i.Checked(); err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 999 {
				t.Errorf("error %v", err)
			}
		})
	}
}

// FuzzItem parses what the daemon's socket receives.
func FuzzItem(f *testing.F) {
	raw, err := json.Marshal(item(f, 1, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"manifest":"sha256:0","repository":"a/b","signatures":[null,"AA=="],"bundles":["e30="]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var i format.Item
		if json.Unmarshal(raw, &i) != nil {
			return
		}
		checked, named, err := i.Checked()
		if err != nil {
			return
		}
		if checked.Manifest.Validate() != nil || named.Name() != checked.Repository || len(checked.Files) == 0 ||
			checked.Count(format.KindSignature) > format.MaxFiles || checked.Count(format.KindBundle) > format.MaxFiles {
			t.Errorf("%q is accepted as %+v", raw, checked)
		}
		again, _, err := checked.Checked()
		if err != nil || len(again.Files) != len(checked.Files) {
			t.Fatalf("what was checked is not accepted again: %v", err)
		}
		for n := range again.Files {
			if !bytes.Equal(again.Files[n].Bytes, checked.Files[n].Bytes) {
				t.Errorf("file %d changes when it is checked again", n)
			}
		}
	})
}
