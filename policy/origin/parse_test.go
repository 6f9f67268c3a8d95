package origin_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// TestErrorsOfParsersNameTheKey: operators read them, and know no types of Go.
func TestErrorsOfParsersNameTheKey(t *testing.T) {
	config := func(raw string) error {
		_, err := origin.ParseConfig([]byte(raw))
		return err
	}
	document := func(raw string) error {
		_, _, _, err := origin.ParseDocument([]byte(raw))
		return err
	}
	tests := map[string]struct {
		parse     func(raw string) error
		raw, want string
	}{
		"a config that is not an object": {config, `[]`, "expected an object, found array"},
		"layers that are not an object":  {config, `{"rootfs":"x"}`, `"rootfs": expected an object, found string`},
		"layers that are not a list": {
			config, `{"rootfs":{"diff_ids":{}}}`, `"rootfs.diff_ids": expected an array, found {`,
		},
		"a layer that is not a digest": {
			config, `{"rootfs":{"diff_ids":[1]}}`, `"rootfs.diff_ids": expected a string, found number`,
		},
		"a config that ends early":         {config, `{"rootfs":`, "unexpected end of JSON input"},
		"a manifest that is not an object": {document, `1`, "expected an object, found number"},
		"a media type that is a number": {
			document, `{"mediaType":1}`, `its "mediaType": expected a string, found number`,
		},
		"a config descriptor that is a digest": {
			document, `{"config":"sha256:` + hex + `"}`, `its "config": expected an object, found string`,
		},
		"a digest that is a number": {
			document, `{"config":{"digest":1}}`, `its "config": "digest": expected a string, found number`,
		},
		"manifests that are not a list": {document, `{"manifests":{}}`, `its "manifests": expected an array, found {`},
		"a descriptor that is a digest": {
			document, `{"manifests":["sha256:` + hex + `"]}`, `its "manifests": expected an object, found string`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.parse(test.raw)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestAnUnusableConfigIsNamed: which blob, which key, and what is expected there.
func TestAnUnusableConfigIsNamed(t *testing.T) {
	s := newStores(t)
	config := s.blob("application/vnd.oci.image.config.v1+json", []byte(`{"rootfs":{"diff_ids":[1]}}`))
	_, err := s.origin().Content(t.Context(), container("container", config))
	refusal(t, err, policy.Unavailable,
		"the image config "+config.Digest.String(), `"rootfs.diff_ids": expected a string, found number`)
	if strings.Contains(err.Error(), "Go ") {
		t.Errorf("error %v names a type of Go", err)
	}
}
