package pull

import (
	"fmt"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// pulledBy is a pull of one of many images by a namespace.
func pulledBy(t *testing.T, namespace string, image int) pull {
	t.Helper()
	target := digest.FromString(fmt.Sprint(image))
	ref, err := reference.ParseNamed("registry.example/app@" + target.String())
	if err != nil {
		t.Fatal(err)
	}
	return pull{Request: Request{Namespace: namespace, Target: target}, ref: ref}
}

func TestManyImagesOfOneNamespaceForgetTheLeastRecentOnly(t *testing.T) {
	a := newAccess()
	used, unused := pulledBy(t, "prod", 1), pulledBy(t, "prod", 2)
	a.add(unused)
	a.add(used)
	for image := range maxShown {
		a.add(pulledBy(t, "tenant", image))
		if !a.was(used) {
			t.Fatalf("an image that is pulled again and again is forgotten after %d others", image+1)
		}
	}
	if a.was(unused) {
		t.Errorf("more than %d images are remembered", maxShown)
	}
}
