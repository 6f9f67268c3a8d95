package attack_test

import (
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// ground returns manifests with the config of an image whose digests sort before its own: whoever makes manifests
// chooses their digests by changing an annotation.
func ground(t *testing.T, image v1.Image, count int) (found []v1.Image) {
	t.Helper()
	own := must(image.Digest())(t)
	for i := 0; len(found) < count; i++ {
		wrapped := node.Wrap(image, map[string]string{"number": fmt.Sprint(i)})
		if must(wrapped.Digest())(t).Hex < own.Hex {
			found = append(found, wrapped)
		}
	}
	return found
}

// groundManifests surrounds the config of a signed image with manifests that sort before the signed one, and are more
// than a decision examines at once: in a repository of the attacker's, and in the signed one.
func (l *lab) groundManifests(t *testing.T) {
	_, reader := l.signed(t, "shop/ground-reader:v1", "reads a ground volume")
	for repository, count := range map[string]int{"aaa/ground": 140, "shop/ground": 66} {
		t.Run(fmt.Sprintf("%d in %s", count, repository), func(t *testing.T) {
			marker := fmt.Sprintf("ground %d", count)
			good, signed := l.signed(t, "shop/ground:"+fmt.Sprint(count), marker)
			for i, image := range ground(t, good, count) {
				pull(t, l.Node, l.push(t, fmt.Sprintf("%s:a%d", repository, i), image).Reference)
			}
			pull(t, l.Node, signed.Reference)
			for _, written := range []string{signed.Reference, signed.ByDigest(), signed.Config.String()} {
				l.runs(t, l.Node, strict, written, marker)
				volume := node.Volume{Image: written, Path: "/data", Pull: node.Never}
				pod := l.begin(t, l.Node, strict, node.Container{Image: reader.Reference, Volumes: []node.Volume{volume}})
				if got := must(pod.Exec(t.Context(), "main", "/witness", "print", "/data/marker"))(t); got != marker+"\n" {
					t.Errorf("the volume of %s contains %q", written, got)
				}
			}
		})
	}
	l.refused(t, strict, node.Container{Image: l.registry.Host + "/aaa/ground:a0"}, "unsigned")
}
