package archive_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
)

// blobs returns the content of all blobs of a layout in a directory.
func blobs(t testing.TB, path string) (contents [][]byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(path, "blobs/sha256/*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no blobs: %v", path, err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, content)
	}
	return contents
}

func TestWhatCosignSavedIsRead(t *testing.T) {
	for path, test := range map[string]struct {
		manifest                          digest.Digest
		signatures, bundles, attestations int
	}{
		"testdata/cosign-save": {
			"sha256:fad8cce45038fd90926eb171a9a8b778b4f8e3b6ca014ec11d8350246059e604", 1, 2, 2,
		},
		"testdata/cosign-save-index": {
			"sha256:ca9e604c37b3cdbeb9895d60ff398891dcf4c6d2a56e8ce7975fedb41453f488", 1, 1, 0,
		},
	} {
		found := read(t, path, named(t, "127.0.0.1:5999/app"))
		items := itemsOf(t, found)
		if len(items) != 1 {
			t.Errorf("%s: it has %d items", path, len(items))
			continue
		}
		got := items[0]
		if got.Manifest != test.manifest || got.Repository != "127.0.0.1:5999/app" ||
			got.Count(format.KindSignature) != test.signatures || got.Count(format.KindBundle) != test.bundles ||
			found[0].Count(format.KindAttestation) != test.attestations {
			t.Errorf("%s: %s in %s has %d signatures, %d bundles and %d attestations", path, got.Manifest, got.Repository,
				got.Count(format.KindSignature), got.Count(format.KindBundle), found[0].Count(format.KindAttestation))
		}
		for _, file := range format.Contents(got.Files, format.KindSignature) {
			if !bytes.Contains(file, []byte("dev.cosignproject.cosign/signature")) {
				t.Errorf("%s: a signature lost its annotation: %s", path, file)
			}
		}
	}
}

func TestWhatNamesNoRepositoryNeedsOne(t *testing.T) {
	found := read(t, "testdata/cosign-save", nil)
	if len(found) != 1 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "in which repository") {
		t.Errorf("%+v", found)
	}
}

func TestACopyOfASignaturesTagIsRead(t *testing.T) {
	for name, tag := range map[string]string{
		"a tag":             "sha256-" + digest.FromString("image").Encoded() + ".sig",
		"a whole reference": "registry.example:5000/app:sha256-" + digest.FromString("image").Encoded() + ".sig",
	} {
		b := newBuilder()
		b.index(b.manifest("", b.layer(simpleSigning, "payload")), "org.opencontainers.image.ref.name", tag)
		items := itemsOf(t, read(t, b.save(t), named(t, "registry.example/app")))
		if len(items) != 1 || items[0].Manifest != digest.FromString("image") || items[0].Count(format.KindSignature) != 1 {
			t.Errorf("%s: %+v", name, items)
		}
	}
}

func TestTheDirTransportsDirectoryIsRead(t *testing.T) {
	path := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(path, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	top, child := []byte(`{"manifests":[]}`), []byte(`{"layers":[]}`)
	put("manifest.json", top)
	put("signature-1", signature(t, "top"))
	put("signature-3", signature(t, "after a gap"))
	put(digest.FromBytes(child).Encoded()+".manifest.json", child)
	put(digest.FromBytes(child).Encoded()+".signature-1", []byte("\x90message"))
	put(digest.FromBytes(child).Encoded()+".signature-2", signature(t, "child"))
	put("version", []byte("Directory Transport Version: 1.2\n"))
	items, err := archive.Directory(path, named(t, "registry.example/app:v1"))
	if err != nil || !archive.IsDirectory(path) {
		t.Fatal(err)
	}
	want := map[digest.Digest]int{digest.FromBytes(top): 1, digest.FromBytes(child): 2}
	for _, item := range items {
		if item.Repository != "registry.example/app" || item.Count(format.KindSignature) != want[item.Manifest] {
			t.Errorf("%s in %s has %d signatures", item.Manifest, item.Repository, item.Count(format.KindSignature))
		}
	}
	if len(items) != 2 {
		t.Errorf("%d items", len(items))
	}
}

func TestABrokenDirTransportsDirectoryIsAnError(t *testing.T) {
	hexadecimal := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a signature that is none": {map[string]string{"signature-1": "hello"}, "signature-1: it is neither"},
		"a manifest that is another": {
			map[string]string{hexadecimal + ".manifest.json": "{}"}, "has the digest sha256:",
		},
		"a manifest that is too large": {
			map[string]string{hexadecimal + ".manifest.json": strings.Repeat(" ", 5<<20)}, "too large",
		},
		"a signature that is too large": {
			map[string]string{"signature-1": strings.Repeat(" ", 5<<20)}, "too large",
		},
	} {
		path := t.TempDir()
		test.files["manifest.json"] = "{}"
		for file, content := range test.files {
			if err := os.WriteFile(filepath.Join(path, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := archive.Directory(path, named(t, "registry.example/app"))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := archive.Directory(filepath.Join(t.TempDir(), "absent"), named(t, "x")); err == nil {
		t.Error("a directory that is not there was read")
	}
	if archive.IsDirectory(t.TempDir()) {
		t.Error("an empty directory is read as one")
	}
}

func TestMoreSignaturesThanAreKeptAreTheNewest(t *testing.T) {
	b := newBuilder()
	var layers []descriptor
	for n := range 100 {
		layers = append(layers, b.layer(simpleSigning, strings.Repeat("x", n+1)))
	}
	b.index(b.manifest(digest.FromString("image"), layers...))
	got := itemsOf(t, read(t, b.save(t), named(t, "registry.example/app")))
	if len(got) != 1 || got[0].Count(format.KindSignature) != format.MaxFiles {
		t.Fatalf("%d items", len(got))
	}
	parsed, err := format.ParseSignature(got[0].Files[0].Bytes)
	if err != nil || len(parsed.Payload) != 37 {
		t.Errorf("the first is the one of %d bytes: %v", len(parsed.Payload), err)
	}
}
