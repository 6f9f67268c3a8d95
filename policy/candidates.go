package policy

import (
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// candidates returns the references under which an image may be judged, any one of which is enough.
//
// This is the pod's own reference if the image was obtained from its repository and, if it has a digest, the digest is
// one of the image's. An image ID names no repository: then each reference under which the image was obtained is judged
// separately.
func (d *decision) candidates(image *Image) ([]reference.Named, error) {
	q := d.question
	if hexadecimal, ok := q.ImageID(); ok {
		if !strings.HasPrefix(q.Config.String(), "sha256:"+hexadecimal) {
			return nil, refuse(UnknownOrigin, "image ID %s is not the ID of the image that runs, %s", q.Reference, q.Config)
		}
		if len(image.PulledAs) == 0 {
			return nil, refuse(UnknownOrigin, "no reference is known under which image %s was obtained", q.Config)
		}
		return image.PulledAs, nil
	}
	if d.invalid != nil {
		return nil, refuse(BadRequest, "%v", d.invalid)
	}
	name := d.named.Name()
	sameName := func(original reference.Named) bool { return original.Name() == name }
	if !slices.ContainsFunc(image.PulledAs, sameName) {
		return nil, refuse(UnknownOrigin, "image %s was not obtained from %s, but as %s",
			q.Config, name, list(image.PulledAs))
	}
	if canonical, ok := d.named.(reference.Canonical); ok && !image.has(canonical) {
		return nil, refuse(UnknownOrigin, "%s is not a manifest of image %s or an index that lists one",
			canonical.Digest(), q.Config)
	}
	return []reference.Named{d.named}, nil
}

// obtainedFor returns an error if the scope of a reference contains its tag, and the image was not obtained under that
// tag: such a scope covers one tag, and no other image of the repository. After the pull, the tag may have been moved
// to another image.
func (i *Image) obtainedFor(scope string, ref reference.Named) error {
	tagged, ok := ref.(reference.NamedTagged)
	if !ok || scope != tagged.String() {
		return nil
	}
	same := func(original reference.Named) bool { return original.String() == tagged.String() }
	if slices.ContainsFunc(i.PulledAs, same) {
		return nil
	}
	return refuse(UnknownOrigin, "scope %q names a tag, and image %s was not obtained under it, but as %s",
		scope, i.Config, list(i.PulledAs))
}

func (i *Image) has(ref reference.Canonical) bool {
	return slices.ContainsFunc(i.Manifests, func(m Manifest) bool { return m.Digest == ref.Digest() })
}

func list(refs []reference.Named) string {
	if len(refs) == 0 {
		return "no reference at all"
	}
	names := make([]string, 0, 4)
	for _, ref := range refs {
		if len(names) == 3 {
			names = append(names, "…")
			break
		}
		names = append(names, ref.String())
	}
	return strings.Join(names, ", ")
}
