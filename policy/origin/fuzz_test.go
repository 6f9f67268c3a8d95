package origin_test

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/origin"
)

// FuzzDocument compares the parser of manifests and indexes with that of containerd.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"config":{"digest":"sha256:` + hex + `"},"layers":[]}`,
		`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + hex + `"}]}`,
		`{"config":{},"manifests":[]}`, `{"Config":{}}`, `{"config":null}`, `{"manifests":null}`, `{"manifests":[{}]} `,
		`[]`, `{`, `{}{}`, `{"mediaType":1}`, `{"config":{"digest":"sha256:` + hex + `"},"config":{}}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		config, children, listed, err := origin.ParseDocument(raw)
		if err != nil {
			return
		}
		if config != "" && listed > 0 {
			t.Fatal("it is a manifest and an index")
		}
		var manifest ocispec.Manifest
		if err := json.Unmarshal(raw, &manifest); err == nil && config != "" && manifest.Config.Digest != config {
			t.Fatalf("the config is %s, and %s for containerd", config, manifest.Config.Digest)
		}
		var index ocispec.Index
		if err := json.Unmarshal(raw, &index); err == nil && len(index.Manifests) != listed {
			t.Fatalf("%d descriptors, and %d for containerd", listed, len(index.Manifests))
		}
		for _, child := range children {
			if err := child.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzConfig compares the parser of configs with that of containerd: another chain ID would be another image.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		`{"rootfs":{"type":"layers","diff_ids":["sha256:` + hex + `","sha256:` + hex + `"]}}`,
		`{"rootfs":{"diff_ids":["a"],"diff_ids":["b"]}}`, `{"rootfs":{"diff_ids":["a"]},"RootFS":{"diff_ids":null}}`,
		`{"rootfs":{"diff_ids":["a"]},"rootfs":{}}`, `{"rootfs":null}`, `{}`, `[]`, `{"rootfs":{"diff_ids":[1]}}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		chain, err := origin.ParseConfig(raw)
		var image ocispec.Image
		if theirs := json.Unmarshal(raw, &image); theirs != nil {
			return
		}
		if err != nil && len(image.RootFS.DiffIDs) <= 10_000 {
			t.Fatalf("containerd reads what is refused here: %v", err)
		}
		if want := identity.ChainID(image.RootFS.DiffIDs).String(); err == nil && chain != want {
			t.Fatalf("the chain is %q, and %q for containerd", chain, want)
		}
	})
}

// FuzzVolume: what leads into an image volume is one, however its path is written.
func FuzzVolume(f *testing.F) {
	for _, seed := range []string{
		state + "/image-volumes/sandbox/" + hex, "//a/./image-volumes//x/" + hex + "/b/..", "/image-volumes/../" + hex,
		"image-volumes/x/" + hex, "/a/image-volumes/image-volumes/" + hex + "/" + hex, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		key, sandbox, ok, err := origin.ParseVolume(source)
		clean := path.Clean("/" + source)
		again, sandboxAgain, okAgain, errAgain := origin.ParseVolume(clean)
		switch {
		case err != nil:
			if !ok || !strings.Contains(source, "..") {
				t.Fatalf("refused without need: %v", err)
			}
		case errAgain != nil || again != key || sandboxAgain != sandbox || okAgain != ok:
			t.Fatalf("%q is %q and its clean form %q is %q", source, key, clean, again)
		case ok && !strings.HasPrefix(clean+"/", key+"/"):
			t.Fatalf("%q does not lie in %q", clean, key)
		case !ok && key != "":
			t.Fatalf("no image volume has key %q", key)
		}
	})
}

// FuzzMappings: labels that cannot be mappings give no key.
func FuzzMappings(f *testing.F) {
	f.Add("0:65536:65536", "0:65536:65536,1:2:3")
	f.Add("", "")
	f.Add("0:0", "::")
	f.Fuzz(func(t *testing.T, uids, gids string) {
		key, err := origin.RemappedKey("chain", map[string]string{
			snapshots.LabelSnapshotUIDMapping: uids, snapshots.LabelSnapshotGIDMapping: gids,
		})
		if (err != nil || uids+gids == "") != (key == "") {
			t.Fatalf("key %q, error %v", key, err)
		}
	})
}

// FuzzRecord: what is read has an image, and volumes have none or one.
func FuzzRecord(f *testing.F) {
	f.Add(recorded)
	f.Add(strings.ReplaceAll(recorded, "CONFIG", digest.FromString("config").String()))
	f.Fuzz(func(t *testing.T, raw string) {
		record, err := origin.ParseRecord([]byte(raw))
		if err != nil {
			return
		}
		if record.Config.Validate() != nil {
			t.Fatalf("the image is %q", record.Config)
		}
		for _, volume := range record.Volumes {
			if volume.Config != "" && volume.Config.Validate() != nil {
				t.Fatalf("the image of a volume is %q", volume.Config)
			}
		}
	})
}
