package attack_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

// memory returns a figure of the daemon's, in MiB, as the kernel has it: VmRSS, or VmHWM, the most there ever was.
func (l *lab) memory(t *testing.T, figure string) int {
	t.Helper()
	process := l.daemon.Process()
	if process == nil {
		t.Fatal("countersign does not run")
	}
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Pid)))(t)
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == figure+":" {
			return must(strconv.Atoi(fields[1]))(t) >> 10
		}
	}
	t.Fatalf("there is no %s in %s", figure, status)
	return 0
}

// oversize is a manifest with a lot of white space in it, which nobody keeps in memory.
type oversize struct {
	mediaType types.MediaType
	manifest  string
	padding   int64
	digest    digest.Digest
}

func newOversize(t *testing.T, mediaType types.MediaType, manifest []byte, padding int64) oversize {
	t.Helper()
	o := oversize{mediaType: mediaType, manifest: strings.TrimSpace(string(manifest)), padding: padding}
	hash := sha256.New()
	must(io.Copy(hash, o.reader()))(t)
	o.digest = digest.NewDigest(digest.SHA256, hash)
	return o
}

// blanks reads as white space without end.
type blanks struct{}

func (blanks) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func (o oversize) size() int64 { return int64(len(o.manifest)) + o.padding }

func (o oversize) reader() io.Reader {
	last := len(o.manifest) - 1
	return io.MultiReader(
		strings.NewReader(o.manifest[:last]), io.LimitReader(blanks{}, o.padding), strings.NewReader(o.manifest[last:]),
	)
}

// oversizeRegistry is a registry of a tenant's own, which serves manifests of any size. Others take 4 MiB.
type oversizeRegistry struct {
	*node.Registry
	mutex  sync.Mutex
	served map[string]oversize // By path.
}

func newOversizeRegistry(t *testing.T) *oversizeRegistry {
	t.Helper()
	r := &oversizeRegistry{served: map[string]oversize{}}
	r.Registry = node.NewRegistry(t, node.RegistryConfig{InProcess: true, Wrap: r.wrap})
	return r
}

func (r *oversizeRegistry) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		r.mutex.Lock()
		manifest, found := r.served[request.URL.Path]
		r.mutex.Unlock()
		if !found {
			next.ServeHTTP(writer, request)
			return
		}
		writer.Header().Set("Content-Type", string(manifest.mediaType))
		writer.Header().Set("Docker-Content-Digest", manifest.digest.String())
		writer.Header().Set("Content-Length", strconv.FormatInt(manifest.size(), 10))
		if request.Method == http.MethodGet {
			_, _ = io.Copy(writer, manifest.reader()) // Who does not want all of it goes away.
		}
	})
}

func (r *oversizeRegistry) serve(repository, tag string, manifest oversize) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, name := range []string{tag, manifest.digest.String()} {
		r.served["/v2/"+repository+"/manifests/"+name] = manifest
	}
}

// push makes an index that lists one manifest of the image, with so much white space. The index says nothing of a
// platform, so that every node has the manifest pulled.
func (r *oversizeRegistry) push(t *testing.T, repository string, image v1.Image, padding int64) node.Pushed {
	t.Helper()
	pushed := must(r.Push(t.Context(), repository+":plain", image))(t)
	manifest := newOversize(t, types.OCIManifestSchema1, must(image.RawManifest())(t), padding)
	child := v1.Descriptor{
		MediaType: manifest.mediaType, Size: manifest.size(), Digest: must(v1.NewHash(manifest.digest.String()))(t),
	}
	raw := must(json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{child},
	}))(t)
	index := newOversize(t, types.OCIImageIndex, raw, 0)
	r.serve(repository, "oversize", manifest)
	r.serve(repository, "v1", index)
	pushed.Reference, pushed.Digest = pushed.Repository+":v1", index.digest
	return pushed
}

func oversizeManifests(t *testing.T, l *lab) {
	// A daemon that read the larger of these manifests even once would need more, in MiB.
	const most = 200
	own := newOversizeRegistry(t)
	for _, size := range []int64{5 << 20, 300 << 20} {
		t.Run(fmt.Sprintf("%d MiB", size>>20), func(t *testing.T) {
			before := l.memory(t, "VmHWM")
			tag := fmt.Sprintf("oversize-%d", size>>20)
			good, signed := l.signed(t, "shop/"+tag+":v1", "signed, "+tag)
			around := own.push(t, "aaa/"+tag, good, size)
			evil := own.push(t, "bbb/"+tag, l.image(t, "evil, "+tag), size)
			pull(t, l.Node, around.Reference)
			pull(t, l.Node, evil.Reference)
			l.runs(t, l.Node, strict, signed.Reference, "signed, "+tag)
			// What needs the manifest is refused, in a loose namespace too; so is the signed image by that name.
			l.refused(t, lax, node.Container{Image: evil.Reference}, "unavailable")
			l.refused(t, strict, node.Container{Image: evil.Config.String()}, "unavailable")
			l.refused(t, strict, node.Container{Image: around.Reference}, "unknown-origin")
			peak, now := l.memory(t, "VmHWM"), l.memory(t, "VmRSS")
			if err := l.daemon.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.runs(t, l.Node, strict, signed.Reference, "signed, "+tag)
			l.refused(t, lax, node.Container{Image: evil.Reference}, "unavailable")
			again := l.memory(t, "VmHWM")
			t.Logf("countersign's memory: at most %d MiB before, %d MiB with the manifest (%d MiB now), %d MiB after a restart",
				before, peak, now, again)
			if peak > most || again > most {
				t.Errorf("countersign needed %d MiB and after a restart %d MiB, more than %d", peak, again, most)
			}
		})
	}
}
