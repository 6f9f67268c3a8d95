package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
)

const simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"

// signature returns a signature file of sigstore's kind.
func signature(t testing.TB, payload string) []byte {
	t.Helper()
	file, err := format.Signature{
		MediaType: simpleSigning, Payload: []byte(payload), Annotations: map[string]string{"signature": "of " + payload},
	}.File()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// bundle returns a Sigstore bundle that says nothing.
func bundle(n int) []byte {
	return fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","n":%d}`, n)
}

// items are some of each kind, of two manifests in two repositories.
func items(t testing.TB) []format.Item {
	t.Helper()
	return []format.Item{
		{
			Manifest: digest.FromString("one"), Repository: "registry.example/app",
			Files: slices.Concat(
				format.Files(format.KindSignature, signature(t, "a"), signature(t, "b"), []byte("\x90message")),
				format.Files(format.KindBundle, bundle(1), bundle(2)),
			),
		},
		{
			Manifest: digest.FromString("two"), Repository: "registry.example/app",
			Files: format.Files(format.KindSignature, []byte("\x90message")),
		},
		{
			Manifest: digest.FromString("one"), Repository: "registry.example:5000/copy",
			Files: format.Files(format.KindBundle, bundle(1)),
		},
	}
}

func all(items []format.Item) iter.Seq2[format.Item, error] {
	return func(yield func(format.Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// subject knows the first manifest only.
func subject(item format.Item) (ocispec.Descriptor, bool) {
	descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: item.Manifest, Size: 3}
	return descriptor, item.Manifest == digest.FromString("one")
}

func write(t testing.TB, items []format.Item) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := archive.Write(&out, all(items), subject); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// save writes bytes into a file and returns its path.
func save(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// file is one of a tar.
type file struct {
	tar.Header
	content []byte
}

func untar(t testing.TB, archive []byte) []file {
	t.Helper()
	var files []file
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{*header, content})
	}
}

// extract writes the files of a tar into a directory and returns its path.
func extract(t testing.TB, archive []byte) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range untar(t, archive) {
		path := filepath.Join(root, filepath.FromSlash(file.Name))
		if file.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, file.content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t testing.TB, path string, as reference.Named) (found []archive.Found) {
	t.Helper()
	l, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for f := range l.Evidence(as) {
		found = append(found, f)
	}
	return found
}

func itemsOf(t testing.TB, found []archive.Found) (items []format.Item) {
	t.Helper()
	for _, f := range found {
		if f.Err != nil {
			t.Error(f.Err)
		}
		items = append(items, f.Item)
	}
	return items
}

func named(t testing.TB, s string) reference.Named {
	t.Helper()
	ref, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	archive := write(t, items(t))
	for name, path := range map[string]string{"a tar": save(t, archive), "a directory": extract(t, archive)} {
		// Its own repository is used, not the requested one.
		for _, as := range []reference.Named{nil, named(t, "other.example/app")} {
			if diff := cmp.Diff(items(t), itemsOf(t, read(t, path, as))); diff != "" {
				t.Errorf("%s (-written +read):\n%s", name, diff)
			}
		}
	}
}

func TestTheSameItemsGiveTheSameBytes(t *testing.T) {
	if first := write(t, items(t)); !bytes.Equal(first, write(t, items(t))) {
		t.Error("they differ")
	}
}

// TestATarHasAnEnd wants two blocks of zeros: without them, GNU tar warns.
func TestATarHasAnEnd(t *testing.T) {
	if !bytes.HasSuffix(write(t, items(t)), make([]byte, 1024)) {
		t.Error("it has none")
	}
}

func TestManySignaturesWithLargeAnnotationsAreReadAgain(t *testing.T) {
	item := format.Item{Manifest: digest.FromString("one"), Repository: "registry.example/app"}
	for n := range format.MaxFiles {
		file, err := format.Signature{
			MediaType: simpleSigning, Payload: fmt.Append(nil, n),
			Annotations: map[string]string{"chain": string(bytes.Repeat([]byte("\""), 200<<10))},
		}.File()
		if err != nil {
			t.Fatal(err)
		}
		item.Add(format.KindSignature, file)
	}
	got := itemsOf(t, read(t, save(t, write(t, []format.Item{item})), nil))
	if len(got) != 1 || got[0].Count(format.KindSignature) != format.MaxFiles {
		t.Fatalf("%d items were read", len(got))
	}
	for n, file := range format.Contents(got[0].Files, format.KindSignature) {
		if !bytes.Equal(file, item.Files[n].Bytes) {
			t.Errorf("signature %d is another", n+1)
		}
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		items iter.Seq2[format.Item, error]
		to    io.Writer
		want  error
	}{
		"an item that cannot be had": {
			func(yield func(format.Item, error) bool) { yield(format.Item{}, broken) }, io.Discard, broken,
		},
		"a signature that is none": {
			all([]format.Item{{Files: format.Files(format.KindSignature, []byte("hello"))}}), io.Discard, nil,
		},
		"a bundle that is none": {
			all([]format.Item{{Files: format.Files(format.KindBundle, []byte("hello"))}}), io.Discard, nil,
		},
		"no room": {all(items(t)), full{broken}, broken},
	} {
		err := archive.Write(test.to, test.items, subject)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// full is a disk without room.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }
