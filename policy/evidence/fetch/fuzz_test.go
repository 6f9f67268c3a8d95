package fetch_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker" //nolint:depguard // The tests compare with what it does.
	"go.podman.io/image/v5/types"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/fetch"
)

const (
	simpleSigning       = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	bundleType          = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signatureArtifact   = "application/vnd.dev.cosign.artifact.sig.v1+json"
	attests             = "https://slsa.dev/provenance/v1"
)

func manifestOf(s string) digest.Digest { return digest.FromString(s) }

func FuzzReferrers(f *testing.F) {
	d := manifestOf("bundle").String()
	for _, seed := range []string{
		`{"schemaVersion":2,"manifests":[{"digest":"` + d + `","size":1,"artifactType":"` + bundleType + `"}]}`,
		`{"schemaVersion":2,"manifests":[{"digest":"` + d + `","annotations":{"org.opencontainers.image.created":"2026"}},
			{"digest":"` + manifestOf("other").String() + `"}]}`,
		`{"schemaVersion":2,"manifests":[{"digest":"md5:0"},{"size":"1"},null,1]}`,
		`{"schemaVersion":2,"manifests":null}`, `{"schemaVersion":1}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ordered, list, _, err := fetch.ParseReferrers(raw)
		if err != nil && len(ordered) > 0 {
			t.Errorf("%d referrers, and %v", len(ordered), err)
		}
		if (list == "") != (len(ordered) == 0) {
			t.Errorf("%d referrers are called %q", len(ordered), list)
		}
		for _, d := range ordered {
			if err := d.Validate(); err != nil {
				t.Errorf("%q: %v", d, err)
			}
		}
		again, sameList, _, _ := fetch.ParseReferrers(raw)
		if !slices.Equal(ordered, again) || list != sameList {
			t.Error("the same list is another one when it is read again")
		}
	})
}

func FuzzAttached(f *testing.F) {
	d := manifestOf("bundle").String()
	for _, seed := range []string{
		`{"schemaVersion":2,"artifactType":"` + bundleType + `","layers":[{"mediaType":"` + bundleType + `","digest":"` +
			d + `","size":1}],"subject":{"digest":"` + d + `"}}`,
		`{"schemaVersion":2,"layers":[{"mediaType":"` + bundleType + `","digest":"sha256:../x"}]}`,
		`{"schemaVersion":2,"config":{"mediaType":"` + signatureArtifact + `"},"layers":[{"mediaType":"` + simpleSigning +
			`","digest":"` + d + `","size":1,"annotations":{"` + signatureAnnotation + `":"MEUC"}}]}`,
		`{"schemaVersion":2,"annotations":{"dev.sigstore.bundle.predicateType":"` + attests + `"}}`,
		`{"schemaVersion":1}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, bundles, err := fetch.ParseAttached(raw)
		if len(bundles) > 64 || err != nil && len(bundles) > 0 {
			t.Errorf("%d bundles, and %v", len(bundles), err)
		}
		for _, d := range bundles {
			if err := d.Validate(); err != nil {
				t.Errorf("%q: %v", d, err)
			}
		}
	})
}

func FuzzNextLink(f *testing.F) {
	for _, seed := range []string{
		`</x>; rel="next"`, `<x>; rel=prev, <y,z>;rel=next`, `<>;rel=next`, `<`, `>`, `,;`, `<a>;rel="next`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if link := fetch.NextLink(value); link != "" && !strings.Contains(value, "<"+link+">") {
			t.Errorf("out of %q comes %q", value, link)
		}
	})
}

func FuzzLookasides(f *testing.F) {
	for _, seed := range []string{
		"default-docker:\n  lookaside: https://x.example/a\n", "docker:\n  registry.example/app:\n    sigstore: file:///x\n",
		"docker: {'*.example': {lookaside: 'https://wild.example'}}\n", "docker: [", "\t", "",
		"default-docker: null\ndocker: null",
		"a: &a [1]\nb: *a\n", "default-docker: {lookaside: '://'}",
	} {
		f.Add([]byte(seed))
	}
	named, err := policy.Normalize("registry.example/team/app")
	if err != nil {
		f.Fatal(err)
	}
	theirs, err := docker.ParseReference("//registry.example/team/app:latest")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := fetch.ParseLookasides(raw, reference.TrimNamed(named))
		if err != nil {
			return
		}
		switch got.Scheme {
		case "file", "http", "https":
		default:
			t.Errorf("it would be asked by %q", got.Scheme)
		}
		// A scope with a tag is not for us.
		if strings.Contains(string(raw), ":latest") {
			return
		}
		directory := t.TempDir()
		write(t, filepath.Join(directory, "x.yaml"), string(raw))
		want, err := docker.SignatureStorageBaseURL(&types.SystemContext{RegistriesDirPath: directory}, theirs, false)
		if err != nil && fetch.LookasideProblems(raw) > 0 {
			return // containers/image fails for all registries; to us it concerns the scope that is at fault.
		}
		if err != nil || want.String() != got.String() {
			t.Errorf("it is %s, and for containers/image %v, %v", got, want, err)
		}
	})
}

func FuzzLayers(f *testing.F) {
	for _, seed := range []string{
		`{"schemaVersion":2,"layers":[{"mediaType":"` + simpleSigning + `","size":1,"digest":"sha256:x"}]}`,
		`{"schemaVersion":2,"manifests":[]}`, `{"schemaVersion":1}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		layers, omitted, err := fetch.ParseLayers(raw)
		if layers > 64 || omitted < 0 || err != nil && layers > 0 {
			t.Errorf("%d layers, %d omitted, %v", layers, omitted, err)
		}
	})
}
