package archive_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
)

type descriptor = ocispec.Descriptor

// builder builds layouts, also invalid ones.
type builder struct {
	files map[string][]byte
	top   ocispec.Index
}

func newBuilder() *builder {
	return &builder{files: map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
}

func (b *builder) blob(mediaType string, content []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	b.files["blobs/sha256/"+d.Digest.Encoded()] = content
	return d
}

func (b *builder) layer(mediaType, content string) descriptor {
	return b.blob(mediaType, []byte(content))
}

// manifest is that of an artifact; it has no subject where that is empty.
func (b *builder) manifest(subject digest.Digest, layers ...descriptor) descriptor {
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: layers}
	m.SchemaVersion = 2
	if subject != "" {
		m.Subject = &descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 3}
	}
	return b.document(m)
}

func (b *builder) document(of any) descriptor {
	raw, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	return b.blob(ocispec.MediaTypeImageManifest, raw)
}

// index enters something into index.json, with annotations.
func (b *builder) index(of descriptor, annotations ...string) {
	of.Annotations = map[string]string{}
	for i := 0; i < len(annotations); i += 2 {
		of.Annotations[annotations[i]] = annotations[i+1]
	}
	b.top.Manifests = append(b.top.Manifests, of)
}

// tar returns the layout, with further entries at the end.
func (b *builder) tar(t testing.TB, more ...tar.Header) []byte {
	t.Helper()
	raw, err := json.Marshal(b.top)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.files["index.json"]; !ok {
		b.files["index.json"] = raw
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range b.files {
		header := tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o600}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, header := range more {
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (b *builder) save(t testing.TB) string {
	t.Helper()
	return save(t, b.tar(t))
}

// good has one signature of an image.
func good() *builder {
	b := newBuilder()
	b.index(b.manifest(digest.FromString("good"), b.layer(simpleSigning, "good")))
	return b
}

func TestAHostileTarIsRefusedWhole(t *testing.T) {
	whole := good().tar(t)
	with := func(name string, kind byte) []byte { return good().tar(t, tar.Header{Name: name, Typeflag: kind}) }
	spoiled := func(name, content string) []byte {
		b := good()
		b.files[name] = []byte(content)
		return b.tar(t)
	}
	const outside, twice = "would lie outside", `two files "index.json"`
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"a way out":                         {with("../../etc/passwd", tar.TypeReg), outside},
		"a way out, later":                  {with("blobs/../../x", tar.TypeReg), outside},
		"an absolute path":                  {with("/etc/passwd", tar.TypeReg), outside},
		"a directory outside":               {with("../x/", tar.TypeDir), outside},
		"one name twice":                    {with("index.json", tar.TypeReg), twice},
		"one name twice, written otherwise": {with("./index.json", tar.TypeReg), twice},
		"compressed":                        {[]byte("\x1f\x8b\x08\x00"), "it is compressed"},
		"cut short":                         {whole[:len(whole)-3000], "not a whole tar file"},
		"no tar":                            {bytes.Repeat([]byte("no tar"), 1000), "not a whole tar file"},
		"empty":                             {nil, "it has no file oci-layout"},
		"no index":                          {good().without("index.json"), "index.json"},
		"another version":                   {spoiled("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), "of version"},
		"an index that is none":             {spoiled("index.json", "["), "index.json"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := archive.Open(save(t, test.content))
			if err == nil {
				l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("it is opened: %v", err)
			}
		})
	}
}

// without returns the tar of the files less one.
func (b *builder) without(name string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for file, content := range b.files {
		if file == name {
			continue
		}
		_ = w.WriteHeader(&tar.Header{Name: file, Typeflag: tar.TypeReg, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	_ = w.Close()
	return out.Bytes()
}

// TestWhatIsWrongWithOneThingLosesNoOther puts something wrong next to something good.
func TestWhatIsWrongWithOneThingLosesNoOther(t *testing.T) {
	image := digest.FromString("bad")
	zeros := digest.Digest("sha256:" + strings.Repeat("0", 64))
	const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	for name, test := range map[string]struct {
		spoil func(*builder)
		want  string // in the error; empty: nothing is said
	}{
		"a layer of another digest": {func(b *builder) {
			layer := b.layer(simpleSigning, "payload")
			b.files["blobs/sha256/"+layer.Digest.Encoded()] = []byte("another")
			b.index(b.manifest(image, layer))
		}, "has another digest"},
		"a layer that is not there": {func(b *builder) {
			b.index(b.manifest(image, descriptor{MediaType: simpleSigning, Digest: zeros, Size: 3}))
		}, "file does not exist"},
		"a layer whose digest is a path": {func(b *builder) {
			b.index(b.manifest(image, descriptor{MediaType: simpleSigning, Digest: "sha256:../../../etc/passwd"}))
		}, "invalid checksum digest"},
		"a layer that is too large": {func(b *builder) {
			b.index(b.manifest(image, b.layer(simpleSigning, strings.Repeat("x", format.MaxFile+1))))
		}, "too large"},
		"more than is stored": {func(b *builder) {
			var layers []descriptor
			for n := range 40 {
				layers = append(layers, b.layer(simpleSigning, strings.Repeat("x", format.MaxFile-n)))
			}
			b.index(b.manifest(image, layers...))
		}, "bytes together"},
		"an empty signature": {func(b *builder) {
			b.index(b.manifest(image, b.layer(simpleSigning, "")))
		}, "signature of nothing"},
		"a bundle that is none": {func(b *builder) {
			b.index(b.manifest(image, b.layer(bundleType, "{}")))
		}, "not a Sigstore bundle"},
		"a manifest of another digest": {func(b *builder) {
			of := b.manifest(image, b.layer(simpleSigning, "payload"))
			b.files["blobs/sha256/"+of.Digest.Encoded()] = []byte("{}")
			b.index(of)
		}, "has another digest"},
		"a manifest that is no JSON": {func(b *builder) {
			b.index(b.blob(ocispec.MediaTypeImageManifest, []byte("[")))
		}, "is not a manifest"},
		"a manifest that is too large": {func(b *builder) {
			b.index(b.blob(ocispec.MediaTypeImageManifest, bytes.Repeat([]byte(" "), 9<<20)))
		}, "too large"},
		"a subject that is not a digest": {func(b *builder) {
			b.index(b.manifest("sha256:../../etc", b.layer(simpleSigning, "payload")))
		}, "its subject is"},
		"a subject that is not what the annotations say": {func(b *builder) {
			b.index(b.annotated(image, zeros.String(), "registry.example/app"))
		}, "its annotation says"},
		"annotations without a repository": {func(b *builder) {
			b.index(b.annotated(image, image.String(), ""))
		}, "names no repository"},
		"an index in itself": {func(b *builder) {
			b.index(b.document(ocispec.Index{Manifests: []descriptor{b.document(ocispec.Index{})}}))
			b.top.Manifests = append(b.top.Manifests, b.top.Manifests...)
		}, ""},
		"a blob that is not a file, and not a layer of anything": {func(b *builder) {
			b.files["blobs/sha256/"+zeros.Encoded()+"/x"] = []byte("x")
		}, ""},
		"documents that refer to nothing": {func(b *builder) {
			for n := range 100 {
				b.document(ocispec.Manifest{Annotations: map[string]string{"n": strings.Repeat("x", n)}})
			}
		}, ""},
		"indexes in indexes": {func(b *builder) {
			of := b.manifest(image, b.layer(simpleSigning, "payload"))
			for range 50 {
				of = b.document(ocispec.Index{Manifests: []descriptor{of, of, of}})
			}
			b.index(of)
		}, ""},
		"a manifest that is not there": {func(b *builder) { b.index(descriptor{Digest: zeros}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder()
			test.spoil(b)
			b.index(b.manifest(digest.FromString("good"), b.layer(simpleSigning, "good")))
			checkOthers(t, read(t, b.save(t), named(t, "registry.example/app")), test.want)
		})
	}
}

// annotated is a manifest with the annotations that Write writes; it has no subject where that is empty.
func (b *builder) annotated(subject digest.Digest, manifest, repository string) descriptor {
	m := ocispec.Manifest{Annotations: map[string]string{
		"io.github.countersign.evidence.kind":       "signatures",
		"io.github.countersign.evidence.manifest":   manifest,
		"io.github.countersign.evidence.repository": repository,
	}}
	m.SchemaVersion = 2
	if subject != "" {
		m.Subject = &descriptor{Digest: subject}
	}
	m.Layers = []descriptor{b.layer(simpleSigning, "payload")}
	return b.document(m)
}

// checkOthers expects the good item, and one error of one line for everything else.
func checkOthers(t *testing.T, found []archive.Found, want string) {
	t.Helper()
	goods, failures := 0, 0
	for _, f := range found {
		switch {
		case f.Err != nil && want != "" && strings.Contains(f.Err.Error(), want) && !strings.Contains(f.Err.Error(), "\n"):
			failures++
		case f.Err != nil:
			t.Errorf("it says %v", f.Err)
		case f.Manifest == digest.FromString("good") && f.Count(format.KindSignature) == 1:
			goods++
		}
	}
	if goods != 1 || (failures == 1) != (want != "") {
		t.Errorf("the good one was found %d times, and %d times it was said what is wrong", goods, failures)
	}
}

func TestNothingIsReadThroughWhatIsNoFile(t *testing.T) {
	b := good()
	layer := digest.FromString("good")
	name := "blobs/sha256/" + layer.Encoded()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for what, make := range map[string]func(string) error{
		"a link to elsewhere":     func(path string) error { return os.Symlink(secret, path) },
		"a link within":           func(path string) error { return os.Symlink("../../oci-layout", path) },
		"a directory":             func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe without a writer": func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		root := extractTo(t, b.tar(t))
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		if err := make(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
		paths[what] = root
	}
	delete(b.files, name)
	paths["a link in a tar"] = save(t, b.tar(t, tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: secret}))
	for what, path := range paths {
		found := read(t, path, named(t, "registry.example/app"))
		if len(found) != 1 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "is not a file") {
			t.Errorf("%s: %+v", what, found)
		}
	}
}

// extractTo makes the directories that a tar does not name.
func extractTo(t *testing.T, archive []byte) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range untar(t, archive) {
		path := filepath.Join(root, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestALinkOutOfTheDirectoryIsNotFollowed(t *testing.T) {
	elsewhere := extractTo(t, good().tar(t))
	root := extractTo(t, good().tar(t))
	if err := os.RemoveAll(filepath.Join(root, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(elsewhere, "blobs"), filepath.Join(root, "blobs")); err != nil {
		t.Fatal(err)
	}
	for _, found := range read(t, root, named(t, "registry.example/app")) {
		if found.Err == nil {
			t.Errorf("%+v", found)
		}
	}
}

// TestWhatAnIndexListsIsFoundWhereverItStands has artifacts where only a look at every blob finds them, and large
// layers that are not read.
func TestWhatAnIndexListsIsFoundWhereverItStands(t *testing.T) {
	b := newBuilder()
	of := b.document(ocispec.Index{Manifests: []descriptor{
		b.manifest(digest.FromString("listed"), b.layer(simpleSigning, "listed")),
	}})
	for range 20 {
		of = b.document(ocispec.Index{Manifests: []descriptor{of}})
	}
	b.index(of)
	b.manifest(digest.FromString("left"), b.layer(simpleSigning, "left"))
	b.annotated("", digest.FromString("annotated").String(), "registry.example/app")
	b.blob("application/octet-stream", bytes.Repeat([]byte{0x1f}, 20<<20))
	b.blob("application/octet-stream", append([]byte("{"), make([]byte, 20<<20)...))
	found := map[digest.Digest]int{}
	for _, item := range itemsOf(t, read(t, b.save(t), named(t, "registry.example/app"))) {
		found[item.Manifest] += item.Count(format.KindSignature)
	}
	want := map[digest.Digest]int{
		digest.FromString("listed"): 1, digest.FromString("left"): 1, digest.FromString("annotated"): 1,
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(good().tar(f))
	f.Add(write(f, items(f)))
	f.Add(good().tar(f, tar.Header{Name: "../x", Typeflag: tar.TypeReg}))
	path := filepath.Join(f.TempDir(), "layout.tar")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := archive.Open(path)
		if err != nil {
			return
		}
		defer l.Close()
		for found := range l.Evidence(named(t, "registry.example/app")) {
			if found.Err == nil && len(found.Files) == 0 {
				t.Errorf("%+v", found)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	b := good()
	b.index(b.annotated(digest.FromString("x"), digest.FromString("x").String(), "registry.example/app"))
	for name, content := range b.files {
		if strings.HasPrefix(name, "blobs/") {
			f.Add(content, content)
		}
	}
	f.Fuzz(func(t *testing.T, manifest, layer []byte) {
		b := newBuilder()
		b.blob(simpleSigning, layer)
		b.index(b.blob(ocispec.MediaTypeImageManifest, manifest))
		for _, found := range read(t, b.save(t), named(t, "registry.example/app")) {
			if found.Err == nil && found.Manifest.Validate() != nil {
				t.Errorf("%+v", found)
			}
		}
	})
}
