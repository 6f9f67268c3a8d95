package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
)

// Directory returns the signatures in a directory as containers/image's dir: transport writes it (skopeo copy --all
// docker://… dir:PATH): signature-N are those of manifest.json, and <hex>.signature-N those of <hex>.manifest.json,
// which an index lists. as is the repository in which they were made. Sigstore bundles have no place there.
func Directory(path string, as reference.Named) ([]format.Item, error) {
	d, err := openDirectory(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.names(".")
	if err != nil {
		return nil, err
	}
	var items []format.Item
	for _, name := range names {
		prefix, ok := strings.CutSuffix(name, "manifest.json")
		if !ok || prefix != "" && !strings.HasSuffix(prefix, ".") {
			continue
		}
		item, err := d.item(prefix, as)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if len(item.Files) > 0 {
			items = append(items, item)
		}
	}
	return items, nil
}

// IsDirectory reports whether a directory looks like one that the dir: transport wrote.
func IsDirectory(path string) bool {
	info, err := os.Stat(path + "/manifest.json")
	return err == nil && info.Mode().IsRegular()
}

// item reads the signatures of one manifest: from 1 on, up to the first that is missing, as containers/image does.
func (d *directory) item(prefix string, as reference.Named) (format.Item, error) {
	raw, err := d.read(prefix+"manifest.json", MaxManifest)
	if err != nil {
		return format.Item{}, err
	}
	item := format.Item{Manifest: digest.FromBytes(raw), Repository: as.Name()}
	if prefix != "" && item.Manifest.Encoded() != strings.TrimSuffix(prefix, ".") {
		return format.Item{}, fmt.Errorf("%smanifest.json has the digest %s", prefix, item.Manifest)
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%ssignature-%d", prefix, n)
		file, err := d.read(name, format.MaxSignatureFile)
		if errors.Is(err, fs.ErrNotExist) {
			return item, nil
		}
		if err == nil {
			_, err = format.ParseSignature(file)
		}
		if err != nil {
			return format.Item{}, fmt.Errorf("%s: %w", name, err)
		}
		if n > format.MaxFiles {
			return format.Item{}, fmt.Errorf("%s has more than %d signatures", name, format.MaxFiles)
		}
		item.Add(format.KindSignature, file)
	}
}
