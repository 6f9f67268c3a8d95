package archive_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
)

// TestWhatIsAsLargeAsALimitIsRead reads layouts of exactly the limit, and of one more.
func TestWhatIsAsLargeAsALimitIsRead(t *testing.T) {
	image := digest.FromString("image")
	largest := strings.Repeat("x", format.MaxFile)
	for name, test := range map[string]struct {
		limit int
		add   func(b *builder, count int)
		want  string
	}{
		"manifests": {50_000, func(b *builder, count int) {
			// The good one is another.
			for n := range count - 1 {
				b.index(descriptor{Digest: digest.FromString(fmt.Sprint(n))})
			}
		}, "more than 50000 manifests"},
		"mebibytes of signatures": {32, func(b *builder, count int) {
			var layers []descriptor
			for range count {
				layers = append(layers, b.layer(simpleSigning, largest))
			}
			b.index(b.manifest(image, layers...))
		}, "bytes together"},
		"mebibytes of bundles": {32, func(b *builder, count int) {
			content := append(bundle(1), bytes.Repeat([]byte{' '}, format.MaxFile-len(bundle(1)))...)
			var layers []descriptor
			for range count {
				layers = append(layers, b.blob("application/vnd.dev.sigstore.bundle.v0.3+json", content))
			}
			b.index(b.manifest(image, layers...))
		}, "bytes together"},
	} {
		t.Run(name, func(t *testing.T) {
			for count, want := range map[int]string{test.limit: "", test.limit + 1: test.want} {
				b := good()
				test.add(b, count)
				checkOthers(t, read(t, b.save(t), named(t, "registry.example/app")), want)
			}
		})
	}
}

// TestWhatIsScannedIsLimited has blobs that may be documents, of 256 MiB in all, which is the limit. Of a layer, 512
// bytes are read. The blobs are sparse files, whose digests nobody looks at.
func TestWhatIsScannedIsLimited(t *testing.T) {
	const most = 8 << 20
	for name, test := range map[string]struct {
		// blobs are the sizes of each of 32 documents, of each of 32 layers, and of one more document.
		blobs [3]int64
		want  string
	}{
		"documents":            {[3]int64{most, 0, 0}, ""},
		"documents and layers": {[3]int64{most - 512, most, 0}, ""},
		"a byte too many":      {[3]int64{most, 0, 1}, "bytes of documents"},
	} {
		t.Run(name, func(t *testing.T) {
			root := extractTo(t, good().tar(t))
			put := func(what, content string, size int64) {
				t.Helper()
				path := filepath.Join(root, "blobs/sha256", digest.FromString(what).Encoded())
				if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Truncate(path, size)); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 32 {
				put(fmt.Sprint("document ", n), "{", test.blobs[0])
				put(fmt.Sprint("layer ", n), "", test.blobs[1])
			}
			put("more", "{", test.blobs[2])
			checkOthers(t, read(t, root, named(t, "registry.example/app")), test.want)
		})
	}
}

// TestATarIsCutShort cuts off the last file, at its last byte, and only what ends the tar.
func TestATarIsCutShort(t *testing.T) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	files := good().files
	files["index.json"], files["last"] = []byte("{}"), make([]byte, 1024)
	for _, name := range []string{"oci-layout", "index.json", "last"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	l, err := archive.Open(save(t, out.Bytes()))
	if err != nil {
		t.Fatalf("without its end: %v", err)
	}
	l.Close()
	const want = `"last" has 1024 bytes and is cut short`
	if _, err := archive.Open(save(t, out.Bytes()[:out.Len()-1])); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without a byte: %v", err)
	}
}

func TestADirTransportsDirectoryHasAtMost64Signatures(t *testing.T) {
	path := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(path, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("manifest.json", []byte("{}"))
	if items, err := archive.Directory(path, named(t, "registry.example/app")); err != nil || len(items) != 0 {
		t.Errorf("without a signature: %d items, %v", len(items), err)
	}
	for n := range format.MaxFiles {
		put(fmt.Sprintf("signature-%d", n+1), signature(t, "x"))
	}
	items, err := archive.Directory(path, named(t, "registry.example/app"))
	if err != nil || len(items) != 1 || len(items[0].Files) != format.MaxFiles {
		t.Errorf("with %d: %v", format.MaxFiles, err)
	}
	put(fmt.Sprintf("signature-%d", format.MaxFiles+1), signature(t, "x"))
	if _, err := archive.Directory(path, named(t, "registry.example/app")); err == nil {
		t.Errorf("%d signatures are read", format.MaxFiles+1)
	}
}

// TestSignaturesShareAnArtifactUpToAMebibyteOfAnnotations counts the artifacts of two signatures. What a signature adds
// to the manifest is what its file has besides the payload.
func TestSignaturesShareAnArtifactUpToAMebibyteOfAnnotations(t *testing.T) {
	signed := func(n, payload, annotation int) []byte {
		file, err := format.Signature{
			MediaType: simpleSigning, Payload: append([]byte{byte(n)}, make([]byte, payload-1)...),
			Annotations: map[string]string{"chain": strings.Repeat("x", annotation)},
		}.File()
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	half := 512<<10 - (len(signed(0, 3, 0)) - 3)
	for name, test := range map[string]struct{ payload, annotation, want int }{
		"large payloads":    {format.MaxFile / 2, 0, 1},
		"a mebibyte in all": {3, half, 1},
		"two bytes more":    {3, half + 1, 2},
	} {
		item := format.Item{Manifest: digest.FromString("one"), Repository: "registry.example/app"}
		for n := range 2 {
			item.Add(format.KindSignature, signed(n, test.payload, test.annotation))
		}
		got := 0
		for _, file := range untar(t, write(t, []format.Item{item})) {
			var index ocispec.Index
			if file.Name == "index.json" && json.Unmarshal(file.content, &index) == nil {
				got = len(index.Manifests)
			}
		}
		if got != test.want {
			t.Errorf("%s: %d artifacts, want %d", name, got, test.want)
		}
	}
}
